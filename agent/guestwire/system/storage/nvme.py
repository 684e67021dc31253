"""How an NVMe disk fares: the SMART / health page that its controller keeps."""

from __future__ import annotations

import fcntl
import os
from array import array
from struct import Struct
from typing import NamedTuple

from ..root import Root

ADMIN_COMMAND = 0xC0484E41  # NVME_IOCTL_ADMIN_CMD of linux/nvme_ioctl.h
# struct nvme_admin_cmd: opcode, flags, namespace, metadata, data, their lengths, six words, timeout
REQUEST = Struct("=BBxxI8xQQII6III")
GET_LOG_PAGE = 0x02
ALL_NAMESPACES = 0xFFFFFFFF
HEALTH = 0x02
RETAIN_EVENT = 1 << 15  # what the page warns of shall be told to the kernel still
# NVM Express base specification, "SMART / Health Information": ten numbers of 128 bits at 32.
PAGE = Struct("<BHBBB26x20Q320x")


class Health(NamedTuple):
    """`temperature` is in kelvin; `counters` are the page's, as halves: (low, high)."""

    critical_warning: int
    temperature: int
    available_spare: int
    available_spare_threshold: int
    percentage_used: int
    counters: list[tuple[int, int]]


def health(root: Root, node: str) -> Health:
    """Raises OSError: not an NVMe disk, or we may not ask it."""
    page = array("B", bytes(PAGE.size))
    address, size = page.buffer_info()
    length = (size // 4 - 1) << 16
    words = (length | RETAIN_EVENT | HEALTH, 0, 0, 0, 0, 0)
    request = REQUEST.pack(GET_LOG_PAGE, 0, ALL_NAMESPACES, 0, address, 0, size, *words, 0, 0)
    fd = root.open(node, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if fcntl.ioctl(fd, ADMIN_COMMAND, bytearray(request)):
            raise OSError(f"{node} has no health page")
    finally:
        os.close(fd)
    return parse(page.tobytes())


def parse(page: bytes) -> Health:
    warning, temperature, spare, threshold, used, *halves = PAGE.unpack(page)
    counters = list(zip(halves[::2], halves[1::2]))
    return Health(warning, temperature, spare, threshold, used, counters)
