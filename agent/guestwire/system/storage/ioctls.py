"""ioctls of Linux that Python has no name for.

Numbers are from include/uapi/linux/fs.h and loop.h. Those which read and write are the same on
every architecture: the ones that lay out the direction in another way (powerpc, mips) differ
only in _IO, _IOR and _IOW.
"""

from __future__ import annotations

import fcntl
import struct
import sys

FIFREEZE = 0xC0045877  # _IOWR('X', 119, int)
FITHAW = 0xC0045878  # _IOWR('X', 120, int)
FITRIM = 0xC0185879  # _IOWR('X', 121, struct fstrim_range)
LOOP_GET_STATUS64 = 0x4C05

FSTRIM_RANGE = struct.Struct("=QQQ")  # start, len, minlen
WHOLE = (1 << 64) - 1
LOOP_INFO64_SIZE = 232  # struct loop_info64; it begins with lo_device


def freeze(fd: int) -> None:
    """Freeze the file system that an open file is on. Blocks until all of it is written."""
    fcntl.ioctl(fd, FIFREEZE, 0)


def thaw(fd: int) -> None:
    """Undo one `freeze`, anybody's. EINVAL when the file system is not frozen."""
    fcntl.ioctl(fd, FITHAW, 0)


def trim(fd: int, minimum: int = 0) -> tuple[int, int]:
    """Discard free extents of at least `minimum` bytes.

    The answer is how many bytes were discarded and which minimum the file system really used.
    """
    area = bytearray(FSTRIM_RANGE.pack(0, WHOLE, minimum & WHOLE))
    fcntl.ioctl(fd, FITRIM, area)
    _, trimmed, used = FSTRIM_RANGE.unpack(area)
    return trimmed, used


def loop_backing_device(fd: int) -> int:
    """The st_dev of the file behind an open loop device."""
    info = bytearray(LOOP_INFO64_SIZE)
    fcntl.ioctl(fd, LOOP_GET_STATUS64, info)
    return int.from_bytes(info[:8], sys.byteorder)
