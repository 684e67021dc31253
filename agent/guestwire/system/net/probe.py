"""Whether a configuration has taken effect, by what the kernel says."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from ...errors import CommandError
from ..root import Root
from .detect import Backend
from .links import Link, links
from .model import MAIN_TABLE, Ethernet, Network
from .routes import Route, routes

INTERVAL = 0.2
LOOKS = 3  # in a row without anything missing: networkd begins a little after it was told to


class State(NamedTuple):
    """What the kernel says of some links, or of all."""

    links: list[Link]
    routes: list[Route]

    @classmethod
    def now(cls, root: Root, names: Optional[Sequence[str]] = None) -> State:
        found = [link for link in links(root) if names is None or link.name in names]
        indexes = {link.index for link in found}
        return cls(found, [way for way in routes(root) if way.index in indexes])


def wait(root: Root, backend: Backend, network: Network, deadline: float) -> None:
    """Return when nothing is missing any more; CommandError at the deadline, with what is."""
    good = 0
    while good < LOOKS:
        time.sleep(INTERVAL)
        missing = [*_unsettled(root, backend, network), *lacking_now(root, network)]
        good = 0 if missing else good + 1
        if missing and time.monotonic() >= deadline:
            raise CommandError("; ".join(missing))


def wait_back(root: Root, old: State, deadline: float) -> str:
    """Wait for what was there to be there again; "" or what is still missing at the deadline."""
    while True:
        missing = "; ".join(gone(old, State.now(root)))
        if not missing or time.monotonic() >= deadline:
            return missing
        time.sleep(INTERVAL)


def gone(old: State, new: State) -> Iterator[str]:
    """What DHCP or a router gave may well be another thing now."""
    there = {(link.index, one.address) for link in new.links for one in link.addresses}
    for link in old.links:
        for one in link.addresses:
            lasting = not one.dynamic and one.scope != "link"
            if lasting and (link.index, one.address) not in there:
                yield f"{link.name} has no {one.address}/{one.prefix}"
    ways = {(way.to, way.via, way.index, way.table) for way in new.routes}
    for way in old.routes:
        lasting = way.default and way.protocol not in ("ra", "dhcp")
        if lasting and (way.to, way.via, way.index, way.table) not in ways:
            yield f"there is no route to {way.to} via {way.via}"


def _unsettled(root: Root, backend: Backend, network: Network) -> Iterator[str]:
    for ethernet in network.ethernets:
        for name in ethernet.names if not ethernet.optional else ():
            reason = backend.unsettled(root, name, ethernet)
            if reason:
                yield reason


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
    there = {(one.address, one.prefix): one.usable for one in link.addresses}
    for address in ethernet.addresses:
        usable = there.get((address.address, address.prefix))
        if usable is None:
            yield f"{link.name} has no {address}"
        elif not usable and address.forever is not False:
            yield f"{link.name} may not use {address} yet: others may have it"
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
