from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from guestwire.errors import CommandError, DeadlinePassed, Unsupported
from guestwire.system.run import OUTPUT_LIMIT, Completed, run


def sh(script, **more):
    return run(["sh", "-c", script], **more)


def soon(seconds=0.3):
    return time.monotonic() + seconds


def alive(pid):
    """A zombie that only its parent can bury is dead."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def eventually(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def test_a_program_is_run_to_its_end_and_what_it_says_is_collected():
    argv = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    assert run(argv) == (tuple(argv), 3, b"out\n", b"err\n")


def test_a_program_reads_what_it_is_given_and_then_the_end():
    assert run(["cat"], input=b"\0\xff").out == b"\0\xff"
    assert run(["cat"]).out == b""
    data = os.urandom(900_000)
    assert run(["cat"], input=data).out == data, "more than a pipe holds, both ways"


def test_a_program_need_not_read_what_it_is_given():
    assert run(["true"], input=bytes(1 << 20)).code == 0
    assert sh("exec <&-; sleep 0.1; echo on", input=bytes(1 << 20)).out == b"on\n"


def test_a_signal_is_a_negative_code():
    assert sh("kill -9 $$").code == -9


def test_output_past_the_limit_is_dropped_and_the_program_ends_well():
    done = sh(f"head -c {OUTPUT_LIMIT + 100_000} /dev/zero; echo end >&2")
    assert (done.code, len(done.out), done.err) == (0, OUTPUT_LIMIT, b"end\n")


def test_a_program_gets_a_plain_environment_or_the_one_given(monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    assert sorted(run(["env"]).out.split()) == [
        b"LC_ALL=C",
        b"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]
    assert run(["env"], env={"A": "b \u00e9"}).out == b"A=b \xc3\xa9\n"


def test_a_program_has_a_session_of_its_own_and_default_signals():
    script = "import os, signal; print(os.getsid(0) == os.getpid())"
    assert run([sys.executable, "-c", script]).out == b"True\n"
    status = run(["cat", "/proc/self/status"]).out.decode()
    ignored = next(line for line in status.splitlines() if line.startswith("SigIgn"))
    assert not int(ignored.split()[1], 16) & 1 << (signal.SIGPIPE - 1)


def test_a_program_that_is_not_there_is_unsupported():
    for name in ("no-such-program", "/no/such/program"):
        with pytest.raises(Unsupported, match=f"^{name} is not installed in this guest$"):
            run([name])


def test_a_program_that_cannot_run_is_named_with_the_reason():
    with pytest.raises(CommandError, match=r"^cannot run /etc/passwd: Permission denied$"):
        run(["/etc/passwd"])


def test_at_the_deadline_the_whole_group_is_killed(tmp_path):
    start = time.monotonic()
    script = f"trap '' TERM; sleep 30 & echo $! > {tmp_path}/pid; sleep 30"
    with pytest.raises(DeadlinePassed, match=r"^sh did not end in time and was killed$"):
        sh(script, deadline=soon())
    assert time.monotonic() - start < 5
    assert eventually(lambda: not alive((tmp_path / "pid").read_text().strip()))


def test_a_deadline_that_has_passed_does_not_let_it_run_on():
    with pytest.raises(DeadlinePassed):
        sh("sleep 30", deadline=time.monotonic() - 1)


def test_a_program_that_only_talks_is_stopped_at_the_deadline_too():
    start = time.monotonic()
    with pytest.raises(DeadlinePassed):
        run(["yes"], deadline=soon())
    assert time.monotonic() - start < 5


def test_a_daemon_that_keeps_the_output_open_is_not_waited_for():
    start = time.monotonic()
    done = sh("sleep 30 & echo $!")
    assert time.monotonic() - start < 5
    os.kill(int(done.out), signal.SIGKILL)


def test_a_daemon_that_chatters_on_is_not_waited_for():
    done = sh("yes & echo $! >&2")
    os.kill(int(done.err), signal.SIGKILL)
    assert len(done.out) <= OUTPUT_LIMIT


def test_waiting_for_a_silent_program_costs_no_processor_time():
    before = time.process_time()
    sh("exec >&- 2>&-; sleep 0.5", input=bytes(1 << 20))
    assert time.process_time() - before < 0.1


def test_no_descriptor_and_no_zombie_is_left_however_it_ends():
    before = os.listdir("/proc/self/fd"), children()
    run(["true"], input=bytes(1 << 20))
    with pytest.raises(Unsupported):
        run(["no-such-program"])
    with pytest.raises(DeadlinePassed):
        run(["sleep", "30"], deadline=soon(0.05))
    assert (os.listdir("/proc/self/fd"), children()) == before


def children():
    """Processes of ours, zombies too; other tests may have some that go on."""
    found = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            found.add(pid)
    return found


def test_programs_run_side_by_side():
    outputs = {}

    def one(number):
        outputs[number] = sh(f"head -c 200000 /dev/zero; echo {number}").out

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outputs == {number: bytes(200_000) + b"%d\n" % number for number in range(8)}


@pytest.mark.parametrize(
    ("completed", "text"),
    [
        (Completed(("x",), 2, b"out", b" why \n"), "x failed (exit code 2): why"),
        (Completed(("x",), 2, b"out\n", b""), "x failed (exit code 2): out"),
        (Completed(("x",), -9, b"", b""), "x failed (signal 9)"),
    ],
)
def test_a_failure_says_how_and_what_the_program_said(completed, text):
    with pytest.raises(CommandError) as caught:
        completed.check()
    assert str(caught.value) == text


def test_a_success_is_itself():
    completed = Completed(("x",), 0, b"", b"")
    assert completed.check() is completed
