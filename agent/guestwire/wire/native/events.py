"""What a connection tells its application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional, Union


class SessionStarted(NamedTuple):
    """`same_peer`: it is the one of the last session, and may still hold what was parked."""

    identity: Mapping[str, object]
    nonce: bytes
    same_peer: bool
    capabilities: tuple[str, ...] = ()


class SessionEnded(NamedTuple):
    """`Parked` or `Cancelled` for each of its streams came before."""

    why: str


class Opened(NamedTuple):
    """The other end asks; answer with `accept` or `reject`."""

    stream: int
    command: str
    arguments: Mapping[str, object]
    streaming: bool
    urgent: bool
    resumable: bool


class Accepted(NamedTuple):
    """`end`: this was all, and the stream is over."""

    stream: int
    value: object
    end: bool


class Rejected(NamedTuple):
    """The stream is over."""

    stream: int
    code: str
    text: str


class Data(NamedTuple):
    """`offset` counts the bytes of all channels of this stream and direction."""

    stream: int
    channel: int
    data: bytes
    offset: int


class Ended(NamedTuple):
    """Nothing more comes on this channel."""

    stream: int
    channel: int


class Control(NamedTuple):
    stream: int
    body: object


class Closed(NamedTuple):
    """The final result; the stream is over, but for what is yet to be consumed."""

    stream: int
    value: object


class Cancelled(NamedTuple):
    """The stream is over; what was not consumed need not be."""

    stream: int
    why: str


class Parked(NamedTuple):
    """The session ended; the stream waits for another one."""

    stream: int


class Resumed(NamedTuple):
    """A parked stream goes on; `offset` is where the other end expects our next byte.

    `value` is what the stream was accepted with, for the end that opened it.
    """

    stream: int
    offset: int
    value: object


class Writable(NamedTuple):
    """`room` was 0 and is no longer."""

    stream: int


class Pong(NamedTuple):
    """`round_trip` in seconds."""

    round_trip: float


class Event(NamedTuple):
    name: str
    body: object


class Goaway(NamedTuple):
    """The other end takes no new streams; those that are open go on."""

    why: str


class EchoDetected(NamedTuple):
    """Our own HELLO came back: a terminal that is not raw, and no agent (yet)."""


NativeEvent = Union[
    SessionStarted, SessionEnded, Opened, Accepted, Rejected, Data, Ended, Control, Closed,
    Cancelled, Parked, Resumed, Writable, Pong, Event, Goaway, EchoDetected,
]  # fmt: skip
MaybeEvent = Optional[NativeEvent]
