"""A unix socket that the agent listens on: tests, containers, hosts that share a directory."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator

from ..errors import TransportError
from ..system.root import Root
from .listen import ListenTransport


def discover(root: Root) -> Iterator[tuple[str, str]]:
    """Nothing: a socket is there because the configuration says so."""
    return iter(())


def connect(root: Root, address: str) -> ListenTransport:
    """Listen on the path, for root alone. A socket that nobody listens on any more is replaced."""
    path = os.path.abspath(address)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _remove_stale(path)
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        listener.listen(8)
    except OSError as error:
        listener.close()
        raise TransportError(f"unix:{address}: {error.strerror or error}") from error
    return ListenTransport(listener, f"unix:{address}", cleanup=lambda: _remove(path))


def _remove_stale(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EADDRINUSE, "there is something else of this name, and no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
            raise OSError(errno.EADDRINUSE, "another program listens there")
        except ConnectionRefusedError:
            os.unlink(path)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
