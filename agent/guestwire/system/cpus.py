"""Logical processors: which there are, and which of them run."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ..errors import CommandError
from . import sysfs
from .root import Root

DIRECTORY = "/sys/devices/system/cpu"

log = logging.getLogger(__name__)


class Cpu(NamedTuple):
    """The kernel offers no switch for a processor that cannot be offlined, such as the first."""

    number: int
    online: bool
    can_offline: bool


def cpus(root: Root) -> list[Cpu]:
    """By number. Raises CommandError when sysfs has none at all."""
    numbers = sysfs.numbered(root, DIRECTORY, "cpu")
    if not numbers:
        raise CommandError(f"failed to list entries: {DIRECTORY}: No such file or directory")
    return [_cpu(root, number) for number in numbers]


def set_online(root: Root, number: int, online: bool) -> None:
    """Raises CommandError for a processor that is not there or cannot do it, OSError when it
    will not.
    """
    directory = f"{DIRECTORY}/cpu{number}"
    if not root.is_directory(directory):
        raise CommandError(f'open("{directory}/"): No such file or directory')
    cpu = _cpu(root, number)
    if cpu.online == online:
        return
    if not cpu.can_offline:
        raise CommandError(f"logical processor #{number} can't be offlined")
    sysfs.set_attribute(root, f"{directory}/online", str(int(online)))
    log.info("processor %d is %s", number, "online" if online else "offline")


def _cpu(root: Root, number: int) -> Cpu:
    switch = sysfs.attribute(root, f"{DIRECTORY}/cpu{number}/online", missing="")
    return Cpu(number, online=switch != "0", can_offline=bool(switch))
