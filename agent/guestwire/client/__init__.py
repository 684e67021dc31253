"""The host's library: find guests, and talk to their agents.

from guestwire.client import connect

with connect("web1") as guest:
    print(guest.exec(["uname", "-r"]).out)
    with guest.frozen():
        take_the_snapshot()
"""

from __future__ import annotations

from .address import parse
from .errors import ClientError
from .guest import Guest, connect
from .locate import census

__all__ = ["ClientError", "Guest", "census", "connect", "parse"]
