"""What is mounted, and which of it is a file system on a block device of its own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple, Optional

from ..root import Root

MOUNTINFO = "/proc/self/mountinfo"


class Mount(NamedTuple):
    """A line of mountinfo, see proc_pid_mountinfo(5); `mountpoint` is relative to our own root.

    `root` is the directory of the file system that is seen there: "/" but for bind mounts and
    subvolumes. Names which are not UTF-8 hold surrogates, as those of `os.fsdecode`.
    """

    id: int
    parent: int
    major: int
    minor: int
    root: str
    mountpoint: str
    options: str
    fstype: str
    source: str
    super_options: str


def mounted(root: Root) -> Iterator[Mount]:
    """Everything that is mounted, in mount order: what lies on another mount comes after it."""
    return (_mount(fields) for fields in _lines(root))


def file_systems(root: Root) -> list[Mount]:
    """The file systems on block devices, in mount order; of each device the first mount.

    These are the ones that qemu-ga freezes, trims and tells of. Major number 0 is the kernel's
    for file systems without a device (tmpfs, overlay, nfs, zfs). btrfs has it too, as it may
    span devices: it counts, and has the numbers of its source, when that is a block device.
    """
    first: dict[tuple[int, int], Mount] = {}
    for fields in _lines(root):
        if not fields[2].startswith("0:"):
            mount: Optional[Mount] = _mount(fields)
        elif fields[fields.index("-", 6) + 1] == "btrfs":
            mount = _with_numbers_of_source(root, _mount(fields))
        else:
            continue
        if mount is not None:
            first.setdefault((mount.major, mount.minor), mount)
    return list(first.values())


def _lines(root: Root) -> Iterator[list[str]]:
    """Fields are parted by single spaces: a source may be empty."""
    for line in root.read_text(MOUNTINFO, missing="").split("\n"):
        fields = line.split(" ")
        if "-" in fields[6:]:
            yield fields


def _mount(fields: list[str]) -> Mount:
    """Between the options and a lone "-" are any number of propagation tags."""
    major, _, minor = fields[2].partition(":")
    dash = fields.index("-", 6)
    return Mount(
        int(fields[0]),
        int(fields[1]),
        int(major),
        int(minor),
        _unescaped(fields[3]),
        _unescaped(fields[4]),
        fields[5],
        _unescaped(fields[dash + 1]),
        _unescaped(fields[dash + 2]),
        " ".join(fields[dash + 3 :]),
    )


def _unescaped(text: str) -> str:
    r"""The kernel writes space, tab, newline, # and \ as a backslash and three octal digits."""
    if "\\" not in text:
        return text
    start, *rest = text.split("\\")
    return start + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def _with_numbers_of_source(root: Root, mount: Mount) -> Optional[Mount]:
    if not mount.source.startswith("/"):
        return None
    try:
        status = root.stat(mount.source)
    except OSError:
        return None
    if not stat.S_ISBLK(status.st_mode):
        return None
    return mount._replace(major=os.major(status.st_rdev), minor=os.minor(status.st_rdev))
