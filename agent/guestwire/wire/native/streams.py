"""One stream: what it has sent and not yet been told of, what it has received and not consumed.

The channels of a stream and direction share one sequence of bytes, so one offset says all about
it: credit, acknowledgement and where to go on after a reconnect.
"""

from __future__ import annotations

from collections import deque
from typing import Optional, Union

from .frames import Piece

CHANNELS = 4

# States. A stream in none of them is not in the table.
ASKED = 0  # OPEN is sent or received, the answer is not
RUNNING = 1
RESUMING = 2  # RESUME is sent, its answer not received
PARKED = 3  # between sessions
ENDING = 4  # we said the last word, and it waits to be sent, or (resumable) acknowledged
LINGERING = 5  # the other end said the last word, and we have bytes to consume


class Message:
    """A control body on its way out, in as many frames as it takes."""

    __slots__ = ("at", "body", "flags", "kind", "stream")

    def __init__(self, kind: int, stream: Stream, body: bytes, flags: int = 0) -> None:
        self.kind = kind
        self.stream = stream
        self.body = body
        self.flags = flags
        self.at = 0


class Chunk:
    """Bytes of one channel on their way out; none of them: the channel's end."""

    __slots__ = ("channel", "data", "offset")

    def __init__(self, channel: int, offset: int, data: Optional[Piece]) -> None:
        self.channel = channel
        self.offset = offset
        self.data = data

    @property
    def end(self) -> int:
        return self.offset + (len(self.data) if self.data is not None else 0)

    def after(self, offset: int) -> Chunk:
        """What of it follows this offset."""
        if self.data is None or offset <= self.offset:
            return self
        return Chunk(self.channel, offset, memoryview(self.data)[offset - self.offset :])


class Sending:
    """One direction, at the end that sends: `acked` <= `sent` <= `end`."""

    __slots__ = ("acked", "end", "ended", "kept", "queue", "resumed", "sent", "told",
                 "window")  # fmt: skip

    def __init__(self, window: int, keep: bool) -> None:
        self.window = window
        self.acked = 0  # consumed by the other end, as far as we were told
        self.sent = 0
        self.end = 0  # what the application has queued
        self.ended: set[int] = set()  # channels
        self.told: list[int] = []  # of them, those whose end is sent
        self.queue: deque[Union[Message, Chunk]] = deque()
        self.kept: Optional[deque[Chunk]] = deque() if keep else None
        self.resumed = False  # the next DATA tells its offset

    @property
    def room(self) -> int:
        return self.acked + self.window - self.end

    def put(self, channel: int, data: bytes) -> None:
        self.queue.append(Chunk(channel, self.end, data))
        self.end += len(data)

    def put_end(self, channel: int) -> None:
        self.ended.add(channel)
        self.queue.append(Chunk(channel, self.end, None))

    def take(self, most: int) -> tuple[list[Piece], int, bool]:
        """Bytes of the channel whose turn it is, how many, and whether they are its last.

        Writes are joined as far as a frame holds them: a copy in odd sizes costs no extra frames.
        """
        queue = self.queue
        channel = queue[0].channel  # type: ignore[union-attr]
        pieces: list[Piece] = []
        left = most
        while queue:
            head = queue[0]
            if type(head) is not Chunk or head.channel != channel:
                break
            if head.data is None:
                self._sent(head)
                return pieces, most - left, True
            if not left:
                break
            if len(head.data) > left:
                head = self._split(head, left)
            self._sent(head)
            pieces.append(head.data)  # type: ignore[arg-type]
            left -= len(head.data)  # type: ignore[arg-type]
        return pieces, most - left, False

    def acknowledge(self, offset: int) -> None:
        """The other end has consumed all before `offset`."""
        self.acked = offset
        while self.kept and self.kept[0].end <= offset:
            self.kept.popleft()

    def rewind(self, offset: int) -> None:
        """Send again what follows `offset`, and the ends of channels: no byte acknowledges them."""
        self.queue.extendleft(Chunk(channel, self.sent, None) for channel in self.told)
        self.told.clear()
        for chunk in reversed(self.kept or ()):
            if chunk.end > offset:
                self.queue.appendleft(chunk.after(offset))
        if self.kept:
            self.kept.clear()
        self.sent = offset
        self.resumed = True

    def _split(self, head: Chunk, size: int) -> Chunk:
        view = memoryview(head.data)  # type: ignore[arg-type]
        self.queue[0] = Chunk(head.channel, head.offset + size, view[size:])
        first = Chunk(head.channel, head.offset, view[:size])
        self.queue.appendleft(first)
        return first

    def _sent(self, head: Chunk) -> None:
        self.queue.popleft()
        self.sent = head.end
        if head.data is None:
            self.told.append(head.channel)
        elif self.kept is not None:
            self.kept.append(head)


class Receiving:
    """One direction, at the end that receives: `credited` <= `consumed` <= `received`."""

    __slots__ = ("base", "consumed", "credited", "ended", "received", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.received = 0
        self.consumed = 0
        self.credited = 0  # what the other end was told of `consumed`
        self.base = 0  # what was received in earlier sessions does not count in this one's credit
        self.ended: set[int] = set()

    def consume(self, count: int) -> int:
        """How many of these bytes count in the session's credit."""
        before = max(self.consumed, self.base)
        self.consumed += count
        return max(0, self.consumed - before)

    @property
    def unconsumed(self) -> int:
        """Of this session."""
        return self.received - max(self.consumed, self.base)

    @property
    def credit_is_due(self) -> bool:
        return self.consumed - self.credited >= self.window // 2


class Stream:
    """A row of the table. `ours`: this end opened it."""

    __slots__ = ("adopted", "announced", "final", "id", "into", "listed", "only_answer", "ours",
                 "out", "state", "token", "until", "urgent", "value")  # fmt: skip

    def __init__(self, number: int, *, ours: bool, streaming: bool = True, urgent: bool = False,
                 token: Optional[bytes] = None,
                 window: int = 0) -> None:  # fmt: skip
        self.id = number
        self.ours = ours
        self.only_answer = not streaming
        self.urgent = urgent
        self.token = token  # names a stream that outlives its session
        self.state = ASKED
        self.announced = not ours  # the other end knows of it, so its queue may go out
        self.adopted = False  # opened by a process before this one
        self.listed = False  # waits for its turn in the outbox
        self.until = 0.0  # parked
        self.value: object = None  # what it was accepted with
        self.final: Optional[Message] = None  # the last word of this end
        self.out = Sending(window, token is not None)
        self.into = Receiving(window)

    @property
    def active(self) -> bool:
        """It takes part in this session's credit."""
        return self.state in (ASKED, RUNNING, ENDING)
