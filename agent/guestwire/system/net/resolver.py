"""Who keeps /etc/resolv.conf, and what it says.

A static name server reaches programs through systemd-resolved or resolvconf where one of them is
at work; they get it from the network manager. Where neither is, the file is written here.
"""

from __future__ import annotations

from typing import Optional

from ...errors import Unsupported
from ..root import Root
from .model import File, Network

PATH = "/etc/resolv.conf"
RESOLVED_SIGN = "/run/systemd/units/invocation:systemd-resolved.service"
UPSTREAM = "/run/systemd/resolve/resolv.conf"  # what resolved asks; the stub's file names itself
RESOLVCONF = ("/sbin/resolvconf", "/usr/sbin/resolvconf")
HEADER = "# Written by guestwire, and replaced at the next network.apply.\n"


def keeper(root: Root) -> str:
    """ "systemd-resolved", "resolvconf", "file", or "link" for a link that somebody else made."""
    if any(root.glob(RESOLVED_SIGN)):
        return "systemd-resolved"
    if any(map(root.exists, RESOLVCONF)):
        return "resolvconf"
    return "link" if _is_link(root) else "file"


def render(root: Root, network: Network, manager: str) -> dict[str, Optional[File]]:
    """The file, when nobody else keeps it and the network names servers.

    networkd has no way to resolvconf. Raises Unsupported when what is asked for would be lost.
    """
    servers = [server for ethernet in network.ethernets for server in ethernet.dns]
    search = [domain for ethernet in network.ethernets for domain in ethernet.search]
    who = keeper(root)
    if not (servers or search) or who == "systemd-resolved":
        return {}
    if who == "resolvconf" and manager == "ifupdown":
        return {}
    path = next(one.path for one in network.ethernets if one.dns or one.search)
    if who != "file":
        kept = "resolvconf" if who == "resolvconf" else f"a link to {root.readlink(PATH)}"
        raise Unsupported(
            f"{path}.nameservers: {PATH} is kept by {kept}, which {manager} cannot reach"
        )
    if manager == "ifupdown" and any(one.dhcp4 or one.dhcp6 for one in network.ethernets):
        raise Unsupported(
            f"{path}.nameservers: the DHCP client of {manager} replaces {PATH} without resolvconf"
        )
    return {PATH: File(_text(servers, search), mode=None)}


def show(root: Root) -> dict[str, object]:
    """Name servers and search domains in use, and who keeps them."""
    who = keeper(root)
    path = UPSTREAM if who == "systemd-resolved" and root.exists(UPSTREAM) else PATH
    servers: list[str] = []
    search: list[str] = []
    for line in root.read_text(path, missing="").splitlines():
        words = line.split()
        if words[:1] == ["nameserver"]:
            servers += words[1:2]
        elif words and words[0] in ("search", "domain"):
            search = words[1:]
    return {"source": who, "path": path, "servers": servers, "search": search}


def _text(servers: list[str], search: list[str]) -> str:
    """Each once: several devices may name the same."""
    lines = [f"nameserver {server}\n" for server in dict.fromkeys(servers)]
    if search:
        lines.append(f"search {' '.join(dict.fromkeys(search))}\n")
    return HEADER + "".join(lines)


def _is_link(root: Root) -> bool:
    try:
        root.readlink(PATH)
    except OSError:  # EINVAL is the kernel's way to say that it is a file
        return False
    return True
