"""Guestwire's own protocol: streams, credit, events and resuming over any line of bytes.

`Connection` is both ends of it; docs/protocol.md says what is on the line.
"""

from __future__ import annotations

from .connection import GUEST, HOST, Connection
from .errors import CannotSend, StreamOver
from .limits import SLOW, Limits

__all__ = ["GUEST", "HOST", "SLOW", "CannotSend", "Connection", "Limits", "StreamOver"]
