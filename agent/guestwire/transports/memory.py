"""A connected pair, so that tests, ours and other people's, need no device."""

from __future__ import annotations

import socket

from .fd import FdTransport


def pair() -> tuple[FdTransport, FdTransport]:
    """Two ends of one stream; what is sent into one is received from the other."""
    here, there = socket.socketpair()
    return (
        FdTransport(here.detach(), "memory:agent", whole_reads=True),
        FdTransport(there.detach(), "memory:host", whole_reads=True),
    )
