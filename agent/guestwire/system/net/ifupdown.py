"""Debian's ifupdown: one file of stanzas an interface (interfaces(5)).

What its methods have no option for is done by `up` commands, with their inverse as `down`. Of
values that end up in these commands the reader has taken away all that a shell would act on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from ...errors import CommandError, Unsupported
from ..root import Root
from ..run import Run
from . import interfaces_file
from .model import NO_DEVICE, Address, Ethernet, File, Lease, Network, Route, Rule

NAME = "ifupdown"
DIRECTORY = "/etc/network/interfaces.d"
STATE = "/run/network/ifstate"
SIGNS = ("/lib/ifupdown/settle-dad.sh", "/usr/lib/ifupdown/settle-dad.sh")  # not in -ng, nor 2
HEADER = "# Written by guestwire, and replaced at the next network.apply.\n"
LOOPBACK = "auto lo\niface lo inet loopback\n"
SOURCE = f"\nsource {DIRECTORY}/guestwire-*\n"
# The agent's umask would make a resolv.conf, which hooks of ifup write, readable for root only.
EVERYBODY_READS = ("sh", "-c", 'umask 022 && exec "$@"', "ifup")
PROC = "/proc/sys/net/ipv6/conf"


class Stanza(NamedTuple):
    """`iface NAME inet METHOD` and what stands below it."""

    family: int
    method: str
    lines: list[str]


def present(root: Root) -> bool:
    """Whether it is installed, and this is Debian's own: others share its commands only."""
    return any(map(root.exists, SIGNS)) and root.exists(interfaces_file.MAIN)


def owns(root: Root, name: str) -> bool:
    """Whether it has brought the interface up, or has a stanza for it."""
    if not present(root):
        return False
    texts = interfaces_file.files(root).values()
    return name in _up(root) or any(interfaces_file.mentions(text, name) for text in texts)


def running(root: Root, names: Sequence[str]) -> list[str]:
    """Those that it has brought up."""
    return [name for name in names if name in _up(root)]


def paths(ethernet: Ethernet) -> list[str]:
    return [_path(name) for name in ethernet.names]


def render(network: Network) -> dict[str, File]:
    """Raises Unsupported naming each key that ifupdown has no word for."""
    lost = [key for ethernet in network.ethernets for key in _inexpressible(ethernet)]
    if lost:
        raise Unsupported("; ".join(f"{key}: {NAME} cannot do this" for key in lost))
    return {
        _path(name): File(_text(ethernet, name))
        for ethernet in network.ethernets
        for name in ethernet.names
    }


def clear(root: Root, network: Network) -> dict[str, Optional[File]]:
    """Other files without what they say of these interfaces, and the main one sourcing ours."""
    names = {name for ethernet in network.ethernets for name in ethernet.names}
    ours = [path for ethernet in network.ethernets for path in paths(ethernet)]
    read = interfaces_file.files(root) or {interfaces_file.MAIN: LOOPBACK}
    changed: dict[str, Optional[File]] = {}
    for path, text in read.items():
        wanted = text if path in ours else interfaces_file.without(text, names)
        if path == interfaces_file.MAIN and not all(
            interfaces_file.reads(read, one) for one in ours
        ):
            wanted += SOURCE
        if wanted != text:
            changed[path] = File(wanted, mode=None)
    return changed


def release(root: Root, run: Run, names: Sequence[str], deadline: float) -> None:
    """Take interfaces down with the files that brought them up, which only those can undo.

    What is left then was not ifupdown's doing, or its files had been changed meanwhile.
    """
    for name in names:
        run(["ifdown", "--force", name], deadline=deadline)
        run(["ip", "address", "flush", "dev", name], deadline=deadline)
        run(["ip", "link", "set", "dev", name, "down"], deadline=deadline)


def activate(root: Root, run: Run, names: Sequence[str], changed: bool, deadline: float) -> None:
    """A DHCP client stays behind: in a scope it is no part of the agent's own unit."""
    systemd = root.exists("/run/systemd/system")
    scope = ["systemd-run", "--quiet", "--collect", "--scope"] if systemd else []
    for name in names:
        done = run([*scope, *EVERYBODY_READS, "ifup", "--force", name], deadline=deadline)
        if done.code:
            raise CommandError(f"ifup {name}: {done.text}")


def unsettled(root: Root, name: str, ethernet: Ethernet) -> str:
    """Nothing: ifup ends when all is done, and has told what failed."""
    return ""


def _up(root: Root) -> set[str]:
    """Lines are physical=logical; older ones add the options of the command line."""
    lines = root.read_text(STATE, missing="").splitlines()
    return {line.partition("=")[0] for line in lines}


def _path(name: str) -> str:
    """`source-directory` takes up letters, digits, - and _ only, and a VLAN has a dot."""
    coded = re.sub(r"[^A-Za-z0-9-]", lambda found: f"_{ord(found.group()):02x}", name)
    return f"{DIRECTORY}/guestwire-{coded}"


def _inexpressible(ethernet: Ethernet) -> Iterator[str]:
    if not ethernet.names:  # stanzas are for names, and nothing here has this MAC
        yield f"{ethernet.path}.match"
    if ethernet.wakeonlan:
        yield f"{ethernet.path}.wakeonlan"
    if "ipv4" in (ethernet.link_local or ()):
        yield f"{ethernet.path}.link-local"
    for number, address in enumerate(ethernet.addresses):
        labels = tuple(f"{name}:" for name in ethernet.names)
        if address.label and not address.label.startswith(labels):  # ip(8) refuses others
            yield f"{ethernet.path}.addresses[{number}].label"
    yield from (f"{ethernet.path}.dhcp4-overrides.{key}" for key in _beyond_client(ethernet.lease4))
    six = ethernet.lease6._replace(route_metric=None)
    yield from (f"{ethernet.path}.dhcp6-overrides.{key}" for key in _beyond_client(six))
    if ethernet.lease6.route_metric is not None:
        yield f"{ethernet.path}.dhcp6-overrides.route-metric"


def _beyond_client(lease: Lease) -> Iterator[str]:
    """What dhclient does anyway may be asked for; the rest is in its own configuration."""
    anyway = Lease(use_dns=True, use_domains="yes", use_routes=True, send_hostname=True)
    for field, value in lease._replace(route_metric=None)._asdict().items():
        if value not in (None, "") and value != getattr(anyway, field):
            yield field.replace("_", "-")


def _text(ethernet: Ethernet, name: str) -> str:
    stanzas = [*_stanzas(ethernet, name, 4), *_stanzas(ethernet, name, 6)]
    if not stanzas:
        stanzas = [Stanza(4, "manual", [])]
    stanzas[0].lines[:0] = _device_lines(ethernet, name)
    start = "allow-hotplug" if ethernet.optional else "auto"
    words = {4: "inet", 6: "inet6"}
    parts = [
        f"iface {name} {words[stanza.family]} {stanza.method}\n"
        + "".join(f"    {line}\n" for line in stanza.lines)
        for stanza in stanzas
    ]
    return f"{HEADER}{start} {name}\n" + "\n".join(parts)


def _device_lines(ethernet: Ethernet, name: str) -> list[str]:
    """For the first stanza, since what they set counts before the link is up."""
    lines = []
    if ethernet.mac:
        lines.append(f"pre-up ip link set dev {name} address {ethernet.mac}")
    if ethernet.mtu:
        lines.append(f"pre-up ip link set dev {name} mtu {ethernet.mtu}")
    if ethernet.link_local is not None and "ipv6" not in ethernet.link_local:
        lines.append(f"pre-up ip link set dev {name} addrgenmode none")
        lines.append(f"post-down ip link set dev {name} addrgenmode eui64")
    if ethernet.accept_ra is False:
        lines.append(f"pre-up echo 0 > {PROC}/{name}/accept_ra")
        lines.append(f"post-down echo 1 > {PROC}/{name}/accept_ra")
    if ethernet.dns:
        lines.append(f"dns-nameservers {' '.join(ethernet.dns)}")
    if ethernet.search:
        lines.append(f"dns-search {' '.join(ethernet.search)}")
    return lines


def _stanzas(ethernet: Ethernet, name: str, family: int) -> list[Stanza]:
    """One for DHCP and one for each plain address; the last has the commands."""
    addresses, routes, rules = ethernet.of_family(family)
    plain = [one for one in addresses if not one.label and one.forever is not False]
    stanzas = list(_methods(ethernet, family))
    stanzas += [Stanza(family, "static", _static(ethernet, one)) for one in plain]
    commands = [
        *(_address_command(one, name) for one in addresses if one not in plain),
        *(line for route in routes for line in _route_commands(route, name)),
        *(line for rule in rules for line in _rule_commands(rule)),
    ]
    if commands and not stanzas:
        stanzas = [Stanza(family, "manual", [])]
    if commands:
        stanzas[-1].lines.extend(commands)
    return stanzas


def _methods(ethernet: Ethernet, family: int) -> Iterator[Stanza]:
    if family == 4 and ethernet.dhcp4:
        metric = ethernet.lease4.route_metric
        yield Stanza(4, "dhcp", [] if metric is None else [f"metric {metric}"])
    if family == 6 and ethernet.dhcp6:
        yield Stanza(6, "dhcp", _router_lines(ethernet))
    elif family == 6 and ethernet.accept_ra and not ethernet.of_family(6)[0]:
        yield Stanza(6, "auto", [])


def _static(ethernet: Ethernet, address: Address) -> list[str]:
    lines = [f"address {address}"]
    return lines + _router_lines(ethernet) if address.family == 6 else lines


def _router_lines(ethernet: Ethernet) -> list[str]:
    """2 is 1 that also holds while the guest forwards, as it does for networkd."""
    if ethernet.accept_ra is None:
        return []
    return ["accept_ra 2", "autoconf 1"] if ethernet.accept_ra else ["accept_ra 0", "autoconf 0"]


def _address_command(address: Address, name: str) -> str:
    """The method "static" has no label, and a lifetime for IPv6 only."""
    label = f" label {address.label}" if address.label else ""
    lifetime = " preferred_lft 0" if address.forever is False else ""
    broadcast = " broadcast +" if address.family == 4 and address.prefix < 31 else ""
    return f"up ip address add {address}{broadcast} dev {name}{label}{lifetime}"


def _route_commands(route: Route, name: str) -> list[str]:
    """Routes of the device go with it; those that lead nowhere have to be deleted."""
    what = _ip(route.family, "route")
    kind = f" {route.type}" if route.type != "unicast" else ""
    words = [
        ("via", route.via),
        ("dev", name if route.type not in NO_DEVICE else ""),
        ("src", route.source),
        ("metric", route.metric),
        ("table", route.table),
        ("mtu", route.mtu),
        ("scope", route.scope),
    ]
    rest = _words(words) + (" onlink" if route.on_link else "")
    lines = [f"up {what} replace{kind} {route.to}{rest}"]
    if route.type in NO_DEVICE:
        lines.append(f"down {what} del{kind} {route.to}{rest} || true")
    return lines


def _rule_commands(rule: Rule) -> list[str]:
    words = [
        ("from", rule.source or "all"),
        ("to", rule.to),
        ("fwmark", rule.mark),
        ("tos", rule.type_of_service),
        ("lookup", rule.table),
        ("priority", rule.priority),
    ]
    what, rest = _ip(rule.family, "rule"), _words(words)
    return [f"up {what} add{rest}", f"down {what} del{rest} || true"]


def _ip(family: int, what: str) -> str:
    return f"ip -6 {what}" if family == 6 else f"ip {what}"


def _words(pairs: Sequence[tuple[str, object]]) -> str:
    return "".join(f" {key} {value}" for key, value in pairs if value not in (None, ""))
