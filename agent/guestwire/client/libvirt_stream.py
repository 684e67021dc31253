"""A domain's channel as a descriptor: two threads move bytes between libvirt's stream and a socket.

A libvirt stream has no descriptor, and blocking calls on it have no end of their own. Aborting
the stream ends them.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from .errors import ChannelBusy, ChannelLost
from .libvirt_host import LibvirtRefused, within
from .streams import Stream

if TYPE_CHECKING:
    import libvirt

MOST = 1 << 18  # libvirt's messages carry a little less


def open_channel(domain: libvirt.virDomain, port: str, name: str, seconds: float) -> Stream:
    """The port's stream, which is ours alone. Raises ChannelBusy and LibvirtRefused."""
    stream = domain.connect().newStream()
    try:
        within(seconds, f"{name}: {port}", lambda: domain.openChannel(port, stream, 0))
    except LibvirtRefused as error:
        if "Active channel stream exists" not in error.text:
            raise
        raise ChannelBusy(
            f"{name}: another program has {port} open", "end it; libvirt serves one at a time"
        ) from error
    ours, theirs = socket.socketpair()
    for pump in (_from_guest, _to_guest):
        threading.Thread(
            target=pump, args=(stream, theirs), name=pump.__name__, daemon=True
        ).start()

    def closing() -> None:
        import libvirt

        with contextlib.suppress(libvirt.libvirtError, LibvirtRefused, ChannelLost):
            within(2.0, name, stream.abort)

    return Stream(ours.detach(), name, closing)


def _from_guest(stream: libvirt.virStream, theirs: socket.socket) -> None:
    import libvirt

    with contextlib.suppress(libvirt.libvirtError, OSError):
        while data := stream.recv(MOST):
            if not isinstance(data, bytes):
                break
            theirs.sendall(data)
    with contextlib.suppress(OSError):
        theirs.shutdown(socket.SHUT_RDWR)


def _to_guest(stream: libvirt.virStream, theirs: socket.socket) -> None:
    import libvirt

    with contextlib.suppress(libvirt.libvirtError, OSError):
        while data := theirs.recv(MOST):
            sent = 0
            while sent < len(data):
                sent += stream.send(data[sent:])
    with contextlib.suppress(OSError):
        theirs.shutdown(socket.SHUT_RDWR)
