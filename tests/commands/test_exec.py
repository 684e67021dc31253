from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time

import pytest

from guestwire.commands import exec as programs
from guestwire.dispatch.params import Binder
from guestwire.errors import CommandError, InvalidArgument

CAP = 16 << 20
BOTH = "echo out; echo err >&2"
FORMS = [
    ({}, None, None),
    ({"capture_output": False}, None, None),
    ({"capture_output": "none"}, None, None),
    ({"capture_output": True}, b"out\n", b"err\n"),
    ({"capture_output": "separated"}, b"out\n", b"err\n"),
    ({"capture_output": "stdout"}, b"out\n", None),
    ({"capture_output": "stderr"}, None, b"err\n"),
    ({"capture_output": "merged"}, b"out\nerr\n", None),
]


@pytest.fixture
def agent(context):
    yield context
    context.jobs.close()


def wait(agent, pid, seconds=20):
    """The answer that says exited:true."""
    end = time.monotonic() + seconds
    while not (answer := programs.status(agent, pid))["exited"]:
        assert answer == {"exited": False}
        assert time.monotonic() < end, "still running"
        time.sleep(0.0005)
    return answer


def run(agent, path, *arg, **more):
    return wait(agent, programs.start(agent, path, list(arg), **more)["pid"])


def shell(agent, script, **more):
    return run(agent, "/bin/sh", "-c", script, **more)


def b64(data):
    return base64.b64encode(data).decode()


def descriptors():
    """Each of ours, and what it is; without the one that lists them."""
    listed = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return {fd: os.readlink(fd) for fd in listed if os.path.lexists(fd)}


@pytest.mark.parametrize("times", [20, pytest.param(1000, marks=pytest.mark.heavy)])
@pytest.mark.parametrize(("form", "out", "err"), FORMS)
def test_each_capture_form_keeps_its_streams_however_often(agent, form, out, err, times):
    expected = {"exited": True, "exitcode": 0}
    if out is not None:
        expected.update({"out-data": out, "out-truncated": False})
    if err is not None:
        expected.update({"err-data": err, "err-truncated": False})
    shell(agent, BOTH, **form)
    before = descriptors()
    for _ in range(times):
        assert shell(agent, BOTH, **form) == expected
    assert descriptors() == before, "those of the agent, 0 to 2 among them"
    assert run(agent, "cat", **form) == {"exited": True, "exitcode": 0}, "stdin is at its end"


@pytest.mark.parametrize(("size", "truncated"), [(CAP - 1, False), (CAP, False), (CAP + 1, True)])
@pytest.mark.parametrize("stream", ["out", "err"])
def test_sixteen_mebibytes_of_a_stream_are_kept(agent, size, truncated, stream):
    to = ">&2" if stream == "err" else ""
    answer = shell(agent, f"head -c {size} /dev/zero {to}; echo x >/dev/null", capture_output=True)
    assert answer.pop(f"{stream}-data") == bytes(min(size, CAP))
    assert answer == {"exited": True, "exitcode": 0, f"{stream}-truncated": truncated}


def test_bytes_of_every_value_come_through_both_ways(agent):
    data = bytes(range(256)) * 9
    answer = run(agent, "cat", input_data=b64(data), capture_output="stdout")
    assert answer["out-data"] == data


def test_long_input_is_delivered_while_output_is_taken(agent):
    data = os.urandom(3 << 20)
    assert run(agent, "cat", input_data=b64(data), capture_output=True)["out-data"] == data


def test_input_in_lines_of_base64_is_taken(agent):
    data = os.urandom(500)
    text = base64.encodebytes(data).decode()
    assert run(agent, "cat", input_data=text, capture_output=True)["out-data"] == data


def test_a_program_need_not_read_its_input(agent):
    assert run(agent, "true", input_data=b64(bytes(1 << 20))) == {"exited": True, "exitcode": 0}


def test_input_that_is_not_base64_starts_nothing(agent, tmp_path):
    with pytest.raises(InvalidArgument, match=r"^Base64 data contains invalid characters$"):
        programs.start(agent, "touch", [str(tmp_path / "started")], input_data="!!")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/nowhere/x", "No such file or directory"),
        ("no-such-program", "No such file or directory"),
        ("", "No such file or directory"),
        ("x" * 256, "File name too long"),
        ("/", "Permission denied"),
        ("/etc/passwd", "Permission denied"),
    ],
)
def test_a_program_that_cannot_start_is_told_at_once(agent, path, reason):
    before = descriptors()
    with pytest.raises(CommandError) as caught:
        programs.start(agent, path, capture_output=True, input_data="")
    assert str(caught.value) == f"Failed to execute child process \u201c{path}\u201d ({reason})"
    assert len(descriptors()) - len(before) in (0, 3), "the collector's own three at first use"


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_no_argument_can_hold_is_refused(agent, text):
    with pytest.raises(InvalidArgument, match="Failed to execute child process"):
        programs.start(agent, "/bin/true", [text])


def test_a_script_without_an_interpreter_line_runs_in_a_shell(agent, tmp_path):
    script = tmp_path / "script"
    script.write_text("echo hi $1\n")
    script.chmod(0o755)
    assert run(agent, str(script), "you", capture_output=True)["out-data"] == b"hi you\n"


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ("exit 300", {"exitcode": 44}),
        ("exit 255", {"exitcode": 255}),
        ("kill -9 $$", {"signal": 9}),
        ("kill -TERM $$", {"signal": 15}),
    ],
)
def test_an_end_is_an_exit_code_or_a_signal(agent, script, end):
    assert shell(agent, script) == {"exited": True, **end}


def test_an_end_is_told_once(agent):
    pid = programs.start(agent, "true")["pid"]
    wait(agent, pid)
    with pytest.raises(CommandError, match=f"^PID {pid} does not exist$"):
        programs.status(agent, pid)


def test_a_pid_that_nobody_started_is_not_known(agent):
    with pytest.raises(CommandError, match=r"^PID 1234 does not exist$"):
        programs.status(agent, 1234)


def test_the_agents_environment_is_given_where_none_is_sent(agent, monkeypatch):
    monkeypatch.setenv("GIVEN", "yes \u00e9")
    out = run(agent, "env", capture_output=True)["out-data"]
    assert b"GIVEN=yes \xc3\xa9\n" in out


@pytest.mark.parametrize(
    ("env", "out"),
    [
        (["A=1", "B=x=y", "C="], b"A=1\nB=x=y\nC=\n"),
        (["A=1", "A=2", "B", "=x"], b"A=1\n"),
        (["A=\u00e9\n"], b"A=\xc3\xa9\n\n"),
    ],
)
def test_a_sent_environment_replaces_the_agents(agent, env, out):
    assert run(agent, "env", env=env, capture_output=True)["out-data"] == out


def test_an_empty_environment_is_empty(agent):
    assert run(agent, "env", env=[], capture_output=True) == {"exited": True, "exitcode": 0}


def test_a_sent_path_is_searched(agent, tmp_path):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/env"
    program.write_text("#!/bin/sh\necho mine\n")
    program.chmod(0o755)
    env = [f"PATH=/nowhere:{program.parent}"]
    assert run(agent, "env", env=env, capture_output=True)["out-data"] == b"mine\n"
    with pytest.raises(CommandError, match="No such file or directory"):
        programs.start(agent, "env", env=["PATH=/nowhere"])
    program.chmod(0o644)
    with pytest.raises(CommandError, match="Permission denied"):
        programs.start(agent, "env", env=env)


def test_a_program_has_a_process_group_of_its_own_in_the_agents_session(agent):
    script = "import os; print(os.getpgid(0) == os.getpid(), os.getsid(0))"
    out = run(agent, sys.executable, "-c", script, capture_output=True)["out-data"]
    assert out.split() == [b"True", b"%d" % os.getsid(0)]
    assert shell(agent, "kill -TERM 0") == {"exited": True, "signal": 15}, "and we are alive"


def test_a_program_gets_default_signals_and_none_of_the_agents_descriptors(agent, tmp_path):
    """Python ignores SIGPIPE, and its parent may have given it descriptors to inherit."""
    leak = os.open(tmp_path, os.O_RDONLY)
    script = "ls -l /proc/self/fd; grep Sig /proc/self/status"
    try:
        out = shell(agent, script, capture_output=True)["out-data"].decode()
    finally:
        os.close(leak)
    assert str(tmp_path) not in out
    fields = dict(line.split(":\t") for line in out.splitlines() if line.startswith("Sig"))
    assert int(fields["SigBlk"], 16) == 0
    assert not int(fields["SigIgn"], 16) & 1 << (signal.SIGPIPE - 1)


def test_what_the_agent_was_given_by_its_parent_stays_with_it(tmp_path):
    """In a process of its own: that is asked once, at the first program."""
    code = (
        "from guestwire.system.run import run\n"
        "print(run(['ls', '-l', '/proc/self/fd']).out.decode())"
    )
    with open(tmp_path / "given", "w") as given:
        fd = given.fileno()
        out = subprocess.run(
            [sys.executable, "-c", f"import os; os.fstat({fd})\n{code}"],
            pass_fds=[fd],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
    assert "0 -> pipe" in out
    assert "given" not in out


def test_a_daemon_that_keeps_the_output_open_does_not_keep_it_from_having_ended(agent):
    start = time.monotonic()
    answer = shell(agent, "sleep 30 & echo $!", capture_output=True)
    os.kill(int(answer["out-data"]), signal.SIGKILL)
    assert answer["exitcode"] == 0
    assert time.monotonic() - start < 10


def test_last_words_of_what_was_left_behind_are_kept(agent):
    answer = shell(agent, "(sleep 0.1; echo late) & echo early", capture_output=True)
    assert answer["out-data"] == b"early\nlate\n"


def test_a_daemon_may_write_on_after_its_parent_has_ended(agent, tmp_path):
    done = tmp_path / "done"
    script = f"(sleep 0.6; echo on; echo on && touch {done}) & echo"
    assert shell(agent, script, capture_output=True)["out-data"] == b"\n"
    end = time.monotonic() + 10
    while not done.exists():
        assert time.monotonic() < end, "a closed pipe has killed it"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("both", "Parameter 'capture-output' does not accept value 'both'"),
        (1, "Invalid parameter type for 'capture-output', expected: GuestExecCaptureOutput"),
    ],
)
def test_a_wrong_capture_mode_is_refused_in_the_known_words(value, text):
    with pytest.raises(InvalidArgument) as caught:
        Binder(programs.start).bind({"path": "x", "capture-output": value})
    assert str(caught.value) == text


def test_the_limit_of_programs_is_configured_and_named(agent):
    agent = agent._replace(settings={"max-processes": "1"})
    pid = programs.start(agent, "sleep", ["30"])["pid"]
    try:
        with pytest.raises(CommandError, match=r"^1 programs are running, which is the limit$"):
            programs.start(agent, "true")
    finally:
        os.kill(pid, signal.SIGKILL)
