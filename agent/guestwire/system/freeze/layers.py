"""What block devices are made of, as sysfs tells: partitions, device mapper, RAID, loops, btrfs."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from typing import Optional

from .. import sysfs
from ..root import Root
from ..storage import block, ioctls
from .order import Layer, Numbers

DELETED = " (deleted)"  # what the kernel adds to the path of a file that has no name any more


def layers(root: Root, devices: Iterable[Numbers]) -> dict[Numbers, Layer]:
    """The layer of each device, and of each that it lies on."""
    found: dict[Numbers, Layer] = {}
    together = _btrfs_members(root)
    todo = list(devices)
    while todo:
        device = todo.pop()
        if device in found:
            continue
        layer = _layer(root, device)
        found[device] = layer._replace(devices=layer.devices + together.get(device, ()))
        todo += found[device].devices
    return found


def _layer(root: Root, numbers: Numbers) -> Layer:
    """A partition's directory in sysfs is inside its disk's."""
    try:
        device = block.by_number(root, *numbers)
    except OSError:  # gone, or not for this container to see
        return Layer()
    below = [(slave.major, slave.minor) for slave in block.slaves(root, device)]
    if device.partition:
        below += _numbers(root, posixpath.dirname(device.path))
    file = block.backing_file(root, device)
    if file.endswith(DELETED):
        file = file[: -len(DELETED)]
    return Layer(tuple(below), file or None, _holder(root, device.node) if file else None)


def _holder(root: Root, loop: str) -> Optional[Numbers]:
    try:
        fd = root.open(loop, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        number = ioctls.loop_backing_device(fd)
    except OSError:
        return None
    finally:
        os.close(fd)
    return os.major(number), os.minor(number)


def _btrfs_members(root: Root) -> dict[Numbers, tuple[Numbers, ...]]:
    """mountinfo names one device of a btrfs; all of them hold its data."""
    together: dict[Numbers, tuple[Numbers, ...]] = {}
    for uuid in root.names("/sys/fs/btrfs"):
        here = f"/sys/fs/btrfs/{uuid}/devices"
        members = tuple(n for name in root.names(here) for n in _numbers(root, f"{here}/{name}"))
        together.update(dict.fromkeys(members, members))
    return together


def _numbers(root: Root, directory: str) -> Iterator[Numbers]:
    """Those of the device that a directory or link of sysfs stands for; none if it is gone."""
    major, colon, minor = sysfs.attribute(root, f"{directory}/dev", missing="").partition(":")
    if colon:
        yield int(major), int(minor)
