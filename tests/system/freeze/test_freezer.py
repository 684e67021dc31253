"""The state machine, with a kernel that answers as each test wants it to."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from guestwire.errors import CommandError, InvalidArgument
from guestwire.system.freeze import mark
from guestwire.system.freeze.freezer import Freezer
from guestwire.system.run import run

MARKER = "run/guestwire/qga.state.isfrozen"


class ToyKernel:
    """File systems by path. Errors and hindrances are set by a test, calls are kept."""

    def __init__(self):
        self.frozen = []
        self.calls = []
        self.errors = {}
        self.gates = {}  # path -> event that FIFREEZE waits for
        self.entered = threading.Event()

    def freeze(self, fd):
        path = _path(fd)
        self.calls.append(("freeze", path))
        if path in self.gates:
            self.entered.set()
            assert self.gates[path].wait(20)
        if path in self.errors:
            raise OSError(self.errors[path], "not this text")
        self.frozen.append(path)

    def thaw(self, fd):
        path = _path(fd)
        if path not in self.frozen:
            raise OSError(errno.EINVAL, "Invalid argument")
        self.frozen.remove(path)
        self.calls.append(("thaw", path))


def _path(fd):
    return "/" + os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))


@pytest.fixture
def kernel():
    return ToyKernel()


@pytest.fixture
def guest(root, tmp_path):
    """Three file systems on disks, /a, /b and /c, and a tmpfs on /run."""
    lines = ["20 1 0:22 / /run rw - tmpfs tmpfs rw"]
    for number, name in enumerate("abc"):
        (tmp_path / name).mkdir()
        lines.append(f"3{number} 1 8:{number} / /{name} rw - ext4 /dev/sd{name} rw")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("\n".join(lines) + "\n")
    boot = tmp_path / "proc/sys/kernel/random"
    boot.mkdir(parents=True)
    (boot / "boot_id").write_text("this-boot\n")
    return root


@pytest.fixture
def settings():
    return {}


@pytest.fixture
def freezer(guest, settings, kernel):
    return Freezer(guest, run, settings, kernel)


@pytest.fixture
def add_hook(tmp_path):
    def add(name, script):
        path = tmp_path / "etc/guestwire/fsfreeze-hook.d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $1" >> {tmp_path}/hooks.log\n{script}\n')
        path.chmod(0o755)

    return add


@pytest.fixture
def hooks_called(tmp_path):
    path = tmp_path / "hooks.log"
    return lambda: path.read_text().splitlines() if path.exists() else []


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def in_thread(function, *arguments):
    """Run it in a thread; the result is [] until it ends, then [value or error]."""
    result = []

    def work():
        try:
            result.append(function(*arguments))
        except CommandError as error:
            result.append(error)

    threading.Thread(target=work, daemon=True).start()
    return result


def results(report):
    return {mount["mountpoint"]: mount["result"] for mount in report["mounts"]}


# Freeze and thaw


def test_file_systems_are_frozen_last_mounted_first_and_thawed_the_other_way_round(freezer, kernel):
    freezer.freeze("qga")
    assert kernel.calls == [("freeze", "/c"), ("freeze", "/b"), ("freeze", "/a")]
    del kernel.calls[:]
    assert freezer.thaw().file_systems == 3
    assert kernel.calls == [("thaw", "/a"), ("thaw", "/b"), ("thaw", "/c")]


def test_a_thaw_of_a_thawed_guest_thaws_nothing_and_is_no_error(freezer):
    freezer.freeze("qga")
    assert [freezer.thaw().file_systems, freezer.thaw().file_systems] == [3, 0]


def test_only_wanted_mount_points_are_frozen_and_unknown_ones_are_told_of(freezer, kernel):
    report = freezer.freeze("own", ["/b", "/nowhere"]).report()
    assert kernel.frozen == ["/b"]
    assert results(report) == {"/b": "frozen", "/nowhere": "skipped"}


@pytest.mark.parametrize("wanted", [[], ["/nowhere"], ["/run"]])
def test_when_nothing_could_be_frozen_the_guest_is_thawed(freezer, tmp_path, wanted):
    freeze = freezer.freeze("qga", wanted)
    assert freeze.with_result("frozen") == [] and not freezer.frozen
    assert not (tmp_path / MARKER).exists()
    assert freezer.freeze("qga").with_result("frozen")


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EBUSY])
def test_what_cannot_be_frozen_is_skipped_with_its_reason(freezer, kernel, number):
    kernel.errors["/b"] = number
    report = freezer.freeze("qga").report()
    assert results(report) == {"/a": "frozen", "/b": "skipped", "/c": "frozen"}
    assert report["mounts"][1]["reason"] == os.strerror(number)


def test_one_failure_thaws_all_and_names_the_file_system(freezer, kernel, tmp_path):
    kernel.errors["/b"] = errno.EIO
    with pytest.raises(CommandError, match=r"^failed to freeze /b: Input/output error$"):
        freezer.freeze("qga")
    assert kernel.calls == [("freeze", "/c"), ("freeze", "/b"), ("thaw", "/c")]
    assert not freezer.frozen and not (tmp_path / MARKER).exists()
    assert freezer.status()["last"]["ended"] == "error"


def test_with_best_effort_a_failure_leaves_the_others_frozen(freezer, kernel):
    kernel.errors["/b"] = errno.EIO
    freeze = freezer.freeze("own", best_effort=True)
    assert results(freeze.report()) == {"/a": "frozen", "/b": "failed", "/c": "frozen"}
    assert kernel.frozen == ["/c", "/a"]


def test_a_mount_point_that_cannot_be_opened_is_named(guest, kernel, tmp_path):
    class Refusing(type(guest)):
        def open(self, path, flags, mode=0o600):
            if path == "/b":
                raise PermissionError(errno.EACCES, "not this text", path)
            return super().open(path, flags, mode)

    freezer = Freezer(Refusing(tmp_path), run, {}, kernel)
    with pytest.raises(CommandError, match=r"^failed to open /b: Permission denied$"):
        freezer.freeze("qga")
    assert kernel.calls == [] and not freezer.frozen


def test_a_mount_point_hidden_by_another_mount_is_skipped(freezer, tmp_path):
    (tmp_path / "b").rmdir()
    assert results(freezer.freeze("qga").report())["/b"] == "skipped"


@pytest.mark.parametrize("settings", [{"freeze-exclude": "/b, /c"}])
def test_excluded_mount_points_are_never_frozen(freezer, kernel):
    report = freezer.freeze("qga").report()
    assert kernel.frozen == ["/a"]
    reasons = [mount.get("reason") for mount in report["mounts"]]
    assert reasons == ["excluded by configuration", "excluded by configuration", None]


def test_what_somebody_else_froze_is_thawed_as_often_as_it_was_frozen(freezer, kernel):
    kernel.frozen += ["/a", "/a", "/b"]
    assert freezer.thaw().file_systems == 2
    assert kernel.frozen == []


def test_a_second_freeze_is_refused_and_changes_nothing(freezer, kernel):
    freezer.freeze("qga")
    with pytest.raises(CommandError, match="another freeze is under way"):
        freezer.freeze("own")
    assert freezer.frozen and len(kernel.frozen) == 3


def test_frozen_is_true_from_before_the_first_freeze_until_after_the_last_thaw(freezer, kernel):
    seen = []
    freezer.on_change = lambda frozen: seen.append((frozen, len(kernel.frozen)))
    freezer.freeze("qga")
    freezer.thaw()
    assert seen == [(True, 0), (False, 0)]


def test_no_descriptors_are_left_open(freezer, kernel):
    before = len(os.listdir("/proc/self/fd"))
    kernel.errors["/b"] = errno.EIO
    for _ in range(3):
        with pytest.raises(CommandError):
            freezer.freeze("qga")
        freezer.thaw()
    assert len(os.listdir("/proc/self/fd")) == before


# The deadline


def test_at_the_deadline_all_is_thawed_and_the_status_says_so(freezer, kernel, tmp_path):
    freezer.freeze("qga", timeout=1)
    assert 0 < freezer.status()["left"] <= 1
    wait_for(lambda: not freezer.frozen)
    wait_for(lambda: "last" in freezer.status())
    last = freezer.status()["last"]
    assert kernel.frozen == [] and not (tmp_path / MARKER).exists()
    assert (last["ended"], last["thawed"], last["by"]) == ("deadline", 3, "qga")
    assert 1 <= last["after"] < 3
    assert freezer.thaw().file_systems == 0


def test_a_deadline_that_passed_is_logged_as_a_warning_after_the_thaw(freezer, kernel, caplog):
    freezer.on_change = lambda frozen: caplog.clear()
    freezer.freeze("qga", timeout=1)
    wait_for(lambda: "last" in freezer.status())
    lines = [(r.levelname, r.getMessage()) for r in caplog.records]
    assert len(lines) == 1 and lines[0][0] == "WARNING" and "(deadline)" in lines[0][1]


def test_a_freeze_can_be_extended_by_whoever(freezer, kernel, tmp_path):
    freezer.freeze("qga", timeout=1)
    assert 59 < freezer.extend(60) <= 60
    time.sleep(1.3)
    assert freezer.frozen
    kept = json.loads((tmp_path / MARKER).read_text())["deadline"]
    assert kept - mark.now() > 50
    assert 0 < freezer.extend(1) <= 1
    wait_for(lambda: not freezer.frozen)


def test_a_marker_on_a_disk_is_not_touched_while_that_may_be_frozen(freezer, tmp_path):
    mountinfo = tmp_path / "proc/self/mountinfo"
    mountinfo.write_text(mountinfo.read_text().replace("tmpfs", "ext4"))
    freezer.freeze("qga", timeout=100)
    before = (tmp_path / MARKER).read_text()
    freezer.extend(500)
    assert (tmp_path / MARKER).read_text() == before


def test_what_is_not_frozen_cannot_be_extended(freezer):
    with pytest.raises(CommandError, match="nothing is frozen"):
        freezer.extend(5)


@pytest.mark.parametrize("timeout", [-1, 0, 86401])
def test_a_host_cannot_ask_for_a_freeze_without_end(freezer, kernel, timeout):
    with pytest.raises(InvalidArgument):
        freezer.freeze("own", timeout=timeout)
    assert kernel.calls == []


@pytest.mark.parametrize("settings", [{"freeze-timeout": "0"}])
def test_the_administrator_can_allow_a_freeze_without_end(freezer, tmp_path):
    freeze = freezer.freeze("own", timeout=0)
    assert freeze.left() is None and "left" not in freezer.status()
    assert json.loads((tmp_path / MARKER).read_text())["deadline"] is None


# A freeze that hangs


def test_the_status_names_the_file_system_that_a_freeze_hangs_in(freezer, kernel):
    kernel.gates["/b"] = threading.Event()
    result = in_thread(freezer.freeze, "qga")
    assert kernel.entered.wait(5)
    status = freezer.status()
    assert status["status"] == "frozen"
    assert status["freezing"]["mountpoint"] == "/b"
    assert results(status) == {"/a": "waiting", "/b": "freezing", "/c": "frozen"}
    kernel.gates["/b"].set()
    wait_for(lambda: result)
    assert len(kernel.frozen) == 3


def test_a_thaw_does_not_wait_for_a_freeze_that_hangs(freezer, kernel, tmp_path):
    kernel.gates["/b"] = threading.Event()
    result = in_thread(freezer.freeze, "qga")
    assert kernel.entered.wait(5)
    assert freezer.thaw().file_systems == 1
    assert kernel.frozen == [] and not freezer.frozen and not result
    with pytest.raises(CommandError, match="another freeze is under way"):
        freezer.freeze("qga")
    kernel.gates["/b"].set()
    wait_for(lambda: result)
    assert "ended early" in str(result[0])
    assert kernel.frozen == [] and not freezer.frozen and not (tmp_path / MARKER).exists()
    kernel.gates.clear()
    assert len(freezer.freeze("qga").with_result("frozen")) == 3


def test_the_deadline_thaws_what_a_hanging_freeze_has_frozen_so_far(freezer, kernel):
    kernel.gates["/b"] = threading.Event()
    result = in_thread(freezer.freeze, "qga", None, 1)
    wait_for(lambda: "last" in freezer.status())
    assert kernel.frozen == [] and freezer.status()["last"]["ended"] == "deadline"
    kernel.gates["/b"].set()
    wait_for(lambda: result)
    assert kernel.frozen == []


def test_a_thaw_just_before_the_first_file_system_leaves_nothing_frozen(tmp_path, guest, kernel):
    class Slow(type(guest)):
        def write(self, *arguments, **named):
            super().write(*arguments, **named)
            assert freezer.thaw().file_systems == 0

    freezer = Freezer(Slow(tmp_path), run, {}, kernel)
    with pytest.raises(CommandError, match="ended early"):
        freezer.freeze("qga")
    assert kernel.calls == [] and not freezer.frozen and not (tmp_path / MARKER).exists()


# Hooks


def test_hooks_run_in_order_and_their_thaws_in_reverse(freezer, add_hook, hooks_called):
    add_hook("20-app", "echo ready")
    add_hook("10-db", "")
    report = freezer.freeze("qga").report()
    assert hooks_called() == ["10-db freeze", "20-app freeze"]
    assert [(h["phase"], h["code"], h["output"]) for h in report["hooks"]] == [
        ("freeze", 0, ""),
        ("freeze", 0, "ready"),
    ]
    thawed = freezer.thaw()
    assert hooks_called()[2:] == ["20-app thaw", "10-db thaw"]
    assert [outcome.output for outcome in thawed.outcomes] == ["ready", ""]


def test_a_freeze_hook_that_fails_stops_the_freeze_and_is_thawed_like_those_before_it(
    freezer, kernel, add_hook, hooks_called
):
    add_hook("10-db", "")
    add_hook("20-app", '[ "$1" = thaw ] || { echo locked >&2; exit 3; }')
    add_hook("30-never", "")
    text = "^child process has failed to execute fsfreeze hook: locked$"
    with pytest.raises(CommandError, match=text):
        freezer.freeze("qga")
    assert hooks_called() == ["10-db freeze", "20-app freeze", "20-app thaw", "10-db thaw"]
    assert kernel.calls == [] and not freezer.frozen


@pytest.mark.parametrize("how", ["nothing", "error", "deadline"])
def test_each_freeze_hook_gets_its_thaw_however_a_freeze_ends(
    freezer, kernel, add_hook, hooks_called, how
):
    add_hook("10-db", "")
    if how == "nothing":
        freezer.freeze("qga", [])
    elif how == "error":
        kernel.errors["/a"] = errno.EIO
        with pytest.raises(CommandError):
            freezer.freeze("qga")
    else:
        freezer.freeze("qga", timeout=1)
    wait_for(lambda: "last" in freezer.status())
    assert freezer.status()["last"]["ended"] == how
    assert hooks_called() == ["10-db freeze", "10-db thaw"]


def test_a_thaw_hook_that_fails_does_not_fail_the_thaw(freezer, add_hook, hooks_called, kernel):
    add_hook("10-db", "")
    add_hook("20-app", '[ "$1" = freeze ] || { echo gone; exit 1; }')
    freezer.freeze("qga")
    thawed = freezer.thaw()
    assert thawed.file_systems == 3 and kernel.frozen == []
    assert [(o.hook[-6:], o.code, o.output) for o in thawed.outcomes] == [
        ("20-app", 1, "gone"),
        ("/10-db", 0, ""),
    ]
    assert freezer.status()["last"]["hooks"][-2]["output"] == "gone"


def test_thaw_hooks_run_after_the_file_systems_are_thawed(freezer, kernel, add_hook, tmp_path):
    add_hook("10-db", f"cat {tmp_path}/frozen >> {tmp_path}/hooks.log 2>/dev/null; true")
    (tmp_path / "frozen").write_text("no\n")
    freezer.on_change = lambda frozen: (tmp_path / "frozen").write_text(f"{frozen}\n")
    freezer.freeze("qga")
    freezer.thaw()
    assert (tmp_path / "hooks.log").read_text() == "10-db freeze\nno\n10-db thaw\nFalse\n"


@pytest.mark.parametrize("settings", [{"hook-timeout": "1"}])
def test_a_hook_that_does_not_end_is_killed_and_stops_the_freeze(freezer, add_hook, kernel):
    add_hook("10-slow", '[ "$1" = thaw ] || sleep 30')
    started = time.monotonic()
    with pytest.raises(CommandError, match="did not end in time"):
        freezer.freeze("qga")
    assert time.monotonic() - started < 5 and kernel.calls == []


def test_a_hook_that_leaves_a_daemon_on_its_output_does_not_block(freezer, add_hook):
    add_hook("10-daemon", "sleep 5 & echo started")
    started = time.monotonic()
    report = freezer.freeze("qga").report()
    assert time.monotonic() - started < 4
    assert report["hooks"][0]["output"] == "started"


def test_a_thaw_during_the_freeze_hooks_waits_and_then_nothing_gets_frozen(
    freezer, kernel, add_hook, hooks_called, tmp_path
):
    add_hook("10-slow", f'[ "$1" = thaw ] || {{ sleep 1; echo done >> {tmp_path}/hooks.log; }}')
    add_hook("20-never", "")
    result = in_thread(freezer.freeze, "qga")
    wait_for(hooks_called)
    assert freezer.thaw().file_systems == 0
    assert hooks_called() == ["10-slow freeze", "done", "10-slow thaw"]
    wait_for(lambda: result)
    assert "ended early (thaw)" in str(result[0]) and kernel.calls == []


def test_a_thaw_of_a_stranger_s_freeze_calls_the_thaw_hooks(
    freezer, kernel, add_hook, hooks_called
):
    add_hook("10-db", "")
    freezer.thaw()
    assert hooks_called() == []
    kernel.frozen.append("/a")
    freezer.thaw()
    assert hooks_called() == ["10-db thaw"]


# After a kill


@pytest.fixture
def killed(freezer, guest, settings, kernel):
    """Take `freezer` away as kill -9 would, and give the agent that is started next."""

    def kill(freezer):
        freezer._current.bell.set()  # ends its timer thread, as if the process were gone
        return Freezer(guest, run, settings, kernel)

    return kill


def test_the_next_agent_knows_of_the_freeze_and_keeps_its_deadline(freezer, killed, kernel):
    freezer.freeze("own", timeout=100)
    heir = killed(freezer)
    heir.resume()
    assert heir.frozen and kernel.frozen
    status = heir.status()
    assert status["by"] == "own" and 90 < status["left"] <= 100
    assert heir.thaw().file_systems == 3 and not heir.frozen and kernel.frozen == []
    assert heir.status()["last"]["ended"] == "thaw"


def test_the_next_agent_thaws_at_the_deadline_of_the_last(
    freezer, killed, kernel, tmp_path, add_hook, hooks_called
):
    add_hook("10-db", "")
    freezer.freeze("qga", timeout=1)
    heir = killed(freezer)
    time.sleep(1.1)
    heir.resume()
    wait_for(lambda: "last" in heir.status())
    assert kernel.frozen == [] and not heir.frozen
    wait_for(lambda: not (tmp_path / MARKER).exists())
    assert hooks_called() == ["10-db freeze", "10-db thaw"]


@pytest.mark.parametrize("phase", [mark.PREPARING, mark.THAWED])
def test_what_was_killed_half_way_is_undone_at_once(
    guest, freezer, kernel, phase, tmp_path, add_hook, hooks_called
):
    add_hook("10-db", "")
    hooks = ("/etc/guestwire/fsfreeze-hook.d/10-db",)
    marker = mark.Marker(phase, mark.now() + 100, "qga", hooks)
    mark.write(guest, "/run/guestwire", marker)
    freezer.resume()
    wait_for(lambda: "last" in freezer.status())
    assert freezer.status()["last"]["ended"] == "restart"
    assert hooks_called() == ["10-db thaw"] and not freezer.frozen
    wait_for(lambda: not (tmp_path / MARKER).exists())


@pytest.mark.parametrize("text", ["", "junk", "[]", '{"phase": 1, "colour": 2}'])
def test_a_marker_of_another_agent_means_frozen_for_the_usual_time(freezer, kernel, tmp_path, text):
    (tmp_path / MARKER).parent.mkdir(parents=True)
    (tmp_path / MARKER).write_text(text)
    kernel.frozen += ["/a", "/c"]
    freezer.resume()
    assert freezer.frozen and 590 < freezer.status()["left"] <= 600
    assert freezer.thaw().file_systems == 2
    assert not freezer.frozen and not (tmp_path / MARKER).exists()


def test_a_marker_of_another_boot_is_thrown_away(freezer, killed, tmp_path):
    freezer.freeze("qga")
    heir = killed(freezer)
    (tmp_path / "proc/sys/kernel/random/boot_id").write_text("next-boot\n")
    heir.resume()
    assert not heir.frozen and not (tmp_path / MARKER).exists()


def test_without_a_marker_there_is_nothing_to_take_over(freezer):
    freezer.resume()
    assert not freezer.frozen and freezer.status() == {"status": "thawed"}


def test_the_marker_is_there_before_anything_is_frozen(freezer, kernel, tmp_path):
    seen = []
    kernel.errors["/c"] = errno.EIO
    freezer.on_change = lambda frozen: seen.append((tmp_path / MARKER).read_text())
    with pytest.raises(CommandError):
        freezer.freeze("qga")
    assert json.loads(seen[0])["phase"] == "frozen"


def test_a_freeze_that_cannot_be_noted_does_not_begin(freezer, kernel, tmp_path):
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(CommandError, match="cannot note the freeze in /run/guestwire"):
        freezer.freeze("qga")
    assert kernel.calls == [] and not freezer.frozen


def test_while_freeze_hooks_run_the_marker_says_which_are_owed_a_thaw(freezer, add_hook, tmp_path):
    add_hook("10-db", f'[ "$1" = thaw ] || cp {tmp_path}/{MARKER} {tmp_path}/seen')
    add_hook("20-app", "")
    freezer.freeze("qga")
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen["phase"] == mark.PREPARING
    assert [hook[-6:] for hook in seen["hooks"]] == ["/10-db", "20-app"]


def test_the_time_that_hooks_take_is_not_taken_from_the_freeze(freezer, add_hook):
    add_hook("10-slow", "sleep 1")
    assert freezer.freeze("qga", timeout=60).left() > 59.5


# What a frozen disk would not allow

WATCHED = """
import sys, time, errno
from guestwire.system.freeze import freezer as freeze
from guestwire.system.root import Root
from guestwire.system.run import run

class Kernel:
    frozen = False
    def freeze(self, fd):
        if not self.frozen: sys.addaudithook(watch)
        self.frozen = True
    def thaw(self, fd):
        if not self.frozen: raise OSError(errno.EINVAL, "")
        self.frozen = False

kernel = Kernel()
seen = []
def watch(event, arguments):
    if kernel.frozen and event.startswith(("open", "import", "os.", "subprocess", "shutil")):
        seen.append((event, arguments[:2]))

freezer = freeze.Freezer(Root(sys.argv[1]), run, {}, kernel)
freezer.freeze("qga", ["/a"], timeout=1)
deadline = time.monotonic() + 20
while "last" not in freezer.status() and time.monotonic() < deadline:
    time.sleep(0.1)
print(freezer.status()["last"]["ended"], seen)
"""


def test_from_freeze_to_deadline_nothing_is_opened_imported_or_written(guest, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(Path(mark.__file__).parents[2])},
    )
    assert done.stdout == "deadline []\n", done.stderr
