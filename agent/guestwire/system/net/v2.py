"""The configuration's version 2 shape, as netplan and cloud-init have it, read into the model.

https://netplan.readthedocs.io/en/stable/netplan-yaml/ names the keys. Every key is either read,
refused by its path as unsupported, or wrong: none is passed over.
"""

from __future__ import annotations

from typing import Any, Optional

from . import values
from .model import (
    ANYWHERE,
    MAIN_TABLE,
    NO_DEVICE,
    Address,
    Ethernet,
    Lease,
    Match,
    Network,
    Route,
    Rule,
)
from .reading import Faults, Key, each, fields, keys, leaf, refused, several, show

U32 = (1 << 32) - 1
FORWARDED = ("unicast", "anycast", "broadcast", "local", "multicast", "nat", "xresolve")


def _later(names: str) -> dict[str, Key]:
    """Keys that netplan knows and we cannot do yet; they are refused by name."""
    return dict.fromkeys(names.split(), Key("", refused("is not supported yet")))


switch = leaf(values.switch)
metric = leaf(values.number(0, U32))
mtu = leaf(values.number(68, 65535))

MATCH = {
    "name": Key("name", leaf(values.name_pattern)),
    "macaddress": Key("mac", leaf(values.mac)),
    **_later("driver"),
}
ADDRESS = {
    "label": Key("label", leaf(values.label)),
    "lifetime": Key("forever", leaf(values.lifetime)),
}
ROUTE = {
    **keys(
        to=leaf(values.destination),
        via=leaf(values.address),
        metric=metric,
        table=leaf(values.number(1, U32)),
        mtu=mtu,
        on_link=switch,
        type=leaf(values.one_of(*FORWARDED, *NO_DEVICE)),
        scope=leaf(values.one_of("global", "link", "host")),
    ),
    **_later("congestion-window advertised-receive-window advertised-mss"),
    "from": Key("source", leaf(values.address)),
}
RULE = {
    **keys(
        to=leaf(values.network),
        table=leaf(values.number(1, U32)),
        priority=leaf(values.number(0, U32)),
        mark=leaf(values.number(1, U32)),
        type_of_service=leaf(values.number(0, 255)),
    ),
    "from": Key("source", leaf(values.network)),
}
LEASE = keys(
    hostname=leaf(values.domain),
    route_metric=metric,
    send_hostname=switch,
    use_dns=switch,
    use_domains=leaf(values.use_domains),
    use_hostname=switch,
    use_mtu=switch,
    use_ntp=switch,
    use_routes=switch,
)
NAMESERVERS = {
    "addresses": Key("dns", several(leaf(values.address))),
    "search": Key("search", several(leaf(values.domain))),
}


def read(config: object) -> Network:
    """The model of a configuration, with or without "network" around it.

    Raises InvalidArgument, or else Unsupported, with the path of each key that is at fault.
    """
    faults = Faults()
    if isinstance(config, dict) and set(config) == {"network"}:
        config = config["network"]
    found = fields(TOP, config, "", faults)
    ethernets: tuple[Optional[Ethernet], ...] = found.get("ethernets", ())
    if not ethernets and not faults.wrong and not faults.unsupported:
        faults.wrong.append("ethernets: there is nothing to configure")
    faults.settle()
    return Network(tuple(ethernet for ethernet in ethernets if ethernet is not None))


def _match(value: object, path: str, faults: Faults) -> Match:
    found = fields(MATCH, value, path, faults)
    if value == {}:
        faults.wrong.append(f"{path}: needs a name or a macaddress")
    return Match(**found)


def _address(value: object, path: str, faults: Faults) -> Optional[Address]:
    """ "192.0.2.1/24", or {"192.0.2.1/24": {"label": ..., "lifetime": ...}}."""
    more: dict[str, Any] = {}
    if isinstance(value, dict):
        if len(value) != 1:
            faults.wrong.append(f"{path}: {show(value)} is not one address with what it has")
            return None
        ((value, inner),) = value.items()
        more = fields(ADDRESS, inner, f"{path}.{value}", faults)
    parts = leaf(values.interface_address)(value, path, faults)
    if parts is None:
        return None
    if more.get("label") and parts[2] != 4:
        faults.wrong.append(f"{path}.{value}.label: only an IPv4 address can have one")
    return Address(*parts, **more)


def _route(value: object, path: str, faults: Faults) -> Optional[Route]:
    before = len(faults.wrong)
    found = fields(ROUTE, value, path, faults)
    if "to" not in found and isinstance(value, dict):
        faults.wrong.append(f"{path}: needs a 'to'")
    if len(faults.wrong) > before:
        return None
    route = _with_family(found)
    _check_route(route, path, faults)
    return route


def _with_family(found: dict[str, Any]) -> Route:
    """ "default" is of its gateway's family, or its source's; of IPv4 when it has neither."""
    to = found.pop("to")
    family = values.family_of(
        found.get("via") or found.get("source", "") if to == "default" else to
    )
    return Route(ANYWHERE[family] if to == "default" else to, family, **found)


def _check_route(route: Route, path: str, faults: Faults) -> None:
    for name, text in (("via", route.via), ("from", route.source)):
        if text and values.family_of(text) != route.family:
            faults.wrong.append(f"{path}.{name}: {text} is of another family than {route.to}")
    if route.type in NO_DEVICE and route.via:
        faults.wrong.append(f"{path}.via: a route of type {route.type} has no gateway")
    if route.type == "unicast" and not route.via and route.scope in ("", "global"):
        faults.wrong.append(f"{path}: needs a 'via', or the scope 'link'")
    if route.on_link and not route.via:
        faults.wrong.append(f"{path}.on-link: says where the gateway is, and there is no 'via'")


def _rule(value: object, path: str, faults: Faults) -> Optional[Rule]:
    before = len(faults.wrong)
    found = fields(RULE, value, path, faults)
    ends = [found[name] for name in ("source", "to") if found.get(name)]
    if len(faults.wrong) > before:
        return None
    if not ends:
        faults.wrong.append(f"{path}: needs a 'from' or a 'to'")
        return None
    families = set(map(values.family_of, ends))
    if len(families) > 1:
        faults.wrong.append(f"{path}: 'from' and 'to' are of different families")
    return Rule(**{"family": families.pop(), "table": MAIN_TABLE, **found})


def _lease(value: object, path: str, faults: Faults) -> Lease:
    return Lease(**fields(LEASE, value, path, faults))


def _nameservers(value: object, path: str, faults: Faults) -> dict[str, tuple[str, ...]]:
    return fields(NAMESERVERS, value, path, faults)


ETHERNET = {
    **keys(
        match=_match,
        dhcp4=switch,
        dhcp6=switch,
        addresses=several(_address),
        gateway4=leaf(values.address_of(4)),
        gateway6=leaf(values.address_of(6)),
        routes=several(_route),
        nameservers=_nameservers,
        mtu=mtu,
        accept_ra=switch,
        link_local=leaf(values.link_local),
        optional=switch,
        wakeonlan=switch,
    ),
    "dhcp4-overrides": Key("lease4", _lease),
    "dhcp6-overrides": Key("lease6", _lease),
    "macaddress": Key("mac", leaf(values.own_mac)),
    "routing-policy": Key("rules", several(_rule)),
    **_later(
        "set-name activation-mode auth critical delegated dhcp-identifier emit-lldp"
        " embedded-switch-mode delay-virtual-functions-rebind generic-receive-offload"
        " generic-segmentation-offload ignore-carrier infiniband-mode"
        " ipv6-address-generation ipv6-address-token ipv6-mtu ipv6-privacy"
        " large-receive-offload link neigh-suppress networkmanager openvswitch"
        " optional-addresses ra-overrides receive-checksum-offload renderer"
        " tcp-segmentation-offload tcp6-segmentation-offload transmit-checksum-offload"
        " virtual-function-count"
    ),
}


def _ethernet(name: str, value: object, path: str, faults: Faults) -> Optional[Ethernet]:
    before = len(faults.wrong)
    found = fields(ETHERNET, value, path, faults)
    leaf(values.identifier if "match" in found else values.interface)(name, path, faults)
    if len(faults.wrong) > before or faults.unsupported:
        return None
    routes = found.pop("routes", ())
    for family in (4, 6):
        if f"gateway{family}" in found:
            via = found.pop(f"gateway{family}")
            routes = (Route(ANYWHERE[family], family, via), *routes)
    ethernet = Ethernet(
        name,
        found.pop("match", Match(name)),
        routes=routes,
        **found.pop("nameservers", {}),
        **found,
    )
    _check_twice(ethernet, path, faults)
    return ethernet


def _check_twice(ethernet: Ethernet, path: str, faults: Faults) -> None:
    """The kernel takes an address once, and a route once for each table and metric.

    For IPv6 it would join a second one to the first, as a route with two ways.
    """
    addresses = [address.address for address in ethernet.addresses]
    for text in sorted({text for text in addresses if addresses.count(text) > 1}):
        faults.wrong.append(f"{path}.addresses: {text} is there twice")
    routes = [(route.to, route.table or MAIN_TABLE, route.metric or 0) for route in ethernet.routes]
    for to, table, cost in sorted({route for route in routes if routes.count(route) > 1}):
        faults.wrong.append(f"{path}.routes: two go to {to} in table {table} with metric {cost}")


TOP = {
    "version": Key("", leaf(values.version)),
    "ethernets": Key("ethernets", each(_ethernet)),
    **_later(
        "renderer bonds bridges vlans vrfs tunnels wifis modems dummy-devices"
        " virtual-ethernets nm-devices openvswitch"
    ),
}
