"""From an address to a link whose agent has answered, or to the reason why there is none."""

from __future__ import annotations

import time
from typing import Callable, Optional, Union

from . import libvirt_host, libvirt_stream, locate, reach, watch
from .address import QGA_PORT, Address, Libvirt, Name, Unix
from .errors import AgentNotRunning, CannotReach, ClientError, EchoingTty, NoAnswer, NoSuchChannel
from .found import OFF
from .links import LibvirtLink, Link, StreamLink

RETRY = 0.25
FINAL = (NoSuchChannel, EchoingTty)  # no waiting mends these


def establish(
    address: Address,
    seconds: float,
    patient: bool = False,
    waiting: Optional[Callable[[ClientError], None]] = None,
) -> Link:
    """A link in step. With `patient`, a VM that is off, paused or booting is waited for.

    Otherwise the first thing that is known to be wrong is raised, at the latest after `seconds`.
    `waiting` is called, as long as that takes, with what is being waited for to change.
    """
    told = waiting or _tell_nobody
    deadline = time.monotonic() + seconds
    while True:
        try:
            return _once(address, deadline, told if patient else None)
        except FINAL:
            raise
        except (CannotReach, NoAnswer) as error:
            if not patient or time.monotonic() + RETRY >= deadline:
                raise
            told(error)
            time.sleep(RETRY)


def _tell_nobody(error: ClientError) -> None:
    """Nobody asked."""


def _once(
    address: Address, deadline: float, waiting: Optional[Callable[[ClientError], None]]
) -> Link:
    name = str(address)
    place = _place(address, name) if isinstance(address, Name) else address
    link = _libvirt(place, name, deadline) if isinstance(place, Libvirt) else None
    if link is None:
        assert not isinstance(place, (Libvirt, Name))
        known = watch.SocketWatch(place.path, name) if isinstance(place, Unix) else watch.Unknown()
        link = StreamLink(reach.open_stream(place, name, deadline), known)
    try:
        link.greet(deadline, waiting)
    except BaseException:
        link.close()
        raise
    return link


def _place(address: Name, name: str) -> Union[Libvirt, Unix]:
    """Where a guest that is known by its name alone can be reached."""
    guest = locate.named(address.name, locate.census(ask_monitors=False))
    if guest.uri:
        return Libvirt(guest.uri, guest.name, address.port)
    port = address.port or QGA_PORT
    channel = guest.channels.get(port)
    if guest.state == OFF or channel is None or channel.path is None:
        raise watch.explain(guest, name, port) or watch.no_channel(guest, name, port)
    return Unix(channel.path)


def _libvirt(place: Libvirt, name: str, deadline: float) -> Union[LibvirtLink, StreamLink]:
    seconds = max(1.0, min(10.0, deadline - time.monotonic()))
    conn = libvirt_host.connection(place.uri, seconds)
    domain = libvirt_host.domain(conn, place.uri, place.name, seconds)
    port = place.port or QGA_PORT
    known = watch.LibvirtWatch(domain, place.uri, name, port)
    if port == QGA_PORT:
        return LibvirtLink(domain, name, known)
    wrong = known.why()
    if wrong is not None and not isinstance(wrong, AgentNotRunning):
        raise wrong
    return StreamLink(libvirt_stream.open_channel(domain, port, name, seconds), known)
