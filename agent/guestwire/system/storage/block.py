"""Block devices as sysfs shows them: disks, partitions, and what lies on what."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import NamedTuple

from .. import sysfs
from ..root import Root

VIRTUAL = "/sys/devices/virtual/block/"


class Device(NamedTuple):
    """A disk or a partition. `path` is below /sys/devices; `node` is its name in /dev, or ""."""

    path: str
    node: str
    major: int
    minor: int
    partition: bool

    @property
    def name(self) -> str:
        """The kernel's name, such as vda1 or dm-0."""
        return posixpath.basename(self.path)

    @property
    def virtual(self) -> bool:
        """Whether software makes it up from other devices or files: dm, md, loop, zram."""
        return self.path.startswith(VIRTUAL)


def by_number(root: Root, major: int, minor: int) -> Device:
    """Raises OSError where sysfs does not know it: gone, or of another container."""
    return _device(root, sysfs.link(root, f"/sys/dev/block/{major}:{minor}"))


def disks(root: Root) -> Iterator[Device]:
    """Whole disks that have a size, by name; an idle loop device or an empty drive has none."""
    for name in root.names("/sys/block"):
        if sysfs.attribute(root, f"/sys/block/{name}/size", missing="0") != "0":
            yield from _known(root, f"/sys/block/{name}")


def partitions(root: Root, disk: Device) -> Iterator[Device]:
    name = disk.name
    for entry in root.names(disk.path):
        if entry.startswith(name):
            yield from _known(root, f"{disk.path}/{entry}")


def slaves(root: Root, device: Device) -> Iterator[Device]:
    """What a virtual device is made from."""
    return _linked(root, f"{device.path}/slaves")


def holders(root: Root, device: Device) -> Iterator[Device]:
    """The virtual devices that are made from this one."""
    return _linked(root, f"{device.path}/holders")


def backing(root: Root, device: Device) -> Iterator[Device]:
    """The real disks and partitions below a device; itself, when it is one of them."""
    if not device.virtual:
        yield device
        return
    for slave in slaves(root, device):
        yield from backing(root, slave)


def backing_file(root: Root, device: Device) -> str:
    """The file of a loop device; "" for others. Of a deleted file the name ends in " (deleted)"."""
    return sysfs.attribute(root, f"{device.path}/loop/backing_file", missing="")


def mapping(root: Root, device: Device) -> str:
    """The name of a device mapper volume, such as vg-root; "" for others."""
    return sysfs.attribute(root, f"{device.path}/dm/name", missing="")


def serial(root: Root, device: Device) -> str:
    """What udev took for its serial (ID_SERIAL), a partition's being its disk's; or ""."""
    path = f"/run/udev/data/b{device.major}:{device.minor}"
    _, _, rest = root.read_text(path, missing="").partition("\nE:ID_SERIAL=")
    return rest.partition("\n")[0]


def _linked(root: Root, directory: str) -> Iterator[Device]:
    for name in root.names(directory):
        yield from _known(root, f"{directory}/{name}")


def _known(root: Root, path: str) -> Iterator[Device]:
    """The device behind a path or a link; nothing when it went away meanwhile."""
    try:
        device = _device(root, sysfs.link(root, path, missing=path))
    except (OSError, ValueError):
        return
    if device.node:
        yield device


def _device(root: Root, path: str) -> Device:
    values = {}
    for line in sysfs.attribute(root, f"{path}/uevent").split("\n"):
        key, _, value = line.partition("=")
        values[key] = value
    return Device(
        path,
        "/dev/" + values["DEVNAME"] if "DEVNAME" in values else "",
        int(values.get("MAJOR", 0)),
        int(values.get("MINOR", 0)),
        values.get("DEVTYPE") == "partition",
    )
