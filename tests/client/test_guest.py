"""The library against agents as processes: ours, and QEMU's own."""

from __future__ import annotations

import os
import threading
import time

import pytest

import agents
from guestwire.client import connect
from guestwire.client.errors import (
    AgentTooOld,
    ChannelBusy,
    ChannelLost,
    GuestCommandFailed,
    RefusedByPolicy,
    StillRunning,
    VmOff,
)


@pytest.fixture(params=["guestwire", "qemu-ga"], scope="module")
def agent(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("agent")
    if request.param == "qemu-ga":
        agents.require_qemu_ga()
        running = agents.Agent(directory, agents.theirs)
    else:
        running = agents.Agent(directory, agents.ours, ("--root", "/"))
    with running:
        yield running


@pytest.fixture
def guest(agent):
    with connect(f"unix:{agent.socket}") as guest:
        yield guest


def test_an_agent_tells_what_it_can(guest):
    info = guest.info()
    assert info.version[0].isdigit()
    assert info.commands["guest-ping"] is True


def test_a_guest_fits_on_a_page(guest):
    summary = guest.summary()
    assert summary.kernel == os.uname().release
    assert summary.frozen is False


def test_any_command_can_be_called(guest):
    assert guest.call("guest-get-host-name") == {"host-name": os.uname().nodename}
    assert guest.ask("guest-sync", {"id": 7}) == 7


def test_a_program_gets_its_input_and_gives_its_output_and_code(guest):
    result = guest.exec(["sh", "-c", 'cat; echo "$1" >&2; exit 7', "sh", "a b"], input=b"\x00in")
    assert (result.out, result.err, result.code) == (b"\x00in", b"a b\n", 7)
    assert not result.ok


def test_a_program_that_a_signal_kills_has_no_code(guest):
    result = guest.exec(["sh", "-c", "kill -9 $$"])
    assert (result.code, result.signal) == (None, 9)


def test_an_environment_replaces_the_agents_and_programs_are_found_all_the_same(guest):
    result = guest.exec(["env"], env={"A": "b c"})
    assert sorted(line.partition(b"=")[0] for line in result.out.splitlines()) == [b"A", b"PATH"]


def test_a_program_that_does_not_end_in_time_can_be_asked_for_later(guest):
    with pytest.raises(StillRunning) as still:
        guest.exec(["sh", "-c", "sleep 0.5; echo done"], timeout=0.1)
    assert guest.result(still.value.pid, timeout=10).out == b"done\n"


def test_a_program_that_is_not_there_fails_by_name(guest):
    with pytest.raises(GuestCommandFailed, match="No such file"):
        guest.exec(["/no/such/program"])


def test_a_file_is_opened_read_sought_and_written(guest, tmp_path):
    path = str(tmp_path / "file")
    with guest.open(path, "w+") as file:
        file.write(b"hello world")
        file.seek(6)
        assert file.read() == b"world"
        file.seek(0)
        assert file.read(5) == b"hello"
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_a_whole_file_is_written_and_read(guest, tmp_path):
    data = os.urandom(2_500_000)
    guest.write_file(str(tmp_path / "file"), data)
    assert guest.read_file(str(tmp_path / "file")) == data
    guest.write_file(str(tmp_path / "file"), b"")
    assert guest.read_file(str(tmp_path / "file")) == b""


def test_a_copy_keeps_the_bytes_and_the_mode_both_ways(guest, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1_500_000))
    source.chmod(0o751)
    seen = []
    done = guest.copy_to(source, str(tmp_path / "there"), progress=seen.append)
    assert (done.size, done.mode, done.whole) == (1_500_000, 0o751, True)
    assert seen[-1] == 1_500_000
    assert (tmp_path / "there").stat().st_mode & 0o7777 == 0o751
    assert guest.copy_from(str(tmp_path / "there"), tmp_path / "back").mode == 0o751
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert (tmp_path / "back").stat().st_mode & 0o7777 == 0o751


def test_a_copy_that_fails_leaves_nothing_behind_on_either_side(guest, tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(GuestCommandFailed):
        guest.copy_to(tmp_path / "source", str(tmp_path / "dir"))
    with pytest.raises(GuestCommandFailed):
        guest.copy_from(str(tmp_path / "missing"), tmp_path / "back")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["dir", "source"]


def test_what_comes_with_a_set_id_bit_loses_it(guest, tmp_path):
    (tmp_path / "there").write_bytes(b"x")
    (tmp_path / "there").chmod(0o4755)
    guest.copy_from(str(tmp_path / "there"), tmp_path / "back")
    assert (tmp_path / "back").stat().st_mode & 0o7777 == 0o755


def test_an_unknown_command_is_an_agent_too_old(guest):
    with pytest.raises(AgentTooOld, match=r"has not been found; .* update it"):
        guest.call("guest-nonsense")


def test_a_second_program_of_ours_is_told_who_is_first(agent, guest):
    with pytest.raises(ChannelBusy, match=f"process {os.getpid()}"):
        connect(f"unix:{agent.socket}", timeout=0.2)
    guest.ping()


def test_a_foreign_program_on_the_channel_is_noticed_within_a_second(agent):
    with agent.host():
        begun = time.monotonic()
        with pytest.raises(ChannelBusy, match="ss -xp"):
            connect(f"unix:{agent.socket}")
        assert time.monotonic() - begun < 1.5


def test_what_an_earlier_host_left_half_is_no_hindrance(agent):
    with agent.host() as host:
        host.send(b'{"execute":"guest-ping"}{"execute":"guest-pi')
        host.line()  # qemu-ga dies of SIGPIPE when nobody takes its answer
    with connect(f"unix:{agent.socket}") as guest:
        guest.ping()


def test_a_blocked_command_is_refused_by_policy(tmp_path):
    agents.require_qemu_ga()
    block = ("-b", "guest-exec")
    with agents.Agent(tmp_path, agents.theirs, block) as agent:
        with connect(f"unix:{agent.socket}") as guest:
            with pytest.raises(RefusedByPolicy, match="block-rpcs"):
                guest.exec(["true"])
            (tmp_path / "source").write_bytes(b"x")
            done = guest.copy_to(tmp_path / "source", str(tmp_path / "there"))
            assert (done.size, done.mode, done.whole) == (1, None, False)


def test_a_guest_that_is_not_there_is_told_at_once(tmp_path):
    begun = time.monotonic()
    with pytest.raises(VmOff, match="there is no socket"):
        connect(f"unix:{tmp_path}/nothing")
    assert time.monotonic() - begun < 1


def test_waiting_lasts_until_the_agent_is_there(tmp_path):
    started = []
    timer = threading.Timer(0.7, lambda: started.append(agents.Agent(tmp_path)))
    timer.start()
    try:
        with connect(f"unix:{tmp_path}/agent.sock", timeout=20, wait=True) as guest:
            guest.ping()
    finally:
        timer.join()
        started[0].__exit__()


def test_waiting_ends_with_the_reason(tmp_path):
    with pytest.raises(VmOff):
        connect(f"unix:{tmp_path}/agent.sock", timeout=0.6, wait=True)


def test_a_lost_agent_is_reached_again_by_the_next_call(tmp_path):
    with agents.Agent(tmp_path) as agent, connect(f"unix:{agent.socket}") as guest:
        agent.kill()
        with pytest.raises(ChannelLost, match="switched off, migrated"):
            guest.ping()
        agent.socket.unlink(missing_ok=True)
        agent.start()
        guest.ping()
