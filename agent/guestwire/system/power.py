"""Power: down, off, round again, and asleep."""

from __future__ import annotations

import logging
import os
from typing import NamedTuple

from ..errors import CommandError, Unsupported
from .root import Root
from .run import Run

log = logging.getLogger(__name__)
REASON = "hypervisor initiated shutdown"

# The program for each way down, and the flag with which shutdown(8) does the same.
WAYS_DOWN = {
    "powerdown": ("/sbin/poweroff", "-P"),
    "halt": ("/sbin/halt", "-H"),
    "reboot": ("/sbin/reboot", "-r"),
}

STATE = "/sys/power/state"


class Sleep(NamedTuple):
    """systemd's verb and unit, and the word that the kernel lists in /sys/power/state."""

    verb: str
    unit: str
    word: str
    by_kernel: bool = True  # writing the word is all of it


SLEEPS = {
    "disk": Sleep("hibernate", "systemd-hibernate.service", "disk"),
    "ram": Sleep("suspend", "systemd-suspend.service", "mem"),
    "hybrid": Sleep("hybrid-sleep", "systemd-hybrid-sleep.service", "disk", by_kernel=False),
}


def shut_down(root: Root, run: Run, way: str, deadline: float) -> None:
    """Start a shutdown and return; raises CommandError with what the program said."""
    root.require_live()
    program, flag = WAYS_DOWN[way]
    argv = [program]
    if not os.access(root.path(program), os.X_OK):
        argv = ["/sbin/shutdown", "-h", flag, "+0", REASON]
    log.info("%s, asked for by the host", way)
    done = run(argv, deadline=deadline)
    if done.code != 0:
        raise CommandError(f"child process has failed to shutdown: {done.text}")


def can_sleep(root: Root, kind: str) -> bool:
    """Whether the kernel knows the state; whether the machine wakes up again, only trying tells."""
    return SLEEPS[kind].word in root.read_text(STATE, missing="").split()


def sleep(root: Root, run: Run, kind: str, deadline: float) -> None:
    """Suspend, by systemd where it is there, else by the kernel; returns after waking up.

    What systemd refuses is not tried behind its back: it has a reason, and a kernel that
    hibernates without swap stops every driver first, which costs the host its channel.

    Raises Unsupported when there is no way to, CommandError when the way failed.
    """
    root.require_live()
    verb, unit, word, by_kernel = SLEEPS[kind]
    if _systemd_knows(root, run, unit, deadline):
        done = run(["systemctl", verb], deadline=deadline)
        failure = done.text if done.code else ""
    elif by_kernel and can_sleep(root, kind):
        failure = _write_state(root, word)
    else:
        raise Unsupported("the requested suspend mode is not supported by the guest")
    if failure:
        raise CommandError(f"suspend: {failure}")


def _systemd_knows(root: Root, run: Run, unit: str, deadline: float) -> bool:
    """A unit that is known but not active is code 3, one that does not exist is code 4."""
    if not root.exists("/run/systemd/system"):
        return False
    return run(["systemctl", "status", unit], deadline=deadline).code in (1, 2, 3)


def _write_state(root: Root, word: str) -> str:
    """Why it failed, or nothing."""
    try:
        fd = root.open(STATE, os.O_WRONLY)
        try:
            os.write(fd, word.encode())
        finally:
            os.close(fd)
    except OSError as error:
        return f"cannot write to '{STATE}': {error.strerror}"
    return ""
