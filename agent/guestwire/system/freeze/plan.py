"""What is to be frozen: which file systems, in which order, each opened beforehand."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Optional

from ..root import Root
from ..storage.mounts import Mount, file_systems, mounted
from .layers import layers
from .order import Numbers, freeze_order

# FIFOs can be mount points too; opening one must not wait for a writer.
FLAGS = os.O_RDONLY | os.O_NONBLOCK

WAITING = "waiting"
FREEZING = "freezing"
FROZEN = "frozen"
SKIPPED = "skipped"
FAILED = "failed"
UNKNOWN = "not a mount point of a file system on a disk"


class Volume:
    """A file system on its way into the freeze.

    `paths` are all its mount points, the one that is shown first. `number` is what stat says of
    files on it, None where that differs from file to file. `fd` is open from before the first file
    system is frozen until the last is thawed, since finding a path could wait for a frozen disk.
    """

    __slots__ = ("device", "fd", "number", "paths", "reason", "result", "since")

    def __init__(
        self,
        paths: Sequence[str],
        device: str = "",
        number: Optional[int] = None,
        reason: str = "",
    ) -> None:
        self.paths = paths
        self.device = device
        self.number = number
        self.result = SKIPPED if reason else WAITING
        self.reason = reason
        self.fd = -1
        self.since = 0.0  # when FIFREEZE was called

    @property
    def mountpoint(self) -> str:
        return self.paths[0]

    def end(self, result: str, reason: str = "") -> None:
        self.result, self.reason = result, reason

    def open(self, root: Root) -> None:
        """Open the file system where it can be seen; it is skipped when other mounts hide it.

        Raises OSError when it may not be opened.
        """
        for path in self.paths:
            try:
                fd = root.open(path, FLAGS)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if self.number is None or os.fstat(fd).st_dev == self.number:
                self.fd = fd
                return
            os.close(fd)
        self.end(SKIPPED, "hidden by other mounts")

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def report(self) -> dict[str, object]:
        found = {"mountpoint": self.mountpoint, "device": self.device, "result": self.result}
        return {**found, "reason": self.reason} if self.reason else dict(found)


def plan(
    root: Root, wanted: Optional[Collection[str]] = None, exclude: Collection[str] = ()
) -> list[Volume]:
    """The volumes in the order of freezing, not yet open. Those which stay out say why."""
    mounts = list(mounted(root))
    systems = file_systems(root)
    order = freeze_order(systems, mounts, layers(root, map(_numbers, systems)))
    names = {system.mountpoint for system in systems}
    volumes = [
        _volume(system, mounts, root.live, exclude)
        for system in order
        if wanted is None or system.mountpoint in wanted
    ]
    unknown = (name for name in wanted or () if name not in names)
    return volumes + [Volume([name], reason=UNKNOWN) for name in unknown]


def _volume(system: Mount, mounts: Sequence[Mount], live: bool, exclude: Collection[str]) -> Volume:
    """The numbers are those of this machine's kernel, so in an image they say nothing."""
    number = os.makedev(*_numbers(system)) if live and system.fstype != "btrfs" else None
    others = [
        mount.mountpoint
        for mount in mounts
        if mount.id != system.id and _numbers(mount) == _numbers(system)
    ]
    reason = "excluded by configuration" if system.mountpoint in exclude else ""
    return Volume([system.mountpoint, *others], system.source, number, reason)


def _numbers(mount: Mount) -> Numbers:
    return mount.major, mount.minor
