from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from guestwire.errors import CommandError
from guestwire.system.processes import Capture, Limits, Processes
from guestwire.system.spawn import open_pidfd

ALL = Capture(stdout=True, stderr=True)
PATH = {"PATH": os.environ["PATH"]}


def no_pidfd(pid):
    """A kernel before 5.3."""
    return


@pytest.fixture
def made():
    """Makes a Processes, and closes it at the end."""
    kept = []

    def make(*args, **limits):
        kept.append(Processes(Limits(**limits), *args))
        return kept[-1]

    yield make
    for processes in kept:
        processes.close()


def sh(processes, script, data=None):
    return processes.start(["sh", "-c", script], PATH, data, ALL)


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end
        time.sleep(0.001)
    return value


def end_of(processes, pid):
    return until(lambda: processes.ask(pid))


def known(processes, pid):
    """Without asking, which would forget it."""
    return pid in processes._known


def switches():
    """How often the collecting thread has slept."""
    thread = next(one for one in threading.enumerate() if one.name == "processes")
    with open(f"/proc/self/task/{thread.native_id}/status") as status:
        return int(next(line for line in status if line.startswith("voluntary")).split()[1])


@pytest.mark.parametrize("watch", [open_pidfd, no_pidfd])
def test_a_program_is_followed_to_its_end_on_every_kernel(made, watch):
    processes = made(watch)
    slow = sh(processes, "sleep 0.2; cat; echo err >&2; exit 3", b"in")
    quick = sh(processes, "kill -9 $$")
    assert processes.ask(slow) is None
    assert end_of(processes, quick).code == -9
    ended = end_of(processes, slow)
    assert (ended.code, ended.stdout.data, ended.stderr.data) == (3, b"in", b"err\n")


def test_one_thread_serves_many_programs_that_talk_at_once(made):
    processes = made()
    threads = threading.active_count()
    pids = [sh(processes, f"head -c 300000 /dev/zero; echo {i}") for i in range(20)]
    assert threading.active_count() <= threads  # other tests' threads may have ended
    for i, pid in enumerate(pids):
        assert end_of(processes, pid).stdout.data == bytes(300000) + b"%d\n" % i


def test_nothing_wakes_while_a_program_runs_and_says_nothing(made):
    processes = made()
    pid = sh(processes, "sleep 30")
    time.sleep(0.1)
    before = switches()
    time.sleep(0.5)
    assert switches() == before
    os.killpg(pid, signal.SIGKILL)
    end_of(processes, pid)
    time.sleep(0.05)
    before = switches()
    time.sleep(0.5)
    assert switches() == before


def test_no_descriptor_is_left_of_what_has_ended(made):
    processes = made()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        end_of(processes, sh(processes, "echo out; echo err >&2", b"in"))
    assert len(os.listdir("/proc/self/fd")) == before


def test_closing_leaves_no_descriptor_and_lets_programs_run_on():
    before = os.listdir("/proc/self/fd")
    processes = Processes()
    pid = sh(processes, "sleep 30")
    processes.close()
    assert os.listdir("/proc/self/fd") == before
    os.kill(pid, 0)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_output_past_the_limit_is_read_and_dropped(made):
    processes = made(output=10)
    ended = end_of(processes, sh(processes, "yes | head -c 500000; printf 0123456789 >&2"))
    assert (ended.stdout.data, ended.stdout.truncated) == (b"y\n" * 5, True)
    assert (ended.stderr.data, ended.stderr.truncated) == (b"0123456789", False)


def test_at_the_limit_the_first_end_that_nobody_asked_for_is_forgotten(made):
    processes = made(processes=2)
    first = sh(processes, "true")
    until(lambda: processes._known[first].ended)
    second = sh(processes, "true")
    until(lambda: processes._known[second].ended)
    third = sh(processes, "sleep 30")
    with pytest.raises(CommandError, match=f"PID {first} does not exist"):
        processes.ask(first)
    assert end_of(processes, second).code == 0
    fourth = sh(processes, "sleep 30")
    with pytest.raises(CommandError, match=r"^2 programs are running, which is the limit$"):
        sh(processes, "true")
    for pid in (third, fourth):
        os.killpg(pid, signal.SIGKILL)


def test_an_end_that_nobody_asks_for_is_forgotten_in_time(made):
    processes = made(kept=0.2)
    pid = sh(processes, "true")
    until(lambda: not known(processes, pid))
    with pytest.raises(CommandError, match="does not exist"):
        processes.ask(pid)


def test_output_that_nobody_asks_for_is_forgotten_when_it_is_too_much(made):
    processes = made(held=250)
    pids = []
    for _ in range(3):
        pids.append(sh(processes, "head -c 100 /dev/zero"))
        until(lambda: not known(processes, pids[-1]) or processes._known[pids[-1]].ended)
    assert [known(processes, pid) for pid in pids] == [False, True, True]


def test_the_newest_end_is_kept_though_it_alone_is_too_much(made):
    processes = made(held=10)
    assert end_of(processes, sh(processes, "head -c 100 /dev/zero")).stdout.data == bytes(100)


def test_pipes_that_daemons_keep_are_bounded(made):
    processes = made(left_pipes=2, linger=0.01)
    before = len(os.listdir("/proc/self/fd"))
    daemons = []
    for _ in range(3):
        ended = end_of(processes, sh(processes, "sleep 30 & echo $!"))
        daemons.append(int(ended.stdout.data))
    assert len(os.listdir("/proc/self/fd")) == before + 2
    for pid in daemons:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(os.listdir("/proc/self/fd")) == before)


def test_a_chatty_daemon_delays_the_end_by_the_linger_time_only(made):
    processes = made(linger=0.2, output=1 << 20)
    start = time.monotonic()
    ended = end_of(processes, sh(processes, "yes & echo $! >&2"))
    assert time.monotonic() - start < 5
    assert ended.stdout.truncated or ended.stdout.data
    os.kill(int(ended.stderr.data), signal.SIGKILL)
