"""Host name: what it is, and what it shall be from now on."""

from __future__ import annotations

import re

from ..dispatch.command import Context
from ..errors import InvalidArgument
from ..system import hostname, selinux

LABEL = re.compile(r"(?!-)[a-zA-Z0-9-]{1,63}(?<!-)")  # IGNORECASE would let '\u212a' in
NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
LIMIT = 253  # RFC 1035: 255 bytes on the wire, less the first length and the root


def qga_name(context: Context) -> dict[str, str]:
    return {"host-name": hostname.current(context.root)}


def get(context: Context) -> dict[str, str]:
    """The kernel's name, the one for the next boot, and the whole name without asking DNS."""
    root = context.root
    return {
        "host-name": hostname.current(root),
        "static": hostname.static(root),
        "fqdn": hostname.fqdn(root),
    }


def set_name(context: Context, name: str) -> dict[str, str]:
    """Set the name at once and for good; with a domain (a dot) it is the whole name."""
    reason = _objection(name)
    if reason:
        raise InvalidArgument(f"{name!r} is not a host name: {reason}")
    created = hostname.store(context.root, name)
    selinux.relabel(context.root, context.run, created, context.deadline)
    return get(context)


def _objection(name: str) -> str:
    """Why DNS (RFC 1123, section 2.1) would refuse a name; "" when it would not."""
    labels = name.split(".")
    if not name:
        return "it is empty"
    if len(name) > LIMIT:
        return f"it is longer than {LIMIT} characters"
    if "" in labels:
        return "it has a dot too many"  # also at the end: that is a resolver's notation
    if any(len(label) > 63 for label in labels):
        return "a part between dots is longer than 63 characters"
    if not all(map(LABEL.fullmatch, labels)):
        return "only letters, digits and inner hyphens may stand between dots"
    if NUMBER.fullmatch(labels[-1]):
        return "a last part that is a number would make it an address"  # as inet_aton(3) reads it
    return ""
