"""A native session with the real agent: commands at once, and programs that are talked with."""

from __future__ import annotations

import os
import time

import pytest

from agents import Agent, native
from guestwire.wire.native import events as told
from native_host import NativeHost


@pytest.fixture
def agent(tmp_path):
    with Agent(tmp_path, command=native) as agent:
        yield agent


@pytest.fixture
def host(agent):
    with agent.host() as host:
        yield NativeHost(host.connection)


def test_every_command_of_the_table_can_be_called(host):
    assert host.call("guest-ping") == {}
    assert host.call("guest-get-host-name") == {"host-name": os.uname().nodename}
    assert host.call("bogus")[0] == "unknown-command"
    assert host.call("guest-sync", id="x")[0] == "invalid-argument"


def test_a_slow_command_does_not_keep_a_quick_one_waiting(host):
    slow = host.start("exec", argv=["sleep", "5"])
    started = time.monotonic()
    for _ in range(20):
        assert host.call("guest-ping") == {}
    assert time.monotonic() - started < 2
    host.connection.cancel(slow, "enough")
    host.flush()


def test_a_program_gets_its_input_and_its_exit_code_comes_back(host):
    data = os.urandom(3 << 20)
    stream = host.start("exec", argv=["sh", "-c", "cat; echo done >&2; exit 7"])
    host.send(stream, data)
    host.connection.end(stream)
    assert host.wait(told.Closed, stream).value == {"exit": 7}
    assert host.received(stream, 0) == data
    assert host.received(stream, 1) == b"done\n"


def test_a_signal_reaches_the_whole_process_group(host):
    stream = host.start("exec", argv=["sh", "-c", "echo up; sleep 60 | sleep 60"])
    host.wait(told.Data, stream)
    host.connection.control(stream, {"signal": 15})
    assert host.wait(told.Closed, stream).value == {"signal": 15}


def test_a_program_on_a_terminal_knows_its_size_and_its_changes(host):
    script = "stty size; read line; stty size; echo $line"
    size = {"rows": 40, "columns": 100}
    stream = host.start("exec", argv=["sh", "-c", script], terminal=size)
    host.wait(told.Data, stream)
    host.connection.control(stream, {"resize": [50, 120]})
    host.send(stream, b"hello\n")
    assert host.wait(told.Closed, stream).value == {"exit": 0}
    assert b"50 120" in host.received(stream)
    assert b"hello" in host.received(stream)


def test_ctrl_c_on_a_terminal_interrupts_the_program(host):
    size = {"rows": 24, "columns": 80}
    stream = host.start("exec", argv=["sh", "-c", "echo up; exec sleep 60"], terminal=size)
    host.wait(told.Data, stream)
    host.send(stream, b"\x03")
    assert host.wait(told.Closed, stream).value in ({"signal": 2}, {"exit": 130})


def test_a_program_runs_where_and_with_what_it_is_told(host, tmp_path):
    directory = tmp_path / "a 'b"
    directory.mkdir()
    argv = ["sh", "-c", "pwd; echo $COLOUR; id -un"]
    stream = host.start("exec", argv=argv, cwd=str(directory), env={"COLOUR": "red"}, user="nobody")
    value = host.wait(told.Closed, stream).value
    if os.access(directory, os.X_OK) and value == {"exit": 0}:
        assert host.received(stream).decode().splitlines() == [str(directory), "red", "nobody"]


def test_what_cannot_be_started_is_said_at_once(host):
    for argv, code in ((["/nowhere"], "invalid-argument"), ([], "invalid-argument")):
        stream = host.connection.open("exec", {"argv": argv}, streaming=True)
        assert host.wait(told.Rejected, stream).code == code


def test_a_program_that_takes_too_long_is_ended(host):
    stream = host.start("exec", argv=["sleep", "60"], timeout=0.3)
    assert host.wait(told.Closed, stream).value == {"timeout": 0.3}


def test_a_program_whose_host_has_left_is_hung_up_on(agent, tmp_path):
    with agent.host() as connection:
        host = NativeHost(connection.connection)
        stream = host.start("exec", argv=["sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 60"])
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        assert stream
    pid = int((tmp_path / "pid").read_text())
    give_up = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_a_result_without_a_form_on_the_wire_is_an_error_and_the_session_goes_on(host):
    assert host.call("guest-file-open", path="/dev/zero", mode="r") >= 1000
    handle = host.call("guest-file-open", path="/dev/zero", mode="r")
    code, text = host.call("guest-file-read", handle=handle, count=8 << 20)
    assert (code, "bytes in a control body" in text) == ("failed", True)
    assert host.call("guest-ping") == {}


def test_streams_need_the_native_dialect(tmp_path):
    with Agent(tmp_path) as agent, agent.host() as host:
        error = host.ask("exec", {"argv": ["true"]})["error"]
        assert "streams" in error["desc"]


def test_one_host_after_another_finds_a_fresh_session(agent):
    def hosts(count):
        for _ in range(count):
            with agent.host() as connection:
                assert NativeHost(connection.connection).call("guest-ping") == {}
        time.sleep(0.3)  # until the last one is hung up on
        return agent.descriptors()

    few = hosts(5)
    assert hosts(30) <= few


def test_a_program_that_minds_no_hangup_is_killed(agent, tmp_path):
    with agent.host() as connection:
        host = NativeHost(connection.connection)
        script = f"trap '' HUP; echo $$ > {tmp_path}/pid; while :; do sleep 1; done"
        stream = host.start("exec", argv=["sh", "-c", script])
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        host.connection.cancel(stream, "enough")
        host.flush()
        pid = int((tmp_path / "pid").read_text())
        give_up = time.monotonic() + 10
        while os.path.exists(f"/proc/{pid}"):
            assert time.monotonic() < give_up
            time.sleep(0.05)


def test_programs_leave_no_threads_and_no_descriptors_behind(agent, host):
    def run():
        stream = host.start("exec", argv=["true"])
        assert host.wait((told.Closed, told.Cancelled), stream).value == {"exit": 0}

    run()
    before = agent.status("Threads"), agent.descriptors()
    for _ in range(50):
        run()
    give_up = time.monotonic() + 5
    while (agent.status("Threads"), agent.descriptors()) > before:
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_a_program_of_the_last_session_does_not_touch_the_streams_of_this_one(agent):
    """Numbers of streams begin anew with each session, while its programs may still be ending."""
    for _ in range(15):
        with agent.host() as connection:
            host = NativeHost(connection.connection)
            stream = host.start("exec", argv=["cat"])
            host.send(stream, bytes(200_000))  # which cat sends back, and nobody reads
        with agent.host() as connection:
            host = NativeHost(connection.connection)
            stream = host.start("exec", argv=["sh", "-c", "sleep 0.1; cat"])
            host.send(stream, b"x" * 50_000)
            host.connection.end(stream)
            assert host.wait(told.Closed, stream).value == {"exit": 0}
            assert host.received(stream) == b"x" * 50_000
