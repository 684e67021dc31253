"""The health page of an NVMe disk."""

from __future__ import annotations

import struct

import pytest

from guestwire.system.root import Root
from guestwire.system.storage import nvme


def test_a_page_is_read_as_the_specification_lays_it_out():
    page = bytearray(512)
    page[0] = 0x04
    page[1:3] = struct.pack("<H", 323)
    page[3:6] = bytes((100, 10, 7))
    for at in range(10):
        page[32 + 16 * at : 48 + 16 * at] = struct.pack("<QQ", at, 100 + at)
    assert nvme.parse(bytes(page)) == nvme.Health(
        4, 323, 100, 10, 7, [(at, 100 + at) for at in range(10)]
    )


def test_what_is_no_nvme_disk_has_no_health():
    with pytest.raises(OSError, match=r"\[Errno"):
        nvme.health(Root("/"), "/dev/null")
