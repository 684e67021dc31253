"""How a byte stream to the host is found and opened, one file a kind.

A kind is a module with `discover(root)`, which yields (address, device) for what is there now,
and `connect(root, address)`, which gives a `Transport`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Protocol, cast

from ..errors import TransportError
from ..system.root import Root

KINDS = {
    "virtio-serial": ".virtio_serial",
    "isa-serial": ".isa_serial",
    "unix": ".unix",
    "unix-connect": ".unix_connect",
    "vsock": ".vsock",
    "pty": ".pty",
}


class Transport(Protocol):
    """A port to the host. It lasts while hosts come and go, as a virtio-serial port does."""

    name: str

    def recv(self, *, gather: bool = False) -> bytes:
        """Wait for bytes; `b""` means that the host left, and what it sent before is void.

        One piece is of one host, except with `gather`: then it is as much as there is, for a
        dialect that tells one session from the next by the bytes alone.

        Raises TransportError when the port itself is gone, Stopped after `stop`.
        """

    def send(self, data: bytes) -> None:
        """Write all of it; waits while the host does not read.

        Raises HostAway when the host leaves first, TransportError and Stopped as `recv`.
        """

    def stop(self) -> None:
        """Make `recv` and `send` raise Stopped, also in another thread that waits in one."""

    def close(self) -> None: ...


class Kind(Protocol):
    """What a module of this package offers."""

    def discover(self, root: Root) -> Iterator[tuple[str, str]]: ...

    def connect(self, root: Root, address: str) -> Transport: ...


def kind(name: str) -> Kind:
    """The module of a kind, imported now."""
    if name not in KINDS:
        raise TransportError(f"no transport is named {name!r}; there are {', '.join(KINDS)}")
    return cast(Kind, importlib.import_module(KINDS[name], __package__))


def open(root: Root, address: str) -> Transport:
    """Open "kind:address", e.g. "virtio-serial:org.qemu.guest_agent.0"."""
    name, _, rest = address.partition(":")
    return kind(name).connect(root, rest)
