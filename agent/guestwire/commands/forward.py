"""`forward.connect`: the host talks, through the channel, to a socket inside the guest."""

from __future__ import annotations

import socket
import threading

from ..dispatch.command import Context
from ..dispatch.streams import Data, Ended, Stream, StreamCancelled
from ..errors import CommandError, InvalidArgument
from ..system.root import Root

CONNECT = 10.0  # seconds
CHUNK = 65536


def connect(context: Context, address: str) -> dict[str, object]:
    """Connect to "tcp:HOST:PORT" or "unix:PATH", and pass bytes both ways until both have ended.

    The result counts them: {"sent": towards the socket, "received": from it}.
    """
    stream = context.stream
    assert stream is not None  # the row says `streams`
    with _connect(context.root, address) as outlet:
        stream.accept()
        sent = _Counter()
        feeder = threading.Thread(target=_feed, args=(stream, outlet, sent), daemon=True)
        feeder.start()
        received = _drain(stream, outlet)
        feeder.join()
        return {"sent": sent.count, "received": received}


class _Counter:
    count = 0


def _feed(stream: Stream, outlet: socket.socket, sent: _Counter) -> None:
    """From the host to the socket, until the host has said all, or the stream is over."""
    try:
        for incoming in stream:
            if isinstance(incoming, Data):
                outlet.sendall(incoming.data)
                sent.count += len(incoming.data)
            elif isinstance(incoming, Ended):
                outlet.shutdown(socket.SHUT_WR)
                return
    except (StreamCancelled, OSError):
        _hang_up(outlet)


def _drain(stream: Stream, outlet: socket.socket) -> int:
    """From the socket to the host, until the socket's other end has said all."""
    count = 0
    try:
        while data := outlet.recv(CHUNK):
            stream.write(data)
            count += len(data)
    except OSError as error:
        raise CommandError(f"connection lost: {error.strerror}") from error
    except StreamCancelled:
        _hang_up(outlet)
        raise
    stream.end()
    return count


def _hang_up(outlet: socket.socket) -> None:
    """Wake up whoever waits in the socket; closing alone would not."""
    try:
        outlet.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _connect(root: Root, address: str) -> socket.socket:
    kind, _, rest = address.partition(":")
    host, _, port = rest.rpartition(":")
    try:
        if kind == "tcp" and host and port.isdecimal():
            outlet = socket.create_connection((host.strip("[]"), int(port)), CONNECT)
        elif kind == "unix" and rest.startswith("/"):
            outlet = socket.socket(socket.AF_UNIX)
            outlet.connect(root.path(rest))
        else:
            raise InvalidArgument(f"{address!r} is neither tcp:HOST:PORT nor unix:/PATH")
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandError(f"cannot connect to {address}: {reason}") from error
    outlet.settimeout(None)
    return outlet
