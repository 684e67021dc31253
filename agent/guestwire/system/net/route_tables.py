"""The kernel's tables of routes in /proc/net, column by column, as qemu-ga tells of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from ..root import Root

IN_ADDR = Struct("=I")  # printed as one number of this machine's byte order


class Ipv4Row(NamedTuple):
    iface: str
    destination: str
    gateway: str
    mask: str
    metric: int
    flags: int
    refcnt: int
    use: int
    mtu: int
    window: int
    irtt: int


class Ipv6Row(NamedTuple):
    iface: str
    destination: str
    desprefixlen: int
    source: str
    srcprefixlen: int
    nexthop: str
    metric: int
    flags: int
    refcnt: int
    use: int


def ipv4(root: Root) -> Iterator[Ipv4Row]:
    """The main table; nothing where the kernel has no IPv4."""
    text = root.read_text("/proc/net/route", missing="")
    for line in text.split("\n")[1:]:
        fields = line.split()
        if len(fields) >= 11:
            yield _ipv4_row(*fields[:11])


def ipv6(root: Root) -> Iterator[Ipv6Row]:
    """All tables, local addresses included; nothing where the kernel has no IPv6."""
    text = root.read_text("/proc/net/ipv6_route", missing="")
    for line in text.split("\n"):
        fields = line.split()
        if len(fields) >= 10:
            yield _ipv6_row(*fields[:10])


def _ipv4_row(
    iface: str,
    destination: str,
    gateway: str,
    flags: str,
    refcnt: str,
    use: str,
    metric: str,
    mask: str,
    mtu: str,
    window: str,
    irtt: str,
) -> Ipv4Row:
    """In the file's order; the addresses and the flags are hexadecimal."""
    return Ipv4Row(
        iface,
        _ipv4_address(destination),
        _ipv4_address(gateway),
        _ipv4_address(mask),
        int(metric),
        int(flags, 16),
        int(refcnt),
        int(use),
        int(mtu),
        int(window),
        int(irtt),
    )


def _ipv6_row(
    destination: str,
    desprefixlen: str,
    source: str,
    srcprefixlen: str,
    nexthop: str,
    metric: str,
    refcnt: str,
    use: str,
    flags: str,
    iface: str,
) -> Ipv6Row:
    """In the file's order; everything is hexadecimal."""
    return Ipv6Row(
        iface,
        _ipv6_address(destination),
        int(desprefixlen, 16),
        _ipv6_address(source),
        int(srcprefixlen, 16),
        _ipv6_address(nexthop),
        int(metric, 16),
        int(flags, 16),
        int(refcnt, 16),
        int(use, 16),
    )


def _ipv4_address(number: str) -> str:
    return socket.inet_ntop(socket.AF_INET, IN_ADDR.pack(int(number, 16)))


def _ipv6_address(digits: str) -> str:
    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
