"""What stays in the kernel when the file that set it has gone: MAC, MTU, being up, rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Optional

from .links import Link
from .model import Ethernet, File, Network

ETHERNET_MTU = 1500
SET_MTU = re.compile(r"(?:MTUBytes=|\bmtu )(\d+)$", re.MULTILINE)
SET_MAC = re.compile(r"(?:MACAddress=|\baddress )([0-9a-f:]{17})$", re.MULTILINE)
SECTION = re.compile(r"^\[RoutingPolicyRule\]\n((?:\w+=.*\n)+)", re.MULTILINE)
SELECTORS = {
    "From": "from",
    "To": "to",
    "FirewallMark": "fwmark",
    "TypeOfService": "tos",
    "Table": "lookup",
    "Priority": "priority",
}

Files = Mapping[str, Optional[File]]


def forgotten(network: Network, old: Files, links: Sequence[Link]) -> Iterator[list[str]]:
    """Commands that undo what files of ours had set, and the new network does not mention."""
    text = _joined(old)
    for ethernet in network.ethernets:
        for link in links:
            if link.name in ethernet.names:
                yield from _command(link.name, _forgotten(ethernet, link, text))


def back(old: Sequence[Link], new: Sequence[Link]) -> Iterator[list[str]]:
    """Commands that make links what they were."""
    now = {link.index: link for link in new}
    for link in old:
        there = now.get(link.index, link)
        words = ["address", link.mac] if there.mac != link.mac else []
        words += ["mtu", str(link.mtu)] if there.mtu != link.mtu else []
        words += ["down"] if there.up and not link.up else []
        yield from _command(there.name, words)


def forgotten_rules(old: Files, new: Files) -> Iterator[list[str]]:
    """Commands that delete the rules of old files for networkd; 247 leaves them where they are."""
    kept = set(SECTION.findall(_joined(new)))
    for section in SECTION.findall(_joined(old)):
        if section not in kept:
            found = dict(line.split("=", 1) for line in section.splitlines())
            pairs = [(word, found[key]) for key, word in SELECTORS.items() if key in found]
            family = "-6" if ":" in section else "-4"
            yield ["ip", family, "rule", "del", *(word for pair in pairs for word in pair)]


def _joined(files: Files) -> str:
    return "\n".join(file.text for file in files.values() if file is not None)


def _forgotten(ethernet: Ethernet, link: Link, text: str) -> list[str]:
    words = []
    if not ethernet.mac and link.permanent_mac and link.mac in SET_MAC.findall(text):
        words += ["address", link.permanent_mac]
    if not ethernet.mtu and str(link.mtu) in SET_MTU.findall(text):
        words += ["mtu", str(ETHERNET_MTU)]
    return words


def _command(name: str, words: list[str]) -> Iterator[list[str]]:
    if words:
        yield ["ip", "link", "set", "dev", name, *words]
