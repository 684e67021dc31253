"""What the native protocol raises; all of it is an AgentError.

CannotSend     the application asked for what the protocol, or the other end's limits, do not allow
`-- StreamOver  the stream is over: the other end may have cancelled it just now
Violation      (a PeerError) the other end broke a rule; `Connection` turns it into SessionEnded
"""

from __future__ import annotations

from ...errors import AgentError, PeerError


class CannotSend(AgentError):
    """Nothing was sent or changed."""


class StreamOver(CannotSend):
    """No stream of this number is open."""


class Violation(PeerError):
    """The session is over; `code` is told to the other end."""

    code = "protocol"
