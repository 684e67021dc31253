"""Network interfaces with their addresses, and routes, in the shapes of the QEMU guest agent."""

from __future__ import annotations

from ..dispatch.command import Context
from ..system.net import route_tables
from ..system.net.links import Address, Counters, Link, links

NO_MAC = "00:00:00:00:00:00"
MAC_SIZE = 17  # of six bytes, as text


def get_interfaces(context: Context) -> list[dict[str, object]]:
    """Devices of the guest first, as some hosts take the first address; then by index."""
    found = sorted(links(context.root), key=lambda link: not link.physical)
    return [entry for link in found for entry in _entries(link)]


def get_routes(context: Context) -> list[dict[str, object]]:
    ipv4 = [{**row._asdict(), "version": 4} for row in route_tables.ipv4(context.root)]
    ipv6 = [
        {
            **row._asdict(),
            "desprefixlen": str(row.desprefixlen),  # strings in the schema
            "srcprefixlen": str(row.srcprefixlen),
            "version": 6,
        }
        for row in route_tables.ipv6(context.root)
    ]
    return [*ipv4, *ipv6]


def _entries(link: Link) -> list[dict[str, object]]:
    """One, and one more for each alias (eth0:1), which libvirt folds together again."""
    named: dict[str, list[dict[str, object]]] = {}
    for address in link.addresses:
        named.setdefault(address.label or link.name, []).append(_address(address))
    entry: dict[str, object] = {"name": link.name, "hardware-address": _mac(link)}
    own = named.pop(link.name, None)
    if own:
        entry["ip-addresses"] = own
        if link.statistics is not None:
            entry["statistics"] = _statistics(link.statistics)
    aliases: list[dict[str, object]] = [
        {"name": label, "hardware-address": _mac(link), "ip-addresses": addresses}
        for label, addresses in named.items()
    ]
    return [entry, *aliases]


def _mac(link: Link) -> str:
    """Always six bytes, as SIOCGIFHWADDR gives them: of a tun zeros, of InfiniBand the first."""
    return (link.mac + NO_MAC[len(link.mac) :])[:MAC_SIZE]


def _address(address: Address) -> dict[str, object]:
    return {
        "ip-address": address.address,
        "ip-address-type": f"ipv{address.family}",
        "prefix": address.prefix,
    }


def _statistics(counters: Counters) -> dict[str, int]:
    return {
        "rx-bytes": counters.rx_bytes,
        "rx-packets": counters.rx_packets,
        "rx-errs": counters.rx_errors,
        "rx-dropped": counters.rx_dropped,
        "tx-bytes": counters.tx_bytes,
        "tx-packets": counters.tx_packets,
        "tx-errs": counters.tx_errors,
        "tx-dropped": counters.tx_dropped,
    }
