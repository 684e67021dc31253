"""Files over a native session of the real agent, whose guest is an empty directory."""

from __future__ import annotations

import hashlib
import os
import stat
import time

import pytest

from agents import Agent, native
from guestwire.wire.native import events as told
from native_host import NativeHost

DATA = os.urandom(1 << 20)


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    directory = tmp_path_factory.mktemp("agent")
    (directory / "guest").mkdir()
    with Agent(directory, native, ("--root", str(directory / "guest"))) as agent:
        agent.guest = directory / "guest"
        yield agent


@pytest.fixture
def guest(agent):
    for path in agent.guest.iterdir():
        path.unlink() if not path.is_dir() else path.rmdir()
    return agent.guest


@pytest.fixture
def host(agent):
    with agent.host() as connection:
        yield NativeHost(connection.connection)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def begin(host, command, **arguments):
    """The stream and what it was accepted with, or the text of the refusal."""
    arguments = {key.replace("_", "-"): value for key, value in arguments.items()}
    stream = host.connection.open(command, arguments, streaming=True)
    answer = host.wait((told.Accepted, told.Rejected), stream)
    return (stream, answer.value) if isinstance(answer, told.Accepted) else (None, answer.text)


def outcome(host, stream):
    end = host.wait((told.Closed, told.Cancelled), stream)
    return end.value if isinstance(end, told.Closed) else end.why


def push(host, data, path="/file", digest=None, **arguments):
    stream, value = begin(host, "file.push", path=path, **arguments)
    if stream is None:
        return value
    host.send(stream, data[value["offset"] :])
    if digest:
        host.connection.control(stream, {"sha256": digest})
    host.connection.end(stream)
    return outcome(host, stream)


def test_a_file_comes_out_with_what_it_is(host, guest):
    (guest / "file").write_bytes(DATA)
    os.chmod(guest / "file", 0o640)
    os.utime(guest / "file", ns=(1, 1_600_000_000_000_000_007))
    stream, facts = begin(host, "file.pull", path="/file")
    assert facts == {"size": len(DATA), "mode": 0o640, "uid": os.geteuid(), "gid": os.getegid(),
                     "mtime-ns": 1_600_000_000_000_000_007, "type": "file"}  # fmt: skip
    assert outcome(host, stream) == {"size": len(DATA), "sha256": sha256(DATA)}
    assert host.received(stream) == DATA


def test_a_piece_of_a_file_comes_with_the_checksum_up_to_its_end(host, guest):
    (guest / "file").write_bytes(DATA)
    stream, _ = begin(host, "file.pull", path="/file", offset=300_001, length=400_000)
    assert outcome(host, stream) == {"size": 400_000, "sha256": sha256(DATA[:700_001])}
    assert host.received(stream) == DATA[300_001:700_001]


def test_no_checksum_is_made_where_none_is_wanted(host, guest):
    (guest / "file").write_bytes(b"x")
    stream, _ = begin(host, "file.pull", path="/file", checksum=False)
    assert outcome(host, stream) == {"size": 1}


def test_what_is_no_file_is_said_with_its_path(host, guest):
    os.mkfifo(guest / "fifo")
    (guest / "directory").mkdir()
    for command in ("file.pull", "file.push"):
        assert begin(host, command, path="/directory")[1] == "/directory: Is a directory"
        assert begin(host, command, path="/no/file")[1] == "/no/file: No such file or directory"
        assert begin(host, command, path="/fifo")[1].startswith("/fifo: is a device")
        assert "not absolute" in begin(host, command, path="file")[1]
    assert begin(host, "file.push", path="/file/")[1] == "/file/: Is a directory"


def test_a_file_goes_in_with_its_mode_owner_and_time(host, guest):
    owner = f"{os.geteuid()}:{os.getegid()}"
    result = push(host, DATA, size=len(DATA), mode=0o751, owner=owner, mtime_ns=5_000_000_009,
                  checksum=True, digest=sha256(DATA))  # fmt: skip
    assert result == {"size": len(DATA), "sha256": sha256(DATA)}
    facts = os.stat(guest / "file")
    assert (guest / "file").read_bytes() == DATA
    assert stat.S_IMODE(facts.st_mode) == 0o751
    assert facts.st_mtime_ns == 5_000_000_009
    assert os.listdir(guest) == ["file"]


def test_an_empty_file_goes_in_too(host, guest):
    assert push(host, b"", size=0) == {"size": 0}
    assert (guest / "file").read_bytes() == b""


def test_a_replaced_file_keeps_its_mode_and_a_link_to_it(host, guest):
    (guest / "file").write_bytes(b"old")
    os.chmod(guest / "file", 0o604)
    (guest / "link").symlink_to("file")
    push(host, b"new", path="/link")
    assert (guest / "link").is_symlink()
    assert (guest / "file").read_bytes() == b"new"
    assert stat.S_IMODE((guest / "file").stat().st_mode) == 0o604


@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127])
def test_the_longest_name_is_possible(host, guest, name):
    assert push(host, b"x", path=f"/{name}") == {"size": 1}
    assert os.listdir(guest) == [name]


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 5},
        {"size": 3},
        {"checksum": True},
        {"checksum": True, "digest": sha256(b"another")},
        {"owner": "nobody-of-this-name"},
        {"mode": 0o10000},
    ],
)
@pytest.mark.parametrize("resume", [False, True])
def test_what_is_wrong_leaves_the_old_file_and_nothing_else(host, guest, wrong, resume):
    (guest / "file").write_bytes(b"old")
    assert isinstance(push(host, b"four", **wrong, resume=resume), str)
    assert (guest / "file").read_bytes() == b"old"
    assert os.listdir(guest) == ["file"]


def test_a_copy_that_is_cancelled_leaves_nothing(host, guest):
    stream, _ = begin(host, "file.push", path="/file")
    host.send(stream, DATA)
    host.connection.cancel(stream, "enough")
    host.flush()
    until(lambda: not os.listdir(guest))


def until(check):
    give_up = time.monotonic() + 10
    while not check():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def part(guest):
    return guest / ".file.guestwire-part"


def test_a_copy_that_was_cut_off_goes_on_where_it_was(agent, guest):
    with agent.host() as connection:
        host = NativeHost(connection.connection)
        stream, value = begin(host, "file.push", path="/file", resume=True)
        assert value == {"offset": 0}
        host.send(stream, DATA[:700_000])
    with agent.host() as connection:
        host = NativeHost(connection.connection)
        value = None
        while not isinstance(value, dict):  # until the agent has noticed that the first left
            stream, value = begin(host, "file.push", path="/file", resume=True, checksum=True)
        assert 400_000 < value["offset"] <= 700_000
        host.send(stream, DATA[value["offset"] :])
        host.connection.control(stream, {"sha256": sha256(DATA)})
        host.connection.end(stream)
        assert outcome(host, stream) == {"size": len(DATA), "sha256": sha256(DATA)}
    assert (guest / "file").read_bytes() == DATA
    assert os.listdir(guest) == ["file"]


def test_without_resume_an_old_part_is_of_no_use(host, guest):
    part(guest).write_bytes(b"rubbish")
    os.chmod(part(guest), 0o600)
    assert push(host, b"x") == {"size": 1}
    assert (guest / "file").read_bytes() == b"x"


def test_a_part_that_is_longer_than_the_file_is_of_no_use(host, guest):
    part(guest).write_bytes(b"rubbish")
    os.chmod(part(guest), 0o600)
    assert push(host, b"x", resume=True, size=1) == {"size": 1}
    assert (guest / "file").read_bytes() == b"x"


def test_a_part_that_others_prepared_is_not_written_to(host, guest, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"old")
    part(guest).symlink_to(victim)
    assert push(host, b"x", resume=True) == {"size": 1}
    os.link(victim, part(guest))
    assert push(host, b"y", resume=True) == {"size": 1}
    part(guest).write_bytes(b"open to all")
    os.chmod(part(guest), 0o666)
    assert push(host, b"z", resume=True) == {"size": 1}
    assert victim.read_bytes() == b"old"
    assert (guest / "file").read_bytes() == b"z"


def test_two_copies_to_one_file_do_not_mix(host, guest):
    first, _ = begin(host, "file.push", path="/file")
    host.send(first, b"first")
    assert begin(host, "file.push", path="/file") == (None, "/file: another copy writes it")
    host.connection.end(first)
    assert outcome(host, first) == {"size": 5}
    assert (guest / "file").read_bytes() == b"first"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_is_said_with_the_path_and_leaves_nothing(host, guest):
    (guest / "small").mkdir()
    if os.system(f"mount -t tmpfs -o size=256k none {guest}/small") != 0:
        pytest.skip("mounting is not permitted here")
    try:
        said = push_until_refused(host, "/small/file")
        assert said == "/small/file: No space left on device"
        assert os.listdir(guest / "small") == []
    finally:
        os.system(f"umount {guest}/small")


def push_until_refused(host, path):
    stream, _ = begin(host, "file.push", path=path, resume=True)
    host.connection.send_data(stream, DATA[:200_000])
    host.flush()
    while not any(isinstance(one, told.Cancelled) for one in host.told):
        room = host.connection.room(stream)
        if room:
            host.connection.send_data(stream, bytes(room))
        host.step()
    return outcome(host, stream)
