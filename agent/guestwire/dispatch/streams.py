"""A handler's end of a stream: bytes and control bodies both ways, while the command runs.

A command whose row says `streams` gets one as `context.stream`. Its thread reads and writes
without minding the protocol: reading waits for the host, writing waits until the host has room.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple, Optional, Protocol, Union

from ..errors import CommandError


class StreamCancelled(CommandError):
    """The host gave the stream up, or left for good."""

    code = "cancelled"


class Data(NamedTuple):
    """Bytes from the host."""

    channel: int
    data: bytes


class Ended(NamedTuple):
    """The host has said all that it will say on this channel."""

    channel: int


class Control(NamedTuple):
    """Something said besides the bytes, such as a new size of the terminal."""

    body: object


Incoming = Union[Data, Ended, Control]


class Line(Protocol):
    """What a session does for its streams."""

    def accept(self, stream: Stream, value: object) -> None: ...

    def room(self, stream: Stream) -> int: ...

    def send(self, stream: Stream, channel: int, data: bytes) -> None: ...

    def end(self, stream: Stream, channel: int) -> None: ...

    def control(self, stream: Stream, body: object) -> None: ...

    def consumed(self, stream: Stream, count: int) -> None: ...


class Stream:
    """One reader and one writer at a time. Every method raises StreamCancelled after a cancel."""

    def __init__(self, number: int, line: Line) -> None:
        self.number = number
        self.accepted = False
        self._line = line
        self._incoming: deque[Incoming] = deque()
        self._changed = threading.Condition()
        self._cancelled: Optional[str] = None

    def accept(self, value: object = None) -> None:
        """Tell the host that the command has begun; what follows is the conversation."""
        self.accepted = True
        self._line.accept(self, value)

    def __iter__(self) -> Iterator[Incoming]:
        """What the host says, in its order, for as long as the command cares to listen."""
        while True:
            yield self._take()

    def write(self, data: bytes, channel: int = 0) -> None:
        """Send all of it, as fast as the host takes it."""
        view = memoryview(data)
        while view:
            room = self._wait_for_room()
            self._line.send(self, channel, bytes(view[:room]))
            view = view[room:]

    def end(self, channel: int = 0) -> None:
        """Say that nothing more comes on this channel."""
        self._check()
        self._line.end(self, channel)

    def control(self, body: object) -> None:
        self._check()
        self._line.control(self, body)

    # What follows is called by the session.

    def put(self, incoming: Incoming) -> None:
        with self._changed:
            self._incoming.append(incoming)
            self._changed.notify_all()

    def cancel(self, why: str) -> None:
        with self._changed:
            self._cancelled = why
            self._changed.notify_all()

    def room_again(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _take(self) -> Incoming:
        with self._changed:
            while not self._incoming:
                self._check()
                self._changed.wait()
            incoming = self._incoming.popleft()
        if isinstance(incoming, Data):
            self._line.consumed(self, len(incoming.data))
        return incoming

    def _wait_for_room(self) -> int:
        with self._changed:
            while True:
                self._check()
                room = self._line.room(self)
                if room > 0:
                    return room
                self._changed.wait()

    def _check(self) -> None:
        if self._cancelled is not None:
            raise StreamCancelled(self._cancelled)
