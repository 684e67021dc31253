"""Routes of the guest, as the kernel tells them by rtnetlink.

Attribute numbers are those of linux/rtnetlink.h.
"""

from __future__ import annotations

import socket
import sys
from typing import NamedTuple, Optional

from . import netlink
from .links import FAMILIES, ROUTE, RT_TABLE_MAIN, RTM_GETROUTE, SCOPES
from .root import Root

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
    found = [route for route in map(parse_route, bodies) if route is not None]
    return sorted(found, key=lambda route: (route.table, route.family, route.metric, route.to))


def parse_route(body: bytes) -> Optional[Route]:
    """An RTM_NEWROUTE message without its header; None for what the kernel keeps for itself."""
    family, length, _, _, table, protocol, scope, kind, flags = ROUTE.unpack_from(body)
    if family not in FAMILIES or table == 255 or flags & RTM_F_CLONED:  # 255 is RT_TABLE_LOCAL
        return None
    found = netlink.attributes(body, ROUTE.size)

    def address(number: int) -> str:
        return socket.inet_ntop(family, found[number]) if number in found else ""

    def value(number: int) -> int:
        return int.from_bytes(found.get(number, b""), sys.byteorder)

    return Route(
        family=FAMILIES[family],
        to=f"{address(1) or ANYWHERE[FAMILIES[family]]}/{length}",  # RTA_DST
        via=address(5),  # RTA_GATEWAY
        index=value(4),  # RTA_OIF
        metric=value(6),  # RTA_PRIORITY
        table=value(15) or table or RT_TABLE_MAIN,  # RTA_TABLE, since a byte is too small
        type=TYPES.get(kind, str(kind)),
        scope=SCOPES.get(scope, str(scope)),
        protocol=PROTOCOLS.get(protocol, str(protocol)),
        source=address(7),  # RTA_PREFSRC
    )
