"""A socket that systemd listens on for us (sd_listen_fds(3))."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Optional

from ..errors import ConfigError

if TYPE_CHECKING:
    import socket

FIRST = 3  # the number of the first descriptor that is passed


def passed_socket(environment: MutableMapping[str, str]) -> Optional[socket.socket]:
    """The one socket, or None. What we start later must not think that it is meant."""
    meant_for = environment.pop("LISTEN_PID", None)
    count = environment.pop("LISTEN_FDS", "")
    if meant_for != str(os.getpid()) or not count.isdecimal() or int(count) == 0:
        return None
    if int(count) > 1:
        raise ConfigError("qemu-ga only supports listening on one socket")
    import socket

    try:
        listener = socket.socket(fileno=FIRST)
    except OSError as error:
        raise ConfigError(f"passed file descriptor {FIRST}: {error.strerror}") from error
    listener.set_inheritable(False)
    return listener


def method(listener: socket.socket) -> str:
    """qemu-ga's name for what the socket is."""
    import socket

    methods: dict[int, str] = {
        socket.AF_UNIX: "unix-listen",
        socket.AF_VSOCK: "vsock-listen",
    }
    if listener.family not in methods:
        raise ConfigError("unsupported listen fd type")
    return methods[listener.family]
