"""Single values of a network configuration: from what a host may write to what the kernel prints.

Each function raises ValueError saying what is wrong.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Optional

from .reading import show

# YAML 1.1 has more words for these than JSON, and hosts pass them on as strings.
SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
# What ends up in a shell command of ifupdown or in a file name has no character that means more.
INTERFACE = re.compile(r"(?!-)[A-Za-z0-9_.@-]{1,15}")
PATTERN = re.compile(r"(?!-)[A-Za-z0-9_.@*?\[\]-]{1,64}")
IDENTIFIER = re.compile(r"(?!-)[A-Za-z0-9_.@-]{1,64}")
LABEL = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")
PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
DOMAIN = re.compile(rf"(?=.{{1,253}}$){PART}(?:\.{PART})*\.?")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
VERSION_2 = 2


def switch(value: object) -> bool:
    if isinstance(value, str) and value.lower() in SWITCHES:
        return SWITCHES[value.lower()]
    if not isinstance(value, bool):
        raise ValueError(f"{show(value)} is neither true nor false")
    return value


def number(low: int, high: int) -> Callable[[object], int]:
    """Whole numbers from `low` to `high`."""

    def convert(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"{show(value)} is not a number from {low} to {high}")
        return value

    return convert


def one_of(*words: str) -> Callable[[object], str]:
    def convert(value: object) -> str:
        if value not in words:
            raise ValueError(f"{show(value)} is none of {', '.join(words)}")
        return str(value)

    return convert


def spelled(pattern: re.Pattern[str], what: str) -> Callable[[object], str]:
    """Strings that the pattern matches whole."""

    def convert(value: object) -> str:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(f"{show(value)} is not {what}")
        return value

    return convert


interface = spelled(INTERFACE, "the name of an interface")
name_pattern = spelled(PATTERN, "a pattern for names of interfaces")
identifier = spelled(IDENTIFIER, "a name of letters, digits and '_.@-'")
label = spelled(LABEL, "a label of at most 15 letters, digits and '_.:@-'")
domain = spelled(DOMAIN, "a domain")


def mac(value: object) -> str:
    """Lower case, with colons. YAML 1.1 reads one of digits alone as a number, to base 60."""
    text = value.lower().replace("-", ":") if isinstance(value, str) else ""
    if not MAC.fullmatch(text):
        quote = " (in YAML it needs quotes)" if isinstance(value, int) else ""
        raise ValueError(f"{show(value)} is not a MAC address{quote}")
    return text


def own_mac(value: object) -> str:
    """A MAC that an interface may have; the last bit of the first byte is for groups."""
    text = mac(value)
    if int(text[:2], 16) & 1:
        raise ValueError(f"{show(value)} is the MAC address of a group")
    return text


def address(value: object) -> str:
    """An address of either family, without a prefix."""
    import ipaddress  # costs 5 ms, and only a host that configures a network pays them

    try:
        return str(ipaddress.ip_address(_plain(value)))
    except ValueError:
        raise ValueError(f"{show(value)} is not an address") from None


def address_of(family: int) -> Callable[[object], str]:
    def convert(value: object) -> str:
        text = address(value)
        if family_of(text) != family:
            raise ValueError(f"{show(value)} is not an IPv{family} address")
        return text

    return convert


def interface_address(value: object) -> tuple[str, int, int]:
    """Address, prefix length and family of "192.0.2.1/24"; a dotted netmask will do, too."""
    import ipaddress

    try:
        found = ipaddress.ip_interface(_plain(value))
    except ValueError:
        raise ValueError(f"{show(value)} is not an address with a prefix length") from None
    if "/" not in str(value):
        raise ValueError(f"{show(value)} lacks its prefix length, such as /24")
    return str(found.ip), found.network.prefixlen, found.version


def network(value: object) -> str:
    """A network such as "10.0.0.0/8"; an address alone is a network of one."""
    import ipaddress

    try:
        found = ipaddress.ip_network(_plain(value), strict=False)
    except ValueError:
        raise ValueError(f"{show(value)} is not a network") from None
    if str(found.network_address) != address(_plain(value).partition("/")[0]):
        raise ValueError(f"{show(value)} has bits set past its prefix length; {found} has not")
    return str(found)


def destination(value: object) -> str:
    """A network, or "default", which becomes one when the family is known."""
    return "default" if value == "default" else network(value)


def use_domains(value: object) -> str:
    if value == "route":
        return "route"
    try:
        return "yes" if switch(value) else "no"
    except ValueError:
        raise ValueError(f"{show(value)} is none of true, false and 'route'") from None


def lifetime(value: object) -> bool:
    """Whether an address stays preferred: "forever", or 0 for not at all."""
    if value not in ("forever", 0, "0") or isinstance(value, bool):
        raise ValueError(f"{show(value)} is neither 'forever' nor 0")
    return value == "forever"


def version(value: object) -> None:
    if value != VERSION_2 or isinstance(value, bool):
        raise ValueError(f"{show(value)} is not 2, the only version that is read")


def link_local(value: Any) -> Optional[tuple[str, ...]]:
    if not isinstance(value, list) or any(one not in ("ipv4", "ipv6") for one in value):
        raise ValueError(f"{show(value)} is not a list of 'ipv4' and 'ipv6'")
    return tuple(sorted(set(value)))


def family_of(text: str) -> int:
    """4 or 6, of an address or network that has been read."""
    return 6 if ":" in text else 4


def _plain(value: object) -> str:
    """A string that cannot carry an IPv6 zone, which names an interface and not a place."""
    if not isinstance(value, str) or "%" in value:
        raise ValueError
    return value
