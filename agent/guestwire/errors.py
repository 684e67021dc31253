"""Every error guestwire raises on purpose.

AgentError
|-- ConfigError        the configuration cannot be used; the service will not start
|-- TransportError     a device or socket failed; the channel is reopened
|   |-- PortAbsent     there is no such port, now
|   |-- HostAway       it works, but nobody is at the other end
|   `-- Stopped        the channel is closed for good, as after stop()
|-- PeerError          the other side broke the protocol; the session goes on
`-- CommandError       the host is told; the session goes on
    |-- UnknownCommand
    |-- NotPermitted
    |-- InvalidArgument
    |-- Unsupported    the guest lacks what the command needs
    `-- DeadlinePassed
"""

from __future__ import annotations


class AgentError(Exception):
    """Catch this to catch all of ours, and nothing else."""


class ConfigError(AgentError):
    """The text names the file, the line and the key."""


class TransportError(AgentError):
    """The text names the device or the socket."""


class PortAbsent(TransportError):
    """The text names the ports that there are; a device that is plugged in may change it."""


class HostAway(TransportError):
    """The host closed its end while bytes were under way to it."""


class Stopped(TransportError):
    """Nothing more is read or written here: the agent is ending, or cannot talk on this port."""


class PeerError(AgentError):
    """The text says what was wrong with the bytes."""


class CommandError(AgentError):
    """`code` is for programs and never changes; the text is for people."""

    code = "failed"


class UnknownCommand(CommandError):
    """No row of the table has this name."""

    code = "unknown-command"


class NotPermitted(CommandError):
    """Policy, or a frozen guest, keeps the command from running."""

    code = "not-permitted"


class InvalidArgument(CommandError):
    """An argument is missing, unexpected, of the wrong type, or out of range."""

    code = "invalid-argument"


class Unsupported(CommandError):
    """This guest lacks what the command needs; asking again will not help."""

    code = "unsupported"


class DeadlinePassed(CommandError):
    """The work took longer than it may; what was begun has been undone or is named in the text."""

    code = "deadline-passed"
