"""Freezing ext4 on loop devices with the kernel that we run on, in a mount namespace of our own."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from guestwire.commands import freeze as commands
from guestwire.dispatch.command import Context
from guestwire.dispatch.jobs import Jobs
from guestwire.errors import CommandError
from guestwire.system.freeze.freezer import Freezer
from guestwire.system.freeze.plan import plan
from guestwire.system.root import Root
from guestwire.system.run import run
from guestwire.system.storage import ioctls

CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 1 << 18
LOOP_MAJOR = 7
PATIENCE = 30  # seconds: a test that went wrong must not leave anything frozen


def loops_work():
    return (
        os.geteuid() == 0
        and shutil.which("mkfs.ext4") is not None
        and subprocess.run(["losetup", "-f"], capture_output=True).returncode == 0
    )


pytestmark = pytest.mark.skipif(not loops_work(), reason="needs root, loop devices and mkfs.ext4")


class OnlyLoops:
    """The kernel, kept away from every file system but those on loop devices."""

    def __init__(self):
        self.order = []

    def freeze(self, fd):
        assert os.major(os.fstat(fd).st_dev) == LOOP_MAJOR
        self.order.append(os.readlink(f"/proc/self/fd/{fd}"))
        ioctls.freeze(fd)

    def thaw(self, fd):
        if os.major(os.fstat(fd).st_dev) != LOOP_MAJOR:
            raise OSError(errno.EINVAL, "Invalid argument")
        ioctls.thaw(fd)


def _libc(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


@pytest.fixture
def own_mounts():
    """A mount namespace for this test; the function that is given enters yet another one."""

    def enter():
        _libc("unshare", CLONE_NEWNS)
        _libc("mount", b"none", b"/", None, MS_REC_PRIVATE, None)

    outside = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    here = os.getcwd()
    enter()
    yield enter
    _libc("setns", outside, CLONE_NEWNS)
    os.close(outside)
    os.chdir(here)


@pytest.fixture
def mount(own_mounts, tmp_path):
    """Make an ext4 in a file and mount it: mount(directory, image) gives the directory."""
    mounted = []

    def make(name, image=None):
        image = Path(image or tmp_path / f"{name.replace('/', '-')}.img")
        with image.open("wb") as file:
            file.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        directory = tmp_path / name
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(directory)], check=True)
        mounted.append(directory)
        return directory

    yield make
    for directory in mounted:
        fd = os.open(directory, os.O_RDONLY)
        try:
            OnlyLoops().thaw(fd)
        except OSError:
            pass
        os.close(fd)
    for directory in reversed(mounted):
        subprocess.run(["umount", str(directory)], check=True)


@pytest.fixture
def settings(tmp_path):
    return {
        "statedir": str(tmp_path / "state"),
        "hook-directory": str(tmp_path / "hooks.d"),
        "freeze-timeout": str(PATIENCE),
    }


@pytest.fixture
def kernel():
    return OnlyLoops()


@pytest.fixture
def freezer(settings, kernel):
    return Freezer(Root("/"), run, settings, kernel)


@pytest.fixture
def live(freezer, settings):
    """What a handler gets, for this machine; its freezer freezes nothing but loops."""
    jobs = Jobs()
    jobs.keep(freezer)
    return Context(Root("/"), run, jobs, time.monotonic() + 60, settings, lambda: iter(()))


def writes(directory):
    """Whether a file can be written within a moment, by a thread that may hang until the thaw."""
    done = threading.Event()

    def work():
        (directory / "written").write_bytes(b"x")
        done.set()

    threading.Thread(target=work, daemon=True).start()
    return done.wait(0.5), done


def names(*directories):
    return [str(directory) for directory in directories]


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def test_a_loop_on_a_loop_is_frozen_from_the_top_and_can_be_written_after_the_thaw(
    mount, live, kernel
):
    lower = mount("lower")
    upper = mount("upper", lower / "upper.img")
    (upper / "unwritten").write_bytes(b"x" * 1_000_000)
    assert commands.qga_freeze_list(live, names(lower, upper)) == 2
    assert kernel.order == names(upper, lower)
    assert commands.qga_status(live) == "frozen"
    could, done = writes(upper)
    assert not could
    assert commands.qga_thaw(live) == 2
    assert done.wait(10)
    assert commands.qga_status(live) == "thawed" and commands.qga_thaw(live) == 0


def test_mount_order_does_not_decide_as_in_the_namespace_of_a_service(
    own_mounts, mount, live, kernel
):
    """A copied namespace has its mounts in tree order: by mount order this would hang."""
    place = mount("place")
    lower = mount("lower")
    upper = mount("place/upper", lower / "upper.img")
    own_mounts()
    order = [v.mountpoint for v in plan(Root("/"), names(place, lower, upper))]
    listed = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    assert listed.index(str(upper)) < listed.index(str(lower))
    assert order.index(str(upper)) < order.index(str(lower))
    (upper / "unwritten").write_bytes(b"x" * 1_000_000)
    assert commands.qga_freeze_list(live, names(place, lower, upper)) == 3
    assert commands.qga_thaw(live) == 3


def test_a_bind_mount_is_no_second_file_system(mount, live, tmp_path):
    first = mount("first")
    second = tmp_path / "second"
    second.mkdir()
    subprocess.run(["mount", "--bind", str(first), str(second)], check=True)
    try:
        assert commands.qga_freeze_list(live, names(first, second)) == 1
        assert commands.qga_thaw(live) == 1
    finally:
        subprocess.run(["umount", str(second)], check=True)


def test_a_file_system_hidden_by_another_is_frozen_where_it_can_be_seen(mount, live, tmp_path):
    lower = mount("place")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["mount", "--bind", str(lower), str(elsewhere)], check=True)
    upper = mount("place", tmp_path / "upper.img")
    try:
        report = commands.freeze(live, names(upper))
        assert [m["result"] for m in report["mounts"]] == ["frozen", "frozen"]
        assert not writes(elsewhere)[0]
        assert commands.thaw(live)["thawed"] == 2
    finally:
        subprocess.run(["umount", str(elsewhere)], check=True)
    report = commands.freeze(live, names(upper))
    assert [(m["result"], m.get("reason")) for m in report["mounts"]] == [
        ("frozen", None),
        ("skipped", "hidden by other mounts"),
    ]
    assert commands.thaw(live)["thawed"] == 1


def test_what_somebody_else_has_frozen_is_skipped_and_thawed_with_the_rest(mount, live):
    one, two = mount("one"), mount("two")
    subprocess.run(["fsfreeze", "-f", str(one)], check=True)
    report = commands.freeze(live, names(one, two))
    assert [m["result"] for m in report["mounts"]] == ["frozen", "skipped"]
    assert commands.thaw(live)["thawed"] == 2


def test_at_the_deadline_it_thaws_though_its_own_state_is_on_the_frozen_file_system(
    mount, live, settings
):
    data = mount("data")
    settings["statedir"] = str(data / "state")
    commands.freeze(live, names(data), timeout=2)
    assert (data / "state/qga.state.isfrozen").exists()
    could, done = writes(data)
    assert not could
    assert done.wait(10)
    wait_for(lambda: "last" in commands.status(live))
    last = commands.status(live)["last"]
    assert last["ended"] == "deadline" and 2 <= last["after"] < 4
    assert commands.qga_status(live) == "thawed"
    wait_for(lambda: not (data / "state/qga.state.isfrozen").exists())


def test_a_read_only_file_system_is_frozen_and_thawed(mount, live):
    data = mount("data")
    subprocess.run(["mount", "-o", "remount,ro", str(data)], check=True)
    assert commands.qga_freeze_list(live, names(data)) == 1
    assert commands.qga_thaw(live) == 1


def test_an_unknown_mount_point_freezes_nothing(live):
    assert commands.qga_freeze_list(live, ["/no/such/place"]) == 0
    assert commands.qga_status(live) == "thawed"


HOLDER = """
import json, os, sys, time
from guestwire.system.freeze.freezer import Freezer
from guestwire.system.root import Root
from guestwire.system.run import run
settings, wanted, timeout = json.loads(sys.argv[1])
freezer = Freezer(Root("/"), run, settings)
print(len(freezer.freeze("qga", wanted, timeout).with_result("frozen")), flush=True)
time.sleep(100)
"""


@pytest.fixture
def frozen_by_a_process_that_is_killed(settings):
    def freeze(wanted, timeout):
        assert wanted
        arguments = json.dumps([settings, wanted, timeout])
        agent = str(Path(commands.__file__).parents[2])
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, arguments],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": agent},
        )
        try:
            assert int(holder.stdout.readline()) == len(wanted)
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            holder.stdout.close()

    return freeze


@pytest.mark.parametrize("statedir", ["aside", "on the frozen file system"])
def test_after_kill_9_the_next_agent_is_frozen_and_can_thaw(
    mount, settings, freezer, frozen_by_a_process_that_is_killed, statedir
):
    lower = mount("lower")
    upper = mount("upper", lower / "upper.img")
    if statedir != "aside":
        settings["statedir"] = str(upper / "state")
    frozen_by_a_process_that_is_killed(names(lower, upper), 100)
    assert not writes(upper)[0]
    freezer.resume()
    assert freezer.frozen and 90 < freezer.status()["left"] <= 100
    assert freezer.thaw().file_systems == 2
    assert not freezer.frozen and writes(upper)[0]
    assert not Path(settings["statedir"], "qga.state.isfrozen").exists()


def test_after_kill_9_the_next_agent_keeps_the_deadline(
    mount, settings, freezer, frozen_by_a_process_that_is_killed
):
    data = mount("data")
    settings["statedir"] = str(data)
    frozen_by_a_process_that_is_killed(names(data), 2)
    freezer.resume()
    assert freezer.frozen
    wait_for(lambda: not freezer.frozen)
    assert writes(data)[0]


def test_hooks_are_balanced_and_see_file_systems_that_can_be_written(
    mount, live, settings, tmp_path
):
    data = mount("data")
    hooks = tmp_path / "hooks.d"
    hooks.mkdir()
    (hooks / "10-db").write_text(f'#!/bin/sh\necho "$1" >> {data}/log\n')
    (hooks / "10-db").chmod(0o755)
    commands.freeze(live, names(data))
    thawed = commands.thaw(live)
    assert (data / "log").read_text() == "freeze\nthaw\n"
    assert [(hook["phase"], hook["code"]) for hook in thawed["hooks"]] == [("thaw", 0)]


def test_a_freeze_that_fails_half_way_leaves_nothing_frozen(mount, live, kernel):
    one, two = mount("one"), mount("two")
    real = kernel.freeze

    def failing(fd):
        if kernel.order:
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    kernel.freeze = failing
    with pytest.raises(CommandError, match=f"^failed to freeze {one}: Input/output error$"):
        commands.qga_freeze_list(live, names(one, two))
    assert writes(one)[0] and writes(two)[0]


def test_free_space_is_given_back(mount):
    fd = os.open(mount("data"), os.O_RDONLY)
    try:
        trimmed, minimum = ioctls.trim(fd, 1 << 20)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        pytest.skip("the file system that holds the image has no holes in files")
    finally:
        os.close(fd)
    assert 0 < trimmed <= 16 << 20 and minimum >= 1 << 20
