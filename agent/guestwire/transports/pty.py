"""A pseudo-terminal whose other end the host holds; any tty whose line needs no setting."""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Iterator

from ..errors import TransportError
from ..system.root import Root
from .fd import FdTransport


def discover(root: Root) -> Iterator[tuple[str, str]]:
    """Nothing: which terminal is the host's cannot be seen."""
    return iter(())


def connect(root: Root, address: str) -> FdTransport:
    """Open the terminal and set it raw, before the line discipline echoes the host's bytes back."""
    try:
        fd = os.open(address, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise TransportError(f"pty:{address}: {error.strerror}") from error
    try:
        tty.setraw(fd, termios.TCSANOW)
    except (termios.error, OSError) as error:
        os.close(fd)
        raise TransportError(f"pty:{address}: not a terminal") from error
    return FdTransport(fd, f"pty:{address}", lasting=True)
