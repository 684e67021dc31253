"""Routes of the guest, as the kernel tells them by rtnetlink.

Attribute numbers are those of linux/rtnetlink.h.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple, Optional

from ..root import Root
from . import netlink
from .links import FAMILIES, ROUTE, RTM_GETROUTE, SCOPES

NEXT_HOP = Struct("=HBBi")  # struct rtnexthop: length, flags, hops, index
RT_TABLE_LOCAL = 255
RTM_F_CLONED = 0x200  # a route the kernel made for one destination, not one that anybody set
TYPES = {
    1: "unicast",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
}
PROTOCOLS = {2: "kernel", 3: "boot", 4: "static", 9: "ra", 16: "dhcp"}
ANYWHERE = {4: "0.0.0.0", 6: "::"}


class Route(NamedTuple):
    """`to` has its prefix length; `via` and `source` are "" for none; `index` 0 for no interface.

    `type`, `scope` and `protocol` are the words of ip-route(8), or the kernel's numbers.
    """

    family: int
    to: str
    via: str
    index: int  # type: ignore[assignment]  # nobody looks a value up in a record
    metric: int
    table: int
    type: str
    scope: str
    protocol: str
    source: str

    @property
    def default(self) -> bool:
        return self.to.endswith("/0")


def routes(root: Root) -> list[Route]:
    """The routes of all tables but the kernel's own ("local"); none when the Root is not live."""
    if not root.live:
        return []
    bodies = netlink.dump(RTM_GETROUTE, ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))
    found = [route for body in bodies for route in parse_route(body)]
    return sorted(found, key=lambda route: (route.table, route.family, route.metric, route.to))


def parse_route(body: bytes) -> Iterator[Route]:
    """An RTM_NEWROUTE message without its header: a route for each way that it has.

    The kernel joins IPv6 routes of one destination and metric, also those of different
    interfaces. Nothing comes of what it keeps for itself.
    """
    family, length, _, _, table, protocol, scope, kind, flags = ROUTE.unpack_from(body)
    if family not in FAMILIES or table == RT_TABLE_LOCAL or flags & RTM_F_CLONED:
        return
    found = netlink.attributes(body, ROUTE.size)
    to = _address(family, found.get(1)) or ANYWHERE[FAMILIES[family]]  # RTA_DST
    only = (_number(found.get(4)), _address(family, found.get(5)))  # RTA_OIF, RTA_GATEWAY
    for index, via in _ways(family, found.get(9, b"")) or [only]:  # RTA_MULTIPATH
        yield Route(
            family=FAMILIES[family],
            to=f"{to}/{length}",
            via=via,
            index=index,
            metric=_number(found.get(6)),  # RTA_PRIORITY
            table=_number(found.get(15)) or table,  # RTA_TABLE, since a byte is too small
            type=TYPES.get(kind, str(kind)),
            scope=SCOPES.get(scope, str(scope)),
            protocol=PROTOCOLS.get(protocol, str(protocol)),
            source=_address(family, found.get(7)),  # RTA_PREFSRC
        )


def _ways(family: int, data: bytes) -> list[tuple[int, str]]:
    """(index, gateway) of each struct rtnexthop, which its own attributes follow."""
    found = []
    while len(data) >= NEXT_HOP.size:
        length, _, _, index = NEXT_HOP.unpack_from(data)
        inner = netlink.attributes(data[:length], NEXT_HOP.size)
        found.append((index, _address(family, inner.get(5))))
        data = data[max(length + 3 & ~3, NEXT_HOP.size) :]
    return found


def _address(family: int, packed: Optional[bytes]) -> str:
    return socket.inet_ntop(family, packed) if packed else ""


def _number(packed: Optional[bytes]) -> int:
    return int.from_bytes(packed or b"", sys.byteorder)
