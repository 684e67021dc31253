"""A unix socket that the host listens on and the agent connects to."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from ..errors import TransportError
from ..system.root import Root
from .fd import FdTransport


def discover(root: Root) -> Iterator[tuple[str, str]]:
    """Nothing: a socket is there because the configuration says so."""
    return iter(())


def connect(root: Root, address: str) -> FdTransport:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.connect(os.path.abspath(address))
    except OSError as error:
        connection.close()
        raise TransportError(f"unix-connect:{address}: {error.strerror or error}") from error
    return FdTransport(connection.detach(), f"unix-connect:{address}", whole_reads=True)
