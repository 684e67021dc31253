"""systemd-networkd: one .network file a device (systemd.network(5)).

The first file that matches a link is the only one that counts, whichever directory it is in.
cloud-init's begin with 10-cloud-init-, netplan's with 10-netplan-: ours have to sort before both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Optional, Union

from ...errors import Unsupported
from ..root import Root
from ..run import Run
from . import nics
from .model import Address, Ethernet, File, Lease, Network, Route, Rule

NAME = "systemd-networkd"
DIRECTORY = "/etc/systemd/network"
LINKS = "/run/systemd/netif/links"
UNIT = "systemd-networkd.service"
SIGNS = (
    f"/run/systemd/units/invocation:{UNIT}",  # there while the unit runs
    f"/etc/systemd/system/multi-user.target.wants/{UNIT}",  # enabled, for an image
)
UNOWNED = ("unmanaged", "pending", "initialized")
HEADER = "# Written by guestwire, and replaced at the next network.apply.\n"

Line = tuple[str, Union[str, int, bool, None]]


def present(root: Root) -> bool:
    """Whether it runs in this guest, or will after the next boot."""
    return any(True for sign in SIGNS for _ in root.glob(sign))


def owns(root: Root, name: str) -> bool:
    """Whether it has a .network file for the interface, and is running."""
    if not any(root.glob(SIGNS[0])):
        return False
    return _state(root, name).get("ADMIN_STATE", "unmanaged") not in UNOWNED


def paths(ethernet: Ethernet) -> list[str]:
    """The files that hold a device here."""
    name = ethernet.names[0] if len(ethernet.names) == 1 else ethernet.id
    return [f"{DIRECTORY}/05-guestwire-{name}.network"]


def render(network: Network) -> dict[str, File]:
    """Raises Unsupported naming each key that networkd has no word for."""
    lost = [key for ethernet in network.ethernets for key in _inexpressible(ethernet)]
    if lost:
        raise Unsupported("; ".join(f"{key}: {NAME} cannot do this" for key in lost))
    return {paths(ethernet)[0]: File(_text(ethernet)) for ethernet in network.ethernets}


def clear(root: Root, network: Network) -> dict[str, Optional[File]]:
    """Nothing else is in the way: a file that sorts later does not count."""
    return {}


def running(root: Root, names: Sequence[str]) -> list[str]:
    """All: a link that no file matches is taken down by activating just the same."""
    return list(names)


def release(root: Root, run: Run, names: Sequence[str], deadline: float) -> None:
    """networkd itself takes down what its files no longer ask for."""


def activate(root: Root, run: Run, names: Sequence[str], changed: bool, deadline: float) -> None:
    """A reload reconfigures the links whose files have changed, and no others.

    A second reconfiguration on top of that would take down again what had just come up.
    """
    if changed:
        run(["networkctl", "reload"], deadline=deadline).check()
    elif names:
        run(["networkctl", "reconfigure", *names], deadline=deadline).check()


def unsettled(root: Root, name: str, ethernet: Ethernet) -> str:
    """What keeps a link from being as its file says; "" when it is. Both answers come at once."""
    used = network_file(root, name)
    if used and used not in paths(ethernet):
        return f"{name} takes its configuration from {used}, which comes first"
    state = _state(root, name).get("ADMIN_STATE", "unmanaged")
    return "" if state == "configured" else f"{name} is {state} to {NAME}"


def network_file(root: Root, name: str) -> str:
    """The file from which a link has been configured; "" for none."""
    return _state(root, name).get("NETWORK_FILE", "")


def _state(root: Root, name: str) -> dict[str, str]:
    """What networkd tells about a link. The file is for sd-network(3); its keys have been kept."""
    number = nics.index(root, name)
    text = root.read_text(f"{LINKS}/{number}", missing="") if number else ""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _inexpressible(ethernet: Ethernet) -> Iterator[str]:
    if ethernet.wakeonlan:  # a .link file's matter, which would replace the naming policy, too
        yield f"{ethernet.path}.wakeonlan"
    # 247 knows no more of them in [DHCPv6], and passes over what it does not know.
    known = {"use_dns", "use_ntp"}
    for field, value in ethernet.lease6._asdict().items():
        if field not in known and value not in (None, ""):
            yield f"{ethernet.path}.dhcp6-overrides.{field.replace('_', '-')}"


def _text(ethernet: Ethernet) -> str:
    plain = [one for one in ethernet.addresses if not one.label and one.forever is None]
    parts = [
        _section("Match", _match(ethernet)),
        _section("Link", _link(ethernet)),
        _section("Network", [*_network(ethernet), *(("Address", str(one)) for one in plain)]),
        *(_section("Address", _address(one)) for one in ethernet.addresses if one not in plain),
        *(_section("Route", _route(route)) for route in ethernet.routes),
        *(_section("RoutingPolicyRule", _rule(rule)) for rule in ethernet.rules),
        _section("DHCPv4", _lease4(ethernet.lease4)),
        _section("DHCPv6", _lease6(ethernet.lease6)),
        _section("IPv6AcceptRA", [("UseDNS", ethernet.lease6.use_dns)]),
    ]
    return HEADER + "\n".join(filter(None, parts))


def _section(name: str, lines: Sequence[Line]) -> str:
    """A section without the lines that have no value; "" when it has no lines then."""
    texts = [f"{key}={_word(value)}\n" for key, value in lines if value not in (None, "")]
    return f"[{name}]\n" + "".join(texts) if texts else ""


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _match(ethernet: Ethernet) -> list[Line]:
    """A bond or a VLAN has its NIC's MAC as well, but is not of type ether."""
    lines: list[Line] = [("Name", ethernet.match.name)]
    if ethernet.match.mac:
        lines = [("PermanentMACAddress", ethernet.match.mac), ("Type", "ether"), *lines]
    return lines


def _link(ethernet: Ethernet) -> list[Line]:
    return [
        ("MACAddress", ethernet.mac),
        ("MTUBytes", ethernet.mtu),
        ("RequiredForOnline", False if ethernet.optional else None),
    ]


def _network(ethernet: Ethernet) -> list[Line]:
    dhcp = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6"}
    return [
        ("DHCP", dhcp.get((ethernet.dhcp4, ethernet.dhcp6), "no")),
        ("LinkLocalAddressing", _link_local(ethernet.link_local)),
        ("IPv6AcceptRA", ethernet.accept_ra),
        *(("DNS", server) for server in ethernet.dns),
        ("Domains", " ".join(ethernet.search)),
    ]


def _link_local(families: Optional[tuple[str, ...]]) -> Optional[str]:
    if families is None or len(families) == 1:
        return families[0] if families else None
    return "yes" if families else "no"


def _address(address: Address) -> list[Line]:
    lifetime = {True: "forever", False: "0", None: None}[address.forever]
    return [
        ("Address", str(address)),
        ("Label", address.label),
        ("PreferredLifetime", lifetime),
    ]


def _route(route: Route) -> list[Line]:
    return [
        ("Destination", route.to),
        ("Gateway", route.via),
        ("GatewayOnLink", True if route.on_link else None),
        ("PreferredSource", route.source),
        ("Metric", route.metric),
        ("Table", route.table),
        ("MTUBytes", route.mtu),
        ("Type", route.type if route.type != "unicast" else None),
        ("Scope", route.scope),
    ]


def _rule(rule: Rule) -> list[Line]:
    return [
        ("From", rule.source),
        ("To", rule.to),
        ("Table", rule.table),
        ("Priority", rule.priority),
        ("FirewallMark", rule.mark),
        ("TypeOfService", rule.type_of_service),
    ]


def _lease4(lease: Lease) -> list[Line]:
    return [
        ("Hostname", lease.hostname),
        ("RouteMetric", lease.route_metric),
        ("SendHostname", lease.send_hostname),
        ("UseDNS", lease.use_dns),
        ("UseDomains", lease.use_domains),
        ("UseHostname", lease.use_hostname),
        ("UseMTU", lease.use_mtu),
        ("UseNTP", lease.use_ntp),
        ("UseRoutes", lease.use_routes),
    ]


def _lease6(lease: Lease) -> list[Line]:
    return [("UseDNS", lease.use_dns), ("UseNTP", lease.use_ntp)]
