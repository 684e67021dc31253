"""A command that is talked with while it runs: bytes and more both ways, then a result."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Callable, NamedTuple, Optional, Union

from ..wire.native import CannotSend, Connection, StreamOver
from ..wire.native.events import Control, Data, Ended
from .errors import BadAnswer, ClientError, GuestCommandFailed

Incoming = Union[Data, Ended, Control]

BATCH = 64 << 10  # bytes read before the guest is told that it may send as many more
JOIN = 4096  # bytes; what comes in smaller pieces is kept together
MOST_BODIES = 256  # control bodies that wait to be read; credit does not bound them


class Shared(NamedTuple):
    """What a link and its streams have in common: `wake` is called after a change, unlocked."""

    connection: Connection
    lock: threading.Lock
    wake: Callable[[], None]
    streams: dict[int, NativeStream]  # that the guest may still say something on


class NativeStream:
    """One reader and one writer at a time. All methods but `close` raise what became of it.

    GuestCommandFailed: the guest refused, or gave up. ChannelLost: the session is over.
    """

    def __init__(self, number: int, command: str, shared: Shared) -> None:
        self.command = command
        self.value: object = None  # what it was accepted with
        self.result: object = None  # once reading has come to the end
        self._number = number
        self._shared = shared
        self._connection, self._wake = shared.connection, shared.wake
        self._changed = threading.Condition(shared.lock)
        self._incoming: deque[Incoming] = deque()
        self._bodies = 0
        self._read = 0  # bytes that the guest was not told of
        self._answered = False
        self._over = False
        self._error: Optional[ClientError] = None

    def __enter__(self) -> NativeStream:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Incoming]:
        """What the guest says, in its order, until the result is there."""
        while (incoming := self.read()) is not None:
            yield incoming

    def read(self) -> Optional[Incoming]:
        """The next that the guest says; None when that was all, and `result` is there."""
        with self._changed:
            while not self._incoming:
                if self._error is not None:
                    raise self._error
                if self._over:
                    return None
                self._changed.wait()
            incoming = self._incoming.popleft()
            told = self._take(incoming)
        if told:
            self._wake()
        return incoming

    def write(self, data: Union[bytes, memoryview], channel: int = 0) -> None:
        """Send all of it, as fast as the guest takes it."""
        view = memoryview(data)
        while view:
            with self._changed:
                room = self._wait_for_room()
                self._connection.send_data(self._number, bytes(view[:room]), channel=channel)
            self._wake()
            view = view[room:]

    def end(self, channel: int = 0) -> None:
        """Say that nothing more comes on this channel."""
        self._send(lambda: self._connection.end(self._number, channel))

    def control(self, body: object) -> None:
        self._send(lambda: self._connection.control(self._number, body))

    def cancel(self, why: str) -> None:
        """Give it up; the guest ends what it was doing. Nothing happens if it is over."""
        with self._changed:
            if not self._over:
                self._connection.cancel(self._number, why)
                self._shared.streams.pop(self._number, None)
                self.fail(GuestCommandFailed(self.command, "cancelled", why))
            elif not self._give_back():
                return
        self._wake()

    def close(self) -> None:
        self.cancel("the host is done with it")

    def wait(self, deadline: float) -> bool:
        """Whether the guest has accepted it, or answered, by a time.monotonic() value."""
        with self._changed:
            while not self._answered and self._error is None:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    break
            if self._error is not None:
                raise self._error
            return self._answered

    # What follows is called by the link, locked.

    def accepted(self, value: object, end: bool) -> None:
        self.value = value
        self._answered = True
        if end:
            self.closed(value)
        self._changed.notify_all()

    def put(self, incoming: Incoming) -> None:
        """Raises BadAnswer for more control bodies than anybody could want."""
        if isinstance(incoming, Control):
            self._bodies += 1
            if self._bodies > MOST_BODIES:
                raise BadAnswer(f"{self.command}: the guest sends too many control bodies")
        elif isinstance(incoming, Data) and self._joined(incoming):
            return
        self._incoming.append(incoming)
        self._changed.notify_all()

    def closed(self, result: object) -> None:
        self.result = result
        self._over = True
        self._changed.notify_all()

    def fail(self, error: ClientError) -> None:
        """It is over, for this reason; what has come before can still be read."""
        self._error = self._error or error
        self._over = True
        self._changed.notify_all()

    @property
    def over(self) -> bool:
        return self._over

    def writable(self) -> None:
        self._changed.notify_all()

    def _joined(self, data: Data) -> bool:
        """A guest that sends single bytes shall not cost a hundred for each."""
        last = self._incoming[-1] if self._incoming else None
        if not isinstance(last, Data) or last.channel != data.channel:
            return False
        if len(last.data) + len(data.data) > JOIN:
            return False
        self._incoming[-1] = last._replace(data=last.data + data.data)
        return True

    def _take(self, incoming: Incoming) -> bool:
        """Whether the guest is to be told how much was read."""
        if isinstance(incoming, Control):
            self._bodies -= 1
        if isinstance(incoming, Data):
            self._read += len(incoming.data)
        if not self._read or (self._incoming and self._read < BATCH):
            return False
        self._connection.consumed(self._number, self._read)
        self._read = 0
        return True

    def _give_back(self) -> int:
        """What nobody will read does not hold up other streams."""
        unread = sum(len(one.data) for one in self._incoming if isinstance(one, Data))
        self._incoming.clear()
        count, self._read = self._read + unread, 0
        self._connection.consumed(self._number, count)
        return count

    def _wait_for_room(self) -> int:
        while True:
            self._check()
            try:
                room = self._connection.room(self._number)
            except StreamOver:  # its result is under way to the reader
                self._over = True
                continue
            if room > 0:
                return room
            self._changed.wait()

    def _send(self, send: Callable[[], None]) -> None:
        with self._changed:
            self._check()
            try:
                send()
            except CannotSend as error:
                raise GuestCommandFailed(self.command, "cannot-send", str(error)) from error
        self._wake()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._over:
            raise GuestCommandFailed(self.command, "over", "it has ended")
