"""Guests of this machine, found without any configuration: libvirt's, and QEMU's processes."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

from . import libvirt_host, processes
from .errors import CannotReach, ClientError, NoSuchGuest
from .found import Census, Found


def census(proc: str = "/proc", seconds: float = 2.0, ask_monitors: bool = True) -> Census:
    """Every VM that can be found; each libvirt has `seconds` to answer."""
    found: list[Found] = []
    remarks: list[str] = []
    for uri in libvirt_host.uris():
        try:
            found += libvirt_host.guests(uri, seconds)
        except CannotReach as error:
            remarks.append(str(error))
    found = merged(found, processes.guests(proc, ask_monitors))
    found.sort(key=lambda one: (one.name, one.uri, one.pid))
    return Census(tuple(found), tuple(remarks))


def merged(domains: Iterable[Found], running: Iterable[Found]) -> list[Found]:
    """Domains of libvirt, and the processes that are none of theirs."""
    found = list(domains)
    known = {one.uuid for one in found if one.uuid}
    return found + [one for one in running if one.uuid not in known]


def named(name: str, everything: Census) -> Found:
    """The one guest of this name; raises NoSuchGuest, with what there is, or what is ambiguous."""
    fitting = [one for one in everything.guests if one.name == name]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise NoSuchGuest(
            f"{len(fitting)} guests are named {name!r}",
            "say which: " + " or ".join(one.address for one in fitting),
        )
    raise _unknown(name, everything)


def _unknown(name: str, everything: Census) -> ClientError:
    names = sorted({one.name for one in everything.guests})
    close = difflib.get_close_matches(name, names, 3)
    if close:
        advice = "did you mean " + " or ".join(close)
    elif names:
        advice = "there are " + ", ".join(names[:10]) + (" and others" if len(names) > 10 else "")
    else:
        advice = "no VM was found at all"
        if os.geteuid():
            advice += "; other users' VMs, and qemu:///system, may need sudo"
    return NoSuchGuest("; ".join([f"no guest is named {name!r}", *everything.remarks]), advice)
