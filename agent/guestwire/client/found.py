"""What is known of a guest before a word was said to its agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional

from .address import QGA_PORT

RUNNING, PAUSED, OFF, UNKNOWN = "running", "paused", "off", "unknown"


class Channel(NamedTuple):
    """A port of a VM. `path` is its socket on the host, when one is known.

    `connected`: whether a process in the guest holds the port open; None when nobody told.
    """

    path: Optional[str] = None
    connected: Optional[bool] = None


class Found(NamedTuple):
    """A VM. `channels` are by the port's name in the guest; `why` says more about the state.

    `uri` is libvirt's when it runs the VM, else "". `monitor` is the socket of QEMU's QMP.
    """

    name: str
    state: str
    channels: Mapping[str, Channel]
    uri: str = ""
    why: str = ""
    uuid: str = ""
    pid: int = 0
    monitor: str = ""
    cid: Optional[int] = None

    @property
    def address(self) -> str:
        """What to call it where its name alone is not enough."""
        if self.uri:
            return f"libvirt+{self.uri}/{self.name}"
        channel = self.channels.get(QGA_PORT)
        return f"unix:{channel.path}" if channel is not None and channel.path else self.name


class Census(NamedTuple):
    """Every VM that was found, and what could not be looked at."""

    guests: tuple[Found, ...]
    remarks: tuple[str, ...] = ()
