"""Programs and files of a guest, over guestwire's own protocol and the real agent."""

from __future__ import annotations

import os
import stat
import time

import pytest

import agents
from guestwire.client import connect
from guestwire.client.errors import BadAnswer, GuestCommandFailed, StillRunning
from guestwire.client.local_file import arriving
from guestwire.wire.native.events import Data

DATA = os.urandom(3 << 20)


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with agents.Agent(tmp_path_factory.mktemp("agent"), agents.native, ("--root", "/")) as running:
        yield running


@pytest.fixture
def guest(agent):
    with connect(f"native+unix:{agent.socket}") as guest:
        yield guest


class Broken(Exception):
    """What ends a copy in the middle."""


def breaking(count):
    def progress(size):
        if size > count:
            raise Broken

    return progress


def test_a_program_gets_all_its_input_and_gives_all_its_output(guest):
    result = guest.exec(["sh", "-c", "cat; echo done >&2; exit 7"], input=DATA)
    assert result == (DATA, b"done\n", 7, None, False)


def test_a_program_without_input_is_at_its_end_at_once(guest):
    assert guest.exec(["cat"]).code == 0


def test_a_program_that_does_not_read_its_input_ends_all_the_same(guest):
    assert guest.exec(["sh", "-c", "echo x"], input=DATA).out == b"x\n"


def test_a_signal_is_told(guest):
    result = guest.exec(["sh", "-c", "kill -9 $$"])
    assert (result.code, result.signal) == (None, 9)


def test_a_program_that_takes_too_long_is_ended(guest):
    with pytest.raises(StillRunning) as caught:
        guest.exec(["sleep", "60"], timeout=0.3)
    give_up = time.monotonic() + 5
    while os.path.exists(f"/proc/{caught.value.pid}"):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    assert guest.exec(["true"]).ok


def test_a_program_is_talked_with_while_it_runs(guest):
    with guest.stream(["sh", "-c", 'read one; echo "$one there"; read two; echo $two']) as stream:
        stream.write(b"hello\n")
        assert stream.read().data == b"hello there\n"
        stream.write(b"again\n")
        assert b"".join(said.data for said in stream if isinstance(said, Data)) == b"again\n"
        assert stream.result == {"exit": 0}


def test_over_qga_there_are_no_streams(tmp_path):
    with agents.Agent(tmp_path) as agent, connect(f"unix:{agent.socket}") as guest:
        assert guest.stream(["true"]) is None


def test_a_file_goes_in_and_comes_out_with_its_mode(guest, tmp_path):
    source, inside, target = (tmp_path / name for name in ("source", "inside", "target"))
    source.write_bytes(DATA)
    os.chmod(source, 0o751)
    seen = []
    assert guest.copy_to(source, str(inside), progress=seen.append) == (len(DATA), 0o751, True)
    assert inside.read_bytes() == DATA
    assert stat.S_IMODE(inside.stat().st_mode) == 0o751
    assert seen == sorted(seen) and seen[-1] == len(DATA)
    assert guest.copy_from(str(inside), target) == (len(DATA), 0o751, True)
    assert target.read_bytes() == DATA
    assert stat.S_IMODE(target.stat().st_mode) == 0o751


@pytest.mark.parametrize("mode", [0o600, 0o4755, 0o777])
def test_a_secret_stays_one_and_set_id_bits_are_dropped(guest, tmp_path, mode):
    (tmp_path / "inside").write_bytes(b"x")
    os.chmod(tmp_path / "inside", mode)
    guest.copy_from(str(tmp_path / "inside"), tmp_path / "target")
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == mode & 0o777


def test_what_cannot_be_copied_is_said_with_its_path_and_leaves_nothing(guest, tmp_path):
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(GuestCommandFailed, match="/no/file: No such file"):
        guest.copy_to(tmp_path / "source", "/no/file")
    with pytest.raises(GuestCommandFailed, match="/no/file: No such file"):
        guest.copy_from("/no/file", tmp_path / "target")
    assert os.listdir(tmp_path) == ["source"]


def test_a_file_past_the_limit_is_refused(guest, tmp_path):
    (tmp_path / "inside").write_bytes(DATA)
    for resume in (False, True):
        with pytest.raises(BadAnswer, match="longer than the 1000 bytes"):
            guest.copy_from(str(tmp_path / "inside"), tmp_path / "target", 1000, resume=resume)
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("changed", [False, True])
def test_a_copy_into_the_guest_goes_on_where_it_broke_off(guest, tmp_path, changed):
    source, inside = tmp_path / "source", tmp_path / "in" / "side"
    inside.parent.mkdir()
    source.write_bytes(DATA)
    with pytest.raises(Broken):
        guest.copy_to(source, str(inside), progress=breaking(2 << 20), resume=True)
    assert not inside.exists()
    if changed:
        source.write_bytes(DATA[::-1])
    seen = []
    wait_until_free(lambda: guest.copy_to(source, str(inside), progress=seen.append, resume=True))
    assert inside.read_bytes() == source.read_bytes()
    assert os.listdir(inside.parent) == ["side"]
    assert seen[0] > 1 << 20
    assert changed == (seen != sorted(seen))


def wait_until_free(copy):
    """The guest may not yet have noticed that the copy before was given up."""
    give_up = time.monotonic() + 5
    while True:
        try:
            return copy()
        except GuestCommandFailed as error:
            if "another copy" not in str(error) or time.monotonic() > give_up:
                raise
        time.sleep(0.02)


@pytest.mark.parametrize("changed", [False, True])
def test_a_copy_out_of_the_guest_goes_on_where_it_broke_off(guest, tmp_path, changed):
    inside, target = tmp_path / "inside", tmp_path / "out" / "target"
    target.parent.mkdir()
    inside.write_bytes(DATA)
    with pytest.raises(Broken):
        guest.copy_from(str(inside), target, progress=breaking(2 << 20), resume=True)
    assert not target.exists()
    if changed:
        inside.write_bytes(DATA[::-1])
    seen = []
    guest.copy_from(str(inside), target, progress=seen.append, resume=True)
    assert target.read_bytes() == inside.read_bytes()
    assert os.listdir(target.parent) == ["target"]
    assert seen[0] > 2 << 20
    assert changed == (seen != sorted(seen))


def test_a_part_that_is_longer_than_the_file_is_of_no_use(guest, tmp_path):
    inside, target = tmp_path / "inside", tmp_path / "target"
    inside.write_bytes(b"short")
    for part in (".target.guestwire-part", ".inside.guestwire-part"):
        (tmp_path / part).write_bytes(DATA)
        os.chmod(tmp_path / part, 0o600)
    guest.copy_from(str(inside), target, resume=True)
    assert target.read_bytes() == b"short"
    guest.copy_to(target, str(inside), resume=True)
    assert inside.read_bytes() == b"short"


def test_a_part_that_others_prepared_on_the_host_is_not_written_to(tmp_path):
    victim, part = tmp_path / "victim", tmp_path / ".target.guestwire-part"
    victim.write_bytes(b"old")
    for prepare in (lambda: part.symlink_to(victim), lambda: os.link(victim, part)):
        prepare()
        with arriving(tmp_path / "target", resume=True) as new:
            new.file.write(b"new")
        assert victim.read_bytes() == b"old"
        assert (tmp_path / "target").read_bytes() == b"new"
    with arriving(tmp_path / "target", resume=True) as new:
        with pytest.raises(BlockingIOError), arriving(tmp_path / "target", resume=True):
            pass
        new.file.write(b"first")
    assert (tmp_path / "target").read_bytes() == b"first"
