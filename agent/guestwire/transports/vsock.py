"""AF_VSOCK, listening: "PORT" or "CID:PORT", with "any-peer:" before it if more than the host may.

Any process of the guest could connect through the loopback device, so only the host's CID is
let in unless the address says otherwise (vsock(7)).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from ..errors import TransportError
from ..system.root import Root
from .listen import ListenTransport

ANY_PEER = "any-peer:"


def discover(root: Root) -> Iterator[tuple[str, str]]:
    """Nothing: a port is listened on because the configuration says so."""
    return iter(())


def connect(root: Root, address: str) -> ListenTransport:
    cid, _, port = address.removeprefix(ANY_PEER).rpartition(":")
    try:
        where = socket.VMADDR_CID_ANY if cid in ("", "-1") else int(cid)
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        listener.bind((where, _port(port)))
        listener.listen(8)
    except (ValueError, OverflowError) as error:
        raise TransportError(f"vsock:{address}: expected PORT or CID:PORT") from error
    except OSError as error:
        raise TransportError(f"vsock:{address}: {error.strerror or error}") from error
    welcome = _anybody if address.startswith(ANY_PEER) else _is_host
    return ListenTransport(listener, f"vsock:{address}", welcome)


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 32:  # Python would cut it to 32 bits, and listen somewhere else
        raise ValueError(text)
    return number


def _is_host(peer: object) -> bool:
    return isinstance(peer, tuple) and peer[0] == socket.VMADDR_CID_HOST


def _anybody(peer: object) -> bool:
    return True
