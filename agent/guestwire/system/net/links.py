"""Network interfaces, their addresses and counters, as the kernel tells them by rtnetlink.

Attribute numbers are those of linux/if_link.h, linux/if_addr.h and linux/rtnetlink.h.
"""

from __future__ import annotations

import socket
from struct import Struct
from typing import NamedTuple, Optional

from ..root import Root
from . import netlink

RTM_GETLINK = 18
RTM_GETADDR = 22
RTM_GETROUTE = 26

LINK = Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
ADDRESS = Struct("=BBBBI")  # struct ifaddrmsg: family, prefix, flags, scope, index
ROUTE = Struct(
    "=BBBBBBBBI"
)  # struct rtmsg: family, to, from, tos, table, protocol, scope, type, flags
NUMBER = Struct("=I")
COUNTERS = Struct("=16Q")  # the first of struct rtnl_link_stats64

IFF_UP = 0x1
IFF_LOOPBACK = 0x8
IFF_LOWER_UP = 0x10000
IFA_F_TEMPORARY = 0x01
IFA_F_DEPRECATED = 0x20
IFA_F_TENTATIVE = 0x40
IFA_F_PERMANENT = 0x80

FAMILIES = {socket.AF_INET: 4, socket.AF_INET6: 6}
SCOPES = {0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"}
STATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")


class Address(NamedTuple):
    """`family` is 4 or 6; `scope` is "global", "site", "link", "host" or the kernel's number.

    `dynamic`: it has a lifetime (DHCP, router advertisement). `temporary`: a privacy address of
    IPv6. `usable` is false while it is tentative or deprecated. `label` is what an IPv4 address
    is filed under: the name of the interface, or an alias such as eth0:1.
    """

    address: str
    prefix: int
    family: int
    scope: str
    dynamic: bool
    temporary: bool
    usable: bool
    label: str


class Counters(NamedTuple):
    """As /proc/net/dev shows them: `rx_dropped` counts missed packets, too."""

    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_errors: int
    tx_errors: int
    rx_dropped: int
    tx_dropped: int


class Link(NamedTuple):
    """`mac` is "" where there is none; `up` is the administrator's will, `carrier` the cable.

    `kind` is the driver of a virtual interface ("bridge", "veth", "vlan" ...), "" for the rest.
    `master` is the index of the bridge or bond it belongs to, or 0. `state` is as in
    /sys/class/net/*/operstate.
    """

    name: str
    index: int  # type: ignore[assignment]  # nobody looks a value up in a record
    mac: str
    flags: int
    up: bool
    carrier: bool
    loopback: bool
    state: str
    mtu: int
    kind: str
    master: int
    addresses: tuple[Address, ...]
    statistics: Optional[Counters]
    permanent_mac: str = ""  # the one it came with; "" before Linux 5.6, and for virtual ones

    @property
    def physical(self) -> bool:
        """Whether it stands for a device of the guest rather than for something it made up."""
        return not self.kind and not self.loopback


def links(root: Root) -> list[Link]:
    """All interfaces of our network namespace, by index. None below a Root that is not live."""
    if not root.live:
        return []
    addresses: dict[int, list[Address]] = {}
    for body in netlink.dump(RTM_GETADDR, ADDRESS.pack(0, 0, 0, 0, 0)):
        parsed = parse_address(body)
        if parsed is not None:
            addresses.setdefault(parsed[0], []).append(parsed[1])
    found = [parse_link(b, addresses) for b in netlink.dump(RTM_GETLINK, LINK.pack(0, 0, 0, 0, 0))]
    return sorted(found, key=lambda link: link.index)


def parse_link(body: bytes, addresses: dict[int, list[Address]]) -> Link:
    """An RTM_NEWLINK message without its header."""
    _, _, index, flags, _ = LINK.unpack_from(body)
    found = netlink.attributes(body, LINK.size)
    state = found.get(16, b"\0")[0]  # IFLA_OPERSTATE
    return Link(
        name=_text(found.get(3, b"")),  # IFLA_IFNAME
        index=index,
        mac=found.get(1, b"").hex(":"),  # IFLA_ADDRESS
        flags=flags,
        up=bool(flags & IFF_UP),
        carrier=bool(flags & IFF_LOWER_UP),
        loopback=bool(flags & IFF_LOOPBACK),
        state=STATES[state] if state < len(STATES) else "unknown",
        mtu=_number(found.get(4)),  # IFLA_MTU
        kind=_kind(found.get(18)),  # IFLA_LINKINFO
        master=_number(found.get(10)),  # IFLA_MASTER
        addresses=tuple(addresses.get(index, ())),
        statistics=_counters(found.get(23)),  # IFLA_STATS64
        permanent_mac=found.get(54, b"").hex(":"),  # IFLA_PERM_ADDRESS
    )


def parse_address(body: bytes) -> Optional[tuple[int, Address]]:
    """An RTM_NEWADDR message without its header: the interface's index and the address."""
    family, prefix, flags, scope, index = ADDRESS.unpack_from(body)
    if family not in FAMILIES:
        return None
    found = netlink.attributes(body, ADDRESS.size)
    packed = found.get(2) or found.get(1)  # IFA_LOCAL; IFA_ADDRESS is the peer's, where they differ
    if packed is None:
        return None
    flags = _number(found.get(8)) or flags  # IFA_FLAGS, when eight bits were too few
    return index, Address(
        address=socket.inet_ntop(family, packed),
        prefix=prefix,
        family=FAMILIES[family],
        scope=SCOPES.get(scope, str(scope)),
        dynamic=not flags & IFA_F_PERMANENT,
        # In IPv4 the same bit says "secondary".
        temporary=family == socket.AF_INET6 and bool(flags & IFA_F_TEMPORARY),
        usable=not flags & (IFA_F_TENTATIVE | IFA_F_DEPRECATED),
        label=_text(found.get(3, b"")),  # IFA_LABEL
    )


def _counters(packed: Optional[bytes]) -> Optional[Counters]:
    if packed is None or len(packed) < COUNTERS.size:
        return None
    values = COUNTERS.unpack_from(packed)
    counters = Counters._make(values[:8])
    rx_missed = values[15]
    return counters._replace(rx_dropped=counters.rx_dropped + rx_missed)


def _kind(info: Optional[bytes]) -> str:
    return _text(netlink.attributes(info, 0).get(1, b"")) if info else ""  # IFLA_INFO_KIND


def _number(packed: Optional[bytes]) -> int:
    return int(NUMBER.unpack(packed)[0]) if packed else 0


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "surrogateescape")
