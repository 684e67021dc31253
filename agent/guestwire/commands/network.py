"""Network: what it is, and what it shall be from now on."""

from __future__ import annotations

from typing import Optional

from ..dispatch.command import Context
from ..system.net import detect, resolver, transaction, v2
from ..system.net.links import Link, links
from ..system.net.routes import Route, routes
from ..system.root import Root


def show(context: Context) -> dict[str, object]:
    """Every interface with what the kernel says of it, and the name servers in use."""
    root = context.root
    ways = routes(root)
    found = links(root)
    owners = {link.name: detect.owner(root, link.name) for link in found}
    interfaces = [
        {
            **_link(link, [way for way in ways if way.index == link.index]),
            "managed-by": owners[link.name] or None,
        }
        for link in found
    ]
    managers = sorted(set(owners.values()) - {""})
    return {
        "manager": managers[0] if len(managers) == 1 else None,
        "managers": managers,
        "interfaces": interfaces,
        "dns": resolver.show(root),
    }


def apply(
    context: Context, config: dict[str, object], manager: Optional[str] = None
) -> dict[str, object]:
    """Take up a configuration in netplan's shape, and answer when it works.

    When it does not, everything is put back, and the error says what was missing.
    """
    root = context.root
    network = v2.read(config)
    done = transaction.apply(root, context.run, network, manager, context.deadline)
    return {
        "manager": done.manager,
        "files": done.files,
        "applied": done.applied,
        "addresses": _addresses(root, done.names),
    }


def _addresses(root: Root, names: list[str]) -> list[dict[str, object]]:
    return [
        {"interface": link.name, "address": one.address, "prefix": one.prefix, "scope": one.scope}
        for link in links(root)
        if link.name in names
        for one in link.addresses
    ]


def _link(link: Link, ways: list[Route]) -> dict[str, object]:
    return {
        "name": link.name,
        "mac": link.mac,
        "mtu": link.mtu,
        "state": link.state,
        "flags": _flags(link),
        "carrier": link.carrier,
        "addresses": [
            {
                "address": one.address,
                "prefix": one.prefix,
                "scope": one.scope,
                "dynamic": one.dynamic,
                "temporary": one.temporary,
            }
            for one in link.addresses
        ],
        "routes": [_route(way) for way in ways],
        "default-route": any(way.default and way.type == "unicast" for way in ways),
    }


def _route(way: Route) -> dict[str, object]:
    """Without the keys that a route has no value for."""
    pairs = {
        "to": way.to,
        "via": way.via,
        "from": way.source,
        "metric": way.metric,
        "table": way.table,
        "type": way.type,
        "scope": way.scope,
        "protocol": way.protocol,
    }
    return {key: value for key, value in pairs.items() if value != ""}


FLAGS = {
    0x1: "up",
    0x2: "broadcast",
    0x8: "loopback",
    0x10: "pointopoint",
    0x40: "running",
    0x80: "noarp",
    0x100: "promisc",
    0x200: "allmulti",
    0x1000: "multicast",
    0x10000: "lower-up",
}


def _flags(link: Link) -> list[str]:
    """The names of ip-link(8), in lower case, from linux/if.h's bits."""
    return [name for bit, name in FLAGS.items() if link.flags & bit]
