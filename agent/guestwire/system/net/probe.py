"""Whether a configuration has taken effect, by what the kernel says."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ...errors import CommandError
from ..links import Link, links
from ..root import Root
from ..routes import Route, routes
from .model import MAIN_TABLE, Ethernet, Network

INTERVAL = 0.2


def wait(root: Root, network: Network, deadline: float) -> None:
    """Return as soon as nothing is missing; CommandError at the deadline, with what is."""
    while True:
        missing = lacking_now(root, network)
        if not missing:
            return
        if time.monotonic() >= deadline:
            raise CommandError("; ".join(missing))
        time.sleep(INTERVAL)


def lacking_now(root: Root, network: Network) -> list[str]:
    return list(lacking(network, links(root), routes(root)))


def lacking(network: Network, found: list[Link], ways: list[Route]) -> Iterator[str]:
    """What is not there yet of links, addresses and default routes."""
    for ethernet in network.ethernets:
        if ethernet.optional:
            continue
        for name in ethernet.names:
            link = next((one for one in found if one.name == name), None)
            if link is None:
                yield f"{name} is gone"
            elif not link.up or not link.carrier:
                yield f"{name} is {'without carrier' if link.up else 'down'}"
            else:
                yield from _lacking_addresses(ethernet, link)
                yield from _lacking_routes(ethernet, link, ways)


def _lacking_addresses(ethernet: Ethernet, link: Link) -> Iterator[str]:
    """DHCPv6 beside DHCPv4 need not have answered: many networks have the one only."""
    there = {(one.address, one.prefix) for one in link.addresses}
    for address in ethernet.addresses:
        if (address.address, address.prefix) not in there:
            yield f"{link.name} has no {address}"
    dynamic = {one.family for one in link.addresses if one.dynamic and one.scope == "global"}
    if ethernet.dhcp4 and 4 not in dynamic:
        yield f"{link.name} has no address from DHCP"
    if ethernet.dhcp6 and not ethernet.dhcp4 and 6 not in dynamic:
        yield f"{link.name} has no address from DHCPv6"


def _lacking_routes(ethernet: Ethernet, link: Link, ways: list[Route]) -> Iterator[str]:
    there = {(way.to, way.via, way.table) for way in ways if way.index == link.index}
    for route in ethernet.routes:
        wanted = (route.to, route.via, route.table or MAIN_TABLE)
        if route.default and route.type == "unicast" and wanted not in there:
            via = f" via {route.via}" if route.via else ""
            yield f"{link.name} has no default route{via}"
