"""In which order file systems are frozen, worked out from plain data.

What is frozen can no longer be written, so a file system whose blocks are kept in a file of
another one (a loop device, perhaps with LVM or RAID between) has to be frozen before it:
otherwise its last writes wait for the other for ever. Mount order does not tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Optional

from ..storage.mounts import Mount

Numbers = tuple[int, int]  # major, minor


class Layer(NamedTuple):
    """What a block device lies on: other devices, or for a loop a file.

    `holder` is the device number of the file's file system. The path tells less: it may be one
    of another mount namespace, or of a mount that was detached. But a btrfs and an overlay have
    numbers for files that mountinfo does not know.
    """

    devices: tuple[Numbers, ...] = ()
    file: Optional[str] = None
    holder: Optional[Numbers] = None


def freeze_order(
    systems: Sequence[Mount], mounts: Sequence[Mount], layers: Mapping[Numbers, Layer]
) -> list[Mount]:
    """The `systems` in the order of freezing; reversed it is the order of thawing.

    `systems` is what `mounts.file_systems` gives, `mounts` is all that is mounted. Those which
    have nothing to do with each other are frozen last mounted first, as qemu-ga does. Devices
    that lie on each other in a circle cannot be put right, but they do not stop us either.
    """
    stack = _Stack(systems, mounts, layers)
    rank = {system.id: place for place, system in enumerate(systems)}
    seen: set[int] = set()
    thaw_order: list[Mount] = []

    def visit(system: Mount) -> None:
        if system.id in seen:
            return
        seen.add(system.id)
        for holder in sorted(stack.holders(system), key=lambda holder: rank[holder.id]):
            visit(holder)
        thaw_order.append(system)

    for system in systems:
        visit(system)
    return thaw_order[::-1]


class _Stack:
    """Finds the file systems that another one is stored on."""

    def __init__(
        self, systems: Sequence[Mount], mounts: Sequence[Mount], layers: Mapping[Numbers, Layer]
    ) -> None:
        self._mounts = mounts
        self._layers = layers
        # btrfs goes by its source's numbers among the systems, by those of no device in mountinfo.
        mounted_as = {mount.id: (mount.major, mount.minor) for mount in mounts}
        self._systems = {mounted_as.get(s.id, (s.major, s.minor)): s for s in systems}

    def holders(self, system: Mount) -> Iterator[Mount]:
        seen: set[Numbers] = set()
        todo = [(system.major, system.minor)]
        while todo:
            device = todo.pop()
            if device in seen:
                continue
            seen.add(device)
            layer = self._layers.get(device, Layer())
            todo += layer.devices
            by_number = self._systems.get(layer.holder) if layer.holder else None
            holder = by_number or self._holding(layer.file)
            if holder is not None:
                yield holder

    def _holding(self, path: Optional[str]) -> Optional[Mount]:
        """The file system that keeps a file's blocks; overlays pass it on to their upper layer."""
        for _ in self._mounts:  # an overlay upon an overlay, but never more than there are mounts
            mount = mount_of(path, self._mounts) if path else None
            if mount is None:
                return None
            system = self._systems.get((mount.major, mount.minor))
            if system is not None:
                return system
            path = _upper_directory(mount)
        return None


def mount_of(path: str, mounts: Sequence[Mount]) -> Optional[Mount]:
    """Where a path leads: the longest mount point above it, of several the last mounted."""
    best: Optional[Mount] = None
    for mount in mounts:
        top = mount.mountpoint.rstrip("/")
        inside = path == top or path.startswith(top + "/")
        if inside and (best is None or len(mount.mountpoint) >= len(best.mountpoint)):
            best = mount
    return best


def _upper_directory(mount: Mount) -> Optional[str]:
    for option in mount.super_options.split(","):
        name, _, value = option.partition("=")
        if name == "upperdir" and value.startswith("/"):
            return value
    return None
