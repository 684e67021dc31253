from __future__ import annotations

import base64
import os
import stat

import pytest

from guestwire.commands import files
from guestwire.dispatch.jobs import Jobs
from guestwire.dispatch.params import Binder
from guestwire.errors import CommandError, InvalidArgument
from guestwire.system.files.open_files import OpenFiles

SPELLINGS = ["r", "rb", "w", "wb", "a", "ab"] + [
    mode + rest for mode in "rwa" for rest in ("+", "b+", "+b")
]


def b64(data):
    return base64.b64encode(data).decode()


@pytest.fixture
def file(tmp_path):
    """A file of the guest with three bytes in it."""
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    return path


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def opened(context, mode, path="/file"):
    return files.open_file(context, path, mode)


def read(context, handle, count=None):
    answer = files.read_file(context, handle, count)
    assert answer["count"] == len(answer["buf-b64"])
    return answer["buf-b64"], answer["eof"]


def write(context, handle, data, count=None):
    return files.write_file(context, handle, b64(data), count)


def test_handles_count_from_1000_in_a_fresh_guest(context, file):
    assert [opened(context, "r") for _ in range(3)] == [1000, 1001, 1002]


def test_the_counter_of_qemu_ga_is_taken_over_and_goes_on(context, file, root, tmp_path):
    state = tmp_path / "run/guestwire/qga.state"
    state.parent.mkdir(parents=True)
    state.write_text("[global]\nfd_counter=1011\n")
    assert opened(context, "r") == 1011
    assert state.read_text() == "[global]\nfd_counter=1012\n"
    assert opened(context._replace(jobs=Jobs()), "r") == 1012, "after a restart"


@pytest.mark.parametrize("text", ["", "junk", "[global]\nfd_counter=x\n", "[global]\n"])
def test_a_spoilt_state_file_starts_the_counter_anew(context, file, tmp_path, text):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/qga.state").write_text(text)
    context = context._replace(settings={"statedir": "/state"})
    assert opened(context, "r") == 1000


def test_no_file_is_opened_when_the_counter_cannot_be_kept(context, file, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/qga.state").mkdir()
    context = context._replace(settings={"statedir": "/state"})
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(CommandError):
        opened(context, "r")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("mode", SPELLINGS)
def test_every_spelling_of_a_mode_reads_and_writes_as_fopen_says(context, file, mode):
    handle = opened(context, mode)
    start = b"" if mode[0] == "w" else b"abc"
    assert file.read_bytes() == start
    if mode in ("r", "rb"):
        with pytest.raises(CommandError, match=r"^failed to write to file: Bad file descriptor$"):
            write(context, handle, b"XY")
    else:
        assert write(context, handle, b"XY") == {"count": 2, "eof": False}
        expected = {"w": b"XY", "a": b"abcXY", "r": b"XYc"}[mode[0]]
        assert file.read_bytes() == expected, "visible before a flush"
    files.seek_file(context, handle, 0, "set")
    if mode[0] == "r" or "+" in mode:
        assert read(context, handle)[0] == file.read_bytes()
    else:
        with pytest.raises(CommandError, match=r"^failed to read file: Bad file descriptor$"):
            read(context, handle)


@pytest.mark.parametrize("mode", ["rw", "br", "r++", "", "x", "rbb", "R"])
def test_other_modes_are_refused_by_name(context, file, mode):
    with pytest.raises(InvalidArgument, match=r"^invalid file open mode"):
        opened(context, mode)


def test_what_cannot_be_opened_is_named_with_its_mode(context, file):
    text = r"^failed to open file '/none' \(mode: 'r'\): No such file or directory$"
    with pytest.raises(CommandError, match=text):
        files.open_file(context, "/none")
    with pytest.raises(CommandError, match=r"\(mode: 'w'\): Is a directory$"):
        files.open_file(context, "/etc", "w")
    with pytest.raises(CommandError, match=r"^failed to open file '' .*No such file or directory$"):
        files.open_file(context, "")
    with pytest.raises(InvalidArgument, match=r"null (byte|character)"):
        files.open_file(context, "/a\0b")
    with pytest.raises(InvalidArgument):
        files.open_file(context, "/\ud800")


def test_a_relative_path_starts_at_the_top_of_a_mounted_image(context, file):
    assert read(context, files.open_file(context, "file"))[0] == b"abc"


def test_a_link_cannot_lead_out_of_the_guest(context, tmp_path):
    (tmp_path / "link").symlink_to("/../../../../etc/passwd")
    with pytest.raises(CommandError, match="No such file"):
        files.open_file(context, "/link")


def test_a_new_file_is_for_all_to_write_whatever_the_umask(context, tmp_path):
    umask = os.umask(0o077)
    try:
        opened(context, "w", "/new")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666


def test_a_file_that_exists_keeps_its_mode(context, file):
    file.chmod(0o640)
    opened(context, "w+")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_the_end_is_told_by_the_read_that_meets_it(context, file):
    handle = opened(context, "r")
    assert read(context, handle, 0) == (b"", False)
    assert read(context, handle, 2) == (b"ab", False)
    assert read(context, handle, 1) == (b"c", False)
    assert read(context, handle, 1) == (b"", True)
    assert read(context, handle) == (b"", True)
    file.write_bytes(b"abcd")
    assert read(context, handle) == (b"d", True), "as tail -f would see it"
    assert files.seek_file(context, handle, 0, 0) == {"position": 0, "eof": False}
    assert read(context, handle) == (b"abcd", True)


@pytest.mark.parametrize("size", [65536, (1 << 20) - 1, 7 << 20])
def test_a_long_read_is_whole_and_its_end_is_told_as_for_a_short_one(context, file, size):
    content = os.urandom(1 << 20) * 8
    file.write_bytes(content[:size])
    handle = opened(context, "r")
    assert read(context, handle, size) == (content[:size], False)
    assert read(context, handle, size) == (b"", True)
    files.seek_file(context, handle, 0, "set")
    assert read(context, handle, size + 1) == (content[:size], True)


def test_reading_goes_on_where_writing_stopped(context, file):
    handle = opened(context, "r+")
    assert read(context, handle, 1) == (b"a", False)
    write(context, handle, b"X")
    assert read(context, handle, 1) == (b"c", False)
    assert file.read_bytes() == b"aXc"


def test_an_appending_handle_reads_from_the_start_and_writes_at_the_end(context, file):
    handle = opened(context, "a+")
    assert read(context, handle, 1) == (b"a", False)
    write(context, handle, b"d")
    assert files.seek_file(context, handle, 0, "cur")["position"] == 4
    assert file.read_bytes() == b"abcd"


def test_an_empty_fifo_opens_and_reads_as_ended(context, fifo):
    assert read(context, opened(context, "r", "/fifo")) == (b"", True)


def test_a_fifo_gives_what_is_there_and_says_when_nothing_is(context, fifo):
    handle = opened(context, "r", "/fifo")
    writer = os.open(fifo, os.O_WRONLY)
    try:
        with pytest.raises(
            CommandError, match=r"^failed to read file: Resource temporarily unavailable$"
        ):
            read(context, handle)
        os.write(writer, b"hi")
        assert read(context, handle) == (b"hi", False)
    finally:
        os.close(writer)
    assert read(context, handle) == (b"", True)
    with pytest.raises(CommandError, match=r"^failed to seek file: Illegal seek$"):
        files.seek_file(context, handle, 0, 0)


def test_a_full_fifo_takes_a_part_and_says_how_much(context, fifo):
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        handle = opened(context, "w", "/fifo")
        taken = write(context, handle, bytes(1 << 20))["count"]
        assert 0 < taken < 1 << 20
        with pytest.raises(CommandError, match="Resource temporarily unavailable"):
            write(context, handle, b"more")
        os.set_blocking(reader, True)
        had = 0
        while had < taken:
            had += len(os.read(reader, 1 << 20))
        assert write(context, handle, b"more")["count"] == 4
    finally:
        os.close(reader)


def test_a_pipe_that_gives_little_at_a_time_is_read_until_the_count_is_full(context, tmp_path):
    reading, writing = os.pipe()
    os.write(writing, bytes(60000))
    os.close(writing)
    handles = OpenFiles(context.root, "/run")
    file = handles.get(handles.open("/etc", "r"))
    os.dup2(reading, file._fd)
    os.close(reading)
    assert file.read(40000) == (bytes(40000), False)
    assert file.read(40000) == (bytes(20000), True)


def test_a_directory_opens_but_cannot_be_read(context):
    handle = opened(context, "r", "/etc")
    with pytest.raises(CommandError, match=r"^failed to read file: Is a directory$"):
        read(context, handle)


@pytest.mark.parametrize("count", [-1, files.READ_LIMIT + 1, -(1 << 63)])
def test_a_count_that_cannot_be_read_is_refused(context, file, count):
    with pytest.raises(InvalidArgument, match=f"^value '{count}' is invalid for argument count$"):
        read(context, opened(context, "r"), count)


@pytest.mark.parametrize("count", [-1, 4])
def test_a_count_that_cannot_be_written_is_refused(context, file, count):
    with pytest.raises(InvalidArgument, match=f"^value '{count}' is invalid for argument count$"):
        write(context, opened(context, "r+"), b"XYZ", count)
    assert file.read_bytes() == b"abc"


def test_only_count_bytes_are_written(context, file):
    handle = opened(context, "r+")
    assert write(context, handle, b"XYZ", 2)["count"] == 2
    assert write(context, handle, b"XYZ", 0)["count"] == 0
    assert file.read_bytes() == b"XYc"


def test_writing_nothing_succeeds_even_on_a_file_opened_for_reading(context, file):
    assert write(context, opened(context, "r"), b"") == {"count": 0, "eof": False}


def test_base64_in_lines_is_written_whole(context, file):
    content = os.urandom(1000)
    handle = opened(context, "wb")
    files.write_file(context, handle, base64.encodebytes(content).decode())
    assert file.read_bytes() == content


def test_what_is_not_base64_is_not_written(context, file):
    with pytest.raises(InvalidArgument, match=r"^Base64 data contains invalid characters$"):
        files.write_file(context, opened(context, "r+"), "YWFh!")
    assert file.read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("offset", "whence", "position"),
    [(1, 0, 1), (1, "set", 1), (1, 1, 2), (1, "cur", 2), (-1, 2, 2), (-1, "end", 2), (99, 0, 99)],
)
def test_seeking_answers_the_new_position(context, file, offset, whence, position):
    handle = opened(context, "r")
    read(context, handle, 1)
    assert files.seek_file(context, handle, offset, whence) == {"position": position, "eof": False}
    assert read(context, handle, 9) == (b"abc"[position:], True)


def test_seeking_where_nothing_can_be_is_refused(context, file):
    handle = opened(context, "r")
    with pytest.raises(CommandError, match=r"^failed to seek file: Invalid argument$"):
        files.seek_file(context, handle, -1, 0)
    with pytest.raises(InvalidArgument, match=r"^invalid whence code 7$"):
        files.seek_file(context, handle, 0, 7)


@pytest.mark.parametrize(
    ("whence", "text"),
    [
        ("bogus", "Parameter 'whence' does not accept value 'bogus'"),
        (True, "Invalid parameter type for 'whence', expected: GuestFileWhence"),
    ],
)
def test_a_wrong_whence_is_refused_in_the_known_words(whence, text):
    with pytest.raises(InvalidArgument) as caught:
        Binder(files.seek_file).bind({"handle": 1, "offset": 0, "whence": whence})
    assert str(caught.value) == text


@pytest.mark.parametrize("use", [files.close_file, files.read_file, files.flush_file])
def test_a_handle_nobody_opened_is_not_found(context, use):
    with pytest.raises(CommandError, match=r"^handle '9999' has not been found$"):
        use(context, 9999)


def test_a_closed_handle_is_gone_and_its_number_is_not_given_again(context, file):
    before = len(os.listdir("/proc/self/fd"))
    handle = opened(context, "r")
    assert files.flush_file(context, handle) == {}
    assert files.close_file(context, handle) == {}
    with pytest.raises(CommandError, match="has not been found"):
        read(context, handle)
    assert opened(context, "r") == handle + 1
    assert len(os.listdir("/proc/self/fd")) == before + 1


def test_a_full_disk_is_told_by_the_write_itself(context):
    handles = OpenFiles(context.root, "/run")
    context.jobs.keep(handles)
    handle = handles.open("/etc", "r")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, handles.get(handle)._fd)
    os.close(full)
    with pytest.raises(CommandError, match=r"^failed to write to file: No space left on device$"):
        write(context, handle, b"abc")


def test_beyond_the_limit_the_error_names_it_and_a_close_makes_room(context, file):
    context = context._replace(settings={"max-open-files": "2"})
    first, _ = opened(context, "r"), opened(context, "r")
    with pytest.raises(CommandError, match=r"^2 files are open, which is the limit"):
        opened(context, "r")
    files.close_file(context, first)
    opened(context, "r")


def test_a_handle_that_nobody_used_for_an_hour_gives_way(context, file):
    handles = OpenFiles(context.root, "/run", limit=2)
    old, used = handles.open("/file", "r"), handles.open("/file", "r")
    handles.get(old).used -= 3601
    new = handles.open("/file", "r")
    with pytest.raises(CommandError, match="not been found"):
        handles.get(old)
    assert handles.get(used).read(3) == handles.get(new).read(3) == (b"abc", False)


def test_files_are_closed_with_the_agent_and_not_inherited_by_children(context, file):
    before = len(os.listdir("/proc/self/fd"))
    handle = opened(context, "r")
    assert not os.get_inheritable(context.jobs.get(OpenFiles).get(handle)._fd)
    context.jobs.close()
    assert len(os.listdir("/proc/self/fd")) == before
