"""QEMU processes of this machine: their guests, without libvirt or a configuration."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple, Optional

from . import qemu_options, qmp
from .found import OFF, PAUSED, RUNNING, Channel, Found

# QEMU's RunStates in which the guest's processors stand still (qapi/run-state.json).
STOPPED = {"shutdown": OFF, "postmigrate": OFF, "suspended": PAUSED}
MOVING = {"running", "watchdog"}


class Process(NamedTuple):
    pid: int
    machine: qemu_options.Machine


def processes(proc: str = "/proc") -> Iterator[Process]:
    """QEMUs whose command line may be read, by pid."""
    for pid in sorted(int(one) for one in os.listdir(proc) if one.isdigit()):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            with open(f"{proc}/{pid}/cmdline", "rb") as file:
                argv = os.fsdecode(file.read()).split("\0")
            if _is_qemu(argv[0]):
                yield Process(pid, qemu_options.read(argv, _directory(proc, pid)))


def guests(proc: str = "/proc", ask_monitors: bool = True) -> Iterator[Found]:
    """The guest of each process. `ask_monitors`: a free QMP socket is asked for the state."""
    for pid, machine in processes(proc):
        monitor = next(iter(machine.monitors), "")
        told = qmp.look(monitor, 0.3) if monitor and ask_monitors else None
        channels = {}
        for port, chardev in machine.ports.items():
            path = machine.chardevs[chardev].path if chardev in machine.chardevs else None
            channels[port] = Channel(path, None if told is None else told.open.get(chardev))
        yield Found(
            name=machine.name or f"qemu-{pid}",
            state=RUNNING if told is None else state_of(told.status),
            why="" if told is None or told.status in MOVING else told.status,
            channels=channels,
            uuid=machine.uuid.lower(),
            pid=pid,
            monitor=monitor,
            cid=machine.cid,
        )


def state_of(status: str) -> str:
    return RUNNING if status in MOVING else STOPPED.get(status, PAUSED)


def owner(path: str, proc: str = "/proc") -> Optional[tuple[Process, str]]:
    """The QEMU that listens on the socket at `path`, and the id of the chardev."""
    real = os.path.realpath(path)
    for process in processes(proc):
        for chardev, one in process.machine.chardevs.items():
            if one.path and os.path.realpath(one.path) == real:
                return process, chardev
    return None


def _is_qemu(program: str) -> bool:
    name = os.path.basename(program)
    return name.startswith("qemu-system-") or name in ("qemu-kvm", "kvm", "qemu")


def _directory(proc: str, pid: int) -> str:
    try:
        return os.readlink(f"{proc}/{pid}/cwd")
    except OSError:
        return "/"
