"""From an address to a link whose agent has answered, or to the reason why there is none."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Callable, Optional, Protocol, Union

from . import libvirt_host, libvirt_stream, locate, processes, reach, watch
from .address import NATIVE_PORT, QGA_PORT, Address, Direct, Libvirt, Name, Native, Unix
from .errors import AgentNotRunning, CannotReach, ClientError, EchoingTty, NoAnswer, NoSuchChannel
from .found import OFF, Found
from .links import LibvirtLink, Link, StreamLink, Waiting
from .streams import Stream

if TYPE_CHECKING:
    from .native_link import NativeLink

log = logging.getLogger(__name__)
RETRY = 0.25
SHORT = 2.0  # seconds after which what another port can do as well is no longer waited for


class Greeted(Link, Protocol):
    """Every kind of link."""

    def greet(self, deadline: float, waiting: Optional[Waiting]) -> None: ...


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


def own(address: Address, seconds: float) -> Optional[NativeLink]:
    """A link over the guest's own port, beside the one at the address; None where there is none.

    There is one where an agent of guestwire's serves the port org.guestwire.agent.0.
    """
    try:
        place = _own_place(address, min(seconds, SHORT))
        if place is None:
            return None
        link = _once(place, time.monotonic() + min(seconds, SHORT), None)
    except (CannotReach, NoAnswer) as error:
        log.info("%s: not over %s: %s", address, NATIVE_PORT, error)
        return None
    log.info("%s: over %s", address, NATIVE_PORT)
    from .native_link import NativeLink

    assert isinstance(link, NativeLink)
    return link


def is_native(address: Address) -> bool:
    """Whether guestwire's own protocol is what is spoken there."""
    if isinstance(address, (Name, Libvirt)):
        return address.port == NATIVE_PORT
    return isinstance(address, Native)


def _own_place(address: Address, seconds: float) -> Union[Libvirt, Native, None]:
    if isinstance(address, Unix):
        return _beside(address)
    if not isinstance(address, (Name, Libvirt)) or address.port:
        return None
    if isinstance(address, Name):
        guest = locate.named(address.name, locate.census(ask_monitors=False))
    else:
        guest = _domain(address, seconds)
    channel = guest.channels.get(NATIVE_PORT)
    if channel is None or channel.connected is False or guest.state == OFF:
        return None
    if guest.uri:
        return Libvirt(guest.uri, guest.name, NATIVE_PORT)
    return None if channel.path is None else _if_served(channel.path)


def _beside(address: Unix) -> Optional[Native]:
    """The own port of the VM whose QEMU listens there for the QEMU guest agent's."""
    found = processes.owner(address.path)
    if found is None:
        return None
    (_, machine), chardev = found
    there = machine.chardevs.get(machine.ports.get(NATIVE_PORT, ""))
    if machine.ports.get(QGA_PORT) != chardev or there is None or there.path is None:
        return None
    return _if_served(there.path)


def _if_served(path: str) -> Optional[Native]:
    return Native(Unix(path)) if watch.SocketWatch(path, path).why() is None else None


def _domain(address: Libvirt, seconds: float) -> Found:
    conn = libvirt_host.connection(address.uri, seconds, read_only=True)
    domain = libvirt_host.domain(conn, address.uri, address.name, seconds)
    return watch.LibvirtWatch(domain, address.uri, str(address), NATIVE_PORT).look()


def _tell_nobody(error: ClientError) -> None:
    """Nobody asked."""


def _once(
    address: Address, deadline: float, waiting: Optional[Callable[[ClientError], None]]
) -> Link:
    name = str(address)
    place = _place(address, name) if isinstance(address, Name) else address
    link = (
        _libvirt(place, name, deadline)
        if isinstance(place, Libvirt)
        else _direct(place, name, deadline)
    )
    try:
        link.greet(deadline, waiting)
    except BaseException:
        link.close()
        raise
    log.info("%s: reached by %s", name, place)
    return link


def _place(address: Name, name: str) -> Union[Libvirt, Unix, Native]:
    """Where a guest that is known by its name alone can be reached."""
    guest = locate.named(address.name, locate.census(ask_monitors=False))
    if guest.uri:
        return Libvirt(guest.uri, guest.name, address.port)
    port = address.port or QGA_PORT
    channel = guest.channels.get(port)
    if guest.state == OFF or channel is None or channel.path is None:
        raise watch.explain(guest, name, port) or watch.no_channel(guest, name, port)
    return Native(Unix(channel.path)) if port == NATIVE_PORT else Unix(channel.path)


def _direct(place: Union[Direct, Native], name: str, deadline: float) -> Greeted:
    there = place.place if isinstance(place, Native) else place
    known = watch.SocketWatch(there.path, name) if isinstance(there, Unix) else watch.Unknown()
    return _over(reach.open_stream(there, name, deadline), known, isinstance(place, Native))


def _over(stream: Stream, known: watch.Watch, native: bool) -> Greeted:
    if not native:
        return StreamLink(stream, known)
    from .native_link import NativeLink  # and with it msgpack, which qemu-ga's guests do not need

    return NativeLink(stream, known)


def _libvirt(place: Libvirt, name: str, deadline: float) -> Greeted:
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
    stream = libvirt_stream.open_channel(domain, port, name, seconds)
    return _over(stream, known, port == NATIVE_PORT)
