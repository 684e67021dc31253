"""Which interfaces of this guest a host's configuration stands for."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from ...errors import InvalidArgument
from ..root import Root
from .links import links
from .model import Ethernet, Match, Network

CLASS = "/sys/class/net"
ARPHRD_ETHER = "1"


def bind(root: Root, network: Network) -> Network:
    """The network with `names` filled in.

    Raises InvalidArgument when a device is not in this guest, or when two share one. Neither
    `optional` devices nor those of a mounted image need to be there.
    """
    bound = tuple(_bound(root, ethernet) for ethernet in network.ethernets)
    taken: dict[str, str] = {}
    for ethernet in bound:
        for name in ethernet.names:
            if taken.setdefault(name, ethernet.path) != ethernet.path:
                raise InvalidArgument(f"{ethernet.path} and {taken[name]} both mean {name}")
    return Network(bound)


def index(root: Root, name: str) -> str:
    """The number under which managers file an interface, as text; "" when it is not there."""
    return root.read_text(f"{CLASS}/{name}/ifindex", missing="").strip()


def _bound(root: Root, ethernet: Ethernet) -> Ethernet:
    names = tuple(sorted(_matching(root, ethernet.match)))
    if not names and root.names(CLASS) and not ethernet.optional:
        wanted = " and ".join(filter(None, ethernet.match))
        raise InvalidArgument(f"{ethernet.path}: no interface of this guest is {wanted}")
    if not names and ethernet.match == Match(ethernet.id):
        names = (ethernet.id,)
    return ethernet._replace(names=names)


def _matching(root: Root, match: Match) -> Iterator[str]:
    exact = match.name if not any(mark in match.name for mark in "*?[") else ""
    macs = _permanent_macs(root) if match.mac else {}
    for name in root.names(CLASS):
        if match.name and not fnmatchcase(name, match.name):
            continue
        if match.mac and macs.get(name) != match.mac:
            continue
        if name == exact or _is_ethernet(root, name):
            yield name


def _is_ethernet(root: Root, name: str) -> bool:
    """Bonds, bridges and VLANs may share a NIC's MAC, and call themselves so in DEVTYPE."""
    kind = root.read_text(f"{CLASS}/{name}/type", missing="").strip()
    return kind == ARPHRD_ETHER and "DEVTYPE=" not in root.read_text(
        f"{CLASS}/{name}/uevent", missing=""
    )


def _permanent_macs(root: Root) -> dict[str, str]:
    """The MAC that came with each NIC; the present one where the kernel does not tell it."""
    found = {
        name: root.read_text(f"{CLASS}/{name}/address", missing="").strip()
        for name in root.names(CLASS)
    }
    found.update({link.name: link.permanent_mac for link in links(root) if link.permanent_mac})
    return found
