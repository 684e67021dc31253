"""Interfaces from rtnetlink: messages made here, and those of this machine's kernel."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest

from guestwire.errors import CommandError
from guestwire.system.net import links, netlink
from guestwire.system.root import Root

LIVE = Root("/")


def attributes(**values):
    """Attributes a1=b"...", a2=... as the kernel lays them out, padded to four bytes."""
    out = b""
    for name, value in values.items():
        out += struct.pack("=HH", 4 + len(value), int(name[1:])) + value + bytes(-len(value) % 4)
    return out


def address(family, prefix, flags, scope, index, **values):
    return struct.pack("=BBBBI", family, prefix, flags, scope, index) + attributes(**values)


def link(index, flags, **values):
    return struct.pack("=BxHiII", 0, 1, index, flags, 0) + attributes(**values)


def test_an_address_is_told_with_its_scope_and_lifetime():
    body = address(
        socket.AF_INET, 24, 0, 0, 2, a1=b"\x0a\0\0\x05", a2=b"\x0a\0\0\x05", a3=b"eth0\0"
    )
    assert links.parse_address(body) == (
        2,
        links.Address("10.0.0.5", 24, 4, "global", True, False, True, "eth0"),
    )


def test_of_a_point_to_point_link_our_own_address_is_told_not_the_peers():
    body = address(socket.AF_INET, 32, 0x80, 0, 2, a1=b"\x0a\0\0\x02", a2=b"\x0a\0\0\x01")
    assert links.parse_address(body)[1].address == "10.0.0.1"


def test_flags_past_eight_bits_count_before_the_short_ones():
    packed = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    body = address(socket.AF_INET6, 64, 0, 253, 3, a1=packed, a8=struct.pack("=I", 0x281))
    told = links.parse_address(body)[1]
    assert (told.scope, told.dynamic, told.temporary) == ("link", False, True)


@pytest.mark.parametrize("flag", [0x20, 0x40])
def test_a_deprecated_or_tentative_address_is_not_usable(flag):
    packed = socket.inet_pton(socket.AF_INET6, "fe80::1")
    body = address(socket.AF_INET6, 64, 0x80 | flag, 253, 3, a1=packed)
    assert not links.parse_address(body)[1].usable


def test_a_secondary_address_of_ipv4_is_not_temporary():
    body = address(socket.AF_INET, 24, 0x81, 0, 2, a2=b"\x0a\0\0\x05")
    assert not links.parse_address(body)[1].temporary


def test_addresses_of_other_families_are_passed_over():
    assert links.parse_address(address(28, 0, 0, 0, 1, a1=b"\0" * 4)) is None


def test_a_link_is_told_with_its_kind_and_counters():
    counters = struct.pack("=24Q", *range(100, 124))
    info = attributes(a1=b"bridge\0")
    told = links.parse_link(
        link(7, 0x10001, a3=b"br0\0", a1=b"\x02\0\0\0\0\x01", a4=struct.pack("=I", 1500),
             a16=b"\x06", a18=info, a23=counters, a10=struct.pack("=I", 9)), {},
    )  # fmt: skip
    assert (told.name, told.index, told.mac, told.mtu) == ("br0", 7, "02:00:00:00:00:01", 1500)
    assert (told.up, told.carrier, told.state, told.master) == (True, True, "up", 9)
    assert told.kind == "bridge" and not told.physical
    assert told.statistics == links.Counters(100, 101, 102, 103, 104, 105, 106 + 115, 107)


def test_a_link_with_nothing_but_a_name_is_told():
    told = links.parse_link(link(1, 0, a3=b"tun0\0"), {})
    assert (told.mac, told.mtu, told.statistics, told.addresses) == ("", 0, None, ())
    assert not told.up and told.physical


def test_this_machines_interfaces_are_those_of_sysfs():
    told = {link.name: link for link in links.links(LIVE)}
    shown = {path.name: path for path in Path("/sys/class/net").iterdir() if path.is_dir()}
    assert set(told) == set(shown)
    for name, path in shown.items():
        assert told[name].mtu == int((path / "mtu").read_text())
        assert told[name].mac == (path / "address").read_text().strip()
        assert told[name].state == (path / "operstate").read_text().strip()
        assert told[name].up == bool(int((path / "flags").read_text(), 16) & 1)


def test_below_a_directory_there_are_no_links(root):
    assert links.links(root) == []


def test_what_the_kernel_refuses_is_told():
    with pytest.raises(CommandError, match="not supported"):
        netlink.dump(0x3FF0, bytes(4))
