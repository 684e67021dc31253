"""The streams of a connection, and the credit of its session."""

from __future__ import annotations

from collections import deque
from typing import Optional

from . import frames
from .errors import CannotSend, StreamOver, Violation
from .events import Cancelled, NativeEvent, Parked, Writable
from .limits import Limits
from .outbox import Outbox
from .streams import ASKED, ENDING, LINGERING, PARKED, Message, Receiving, Stream

LARGEST_NUMBER = (1 << 32) - 1


class Table:
    """State that the application's calls and the other end's frames share."""

    def __init__(self, host: bool, limits: Limits) -> None:
        self.limits = limits
        self.peer = limits  # what it takes in, and what both agreed on
        self.running = False  # there is a session
        self.going_away = False
        self.no_more = False  # the other end is going away
        self.outbox = Outbox(self._on_sent)
        self.events: deque[NativeEvent] = deque()
        self.streams: dict[int, Stream] = {}
        self.session = Receiving(limits.session_window)
        self.parts: Optional[tuple[int, int, bytearray]] = None  # type, stream, body so far
        self.wanting: dict[int, Stream] = {}  # streams whose `room` was 0
        self._parity = 1 if host else 0
        self._first = {True: 2 - self._parity, False: 1 + self._parity}
        self._next = dict(self._first)  # number of the next stream, by whether we open it
        self._open = {True: 0, False: 0}

    @property
    def first_of_theirs(self) -> int:
        """The lowest number that the other end may give, so that no parked stream has it."""
        return self._next[False]

    def begin(self, tag: int, peer: Limits, first: int) -> None:
        """A session. `first` is the lowest number that the other end lets us give."""
        if first % 2 != self._parity or first > LARGEST_NUMBER:
            raise Violation(f"no stream of ours may be number {first}")
        self.peer = peer
        self.running = True
        self.going_away = self.no_more = False
        self.session = Receiving(peer.session_window)
        self.outbox.begin(tag, peer)
        self._next[True] = max(first, self._next[True])

    def end(self, now: float) -> None:
        """The session is over: what can be resumed is parked, the rest is cancelled."""
        self.running = False
        self.parts = None
        self.outbox.begin(0, self.peer)
        self.wanting.clear()
        self._open = {True: 0, False: 0}
        for stream in list(self.streams.values()):
            if stream.state != PARKED:
                self._park(stream, now)
        parked = list(self.streams.values())
        for stream in parked[: max(0, len(parked) - self.limits.parked)]:
            self.expire(stream, "too many streams are parked")
        if not self.streams:
            self._next = dict(self._first)

    def expire(self, stream: Stream, why: str) -> None:
        del self.streams[stream.id]
        if stream.final is None:
            self.events.append(Cancelled(stream.id, why))

    def known(self, number: int) -> Optional[Stream]:
        """The stream that a frame is for, or None if it is over. Raises Violation."""
        stream = self.streams.get(number)
        if stream is not None:
            return None if stream.state == PARKED else stream
        if not 0 < number < self._next[number % 2 == self._parity]:
            raise Violation(f"stream {number} was never opened")
        return None

    def get(self, number: int) -> Stream:
        """The stream that the application means. Raises StreamOver."""
        stream = self.streams.get(number)
        if stream is None or stream.final is not None or stream.state == LINGERING:
            raise StreamOver(f"stream {number} is over")
        return stream

    def check_room_for_ours(self) -> None:
        if not self.running:
            raise CannotSend("there is no session")
        if self._open[True] >= self.peer.streams:
            raise CannotSend(f"{self.peer.streams} streams are open; the other end takes no more")

    def next_of_ours(self) -> int:
        self.check_room_for_ours()
        if self.no_more:
            raise CannotSend("the other end takes no new streams")
        if self._next[True] > LARGEST_NUMBER:
            raise CannotSend("the numbers of streams are used up; begin another session")
        return self._next[True]

    def check_theirs(self, number: int) -> None:
        """Whether the other end may open this stream, and now."""
        if number % 2 == self._parity or number < self._next[False]:
            raise Violation(f"stream {number} cannot be opened")
        self.check_number_of_theirs()

    def check_number_of_theirs(self) -> None:
        if self._open[False] >= self.limits.streams:
            raise Violation(f"more than {self.limits.streams} streams")

    def skip_theirs(self, number: int) -> None:
        """The other end will not open this one any more."""
        if number % 2 == self._parity or number < self._next[False]:
            raise Violation(f"stream {number} cannot be opened")
        self._next[False] = number + 2

    def add(self, stream: Stream) -> None:
        self.streams[stream.id] = stream
        self._next[stream.ours] = max(self._next[stream.ours], stream.id + 2)
        self._open[stream.ours] += 1

    def revive(self, stream: Stream) -> None:
        """A parked stream counts again."""
        self.streams[stream.id] = stream
        self._open[stream.ours] += 1

    def forget(self, stream: Stream) -> None:
        """The stream is over, at once: nothing of it is sent or taken any more."""
        self._close(stream)
        self.give_back(stream.into.unconsumed)
        del self.streams[stream.id]

    def linger(self, stream: Stream) -> None:
        """The stream is over, but the application has yet to consume what it received."""
        self._close(stream)
        if stream.into.unconsumed:
            stream.state = LINGERING
        else:
            del self.streams[stream.id]

    def finish(self, stream: Stream, message: Message) -> None:
        """Say the last word, behind what is queued; the stream is over when it is sent."""
        stream.final = message
        if stream.state == PARKED:
            stream.out.queue.append(message)
        else:
            stream.state = ENDING
            self.outbox.put(stream, message)
        self.wanting.pop(stream.id, None)
        self.give_back(stream.into.unconsumed)
        stream.into.consumed = stream.into.received

    def consume(self, stream: Stream, count: int) -> None:
        into = stream.into
        if not 0 <= count <= into.received - into.consumed:
            raise CannotSend(f"stream {stream.id} has not received {count} bytes more")
        self.give_back(into.consume(count))
        if stream.state == LINGERING:
            if not into.unconsumed:
                del self.streams[stream.id]
        elif stream.active and into.credit_is_due:
            self.outbox.credits[stream.id] = into

    def give_back(self, count: int) -> None:
        """Credit of the session."""
        self.session.consumed += count
        if self.session.credit_is_due:
            self.outbox.credits[0] = self.session

    def room(self, stream: Stream) -> int:
        """0 is remembered: `Writable` follows."""
        room = stream.out.room
        if stream.active:
            room = min(room, self.outbox.room)
        if room > 0:
            return room
        self.wanting[stream.id] = stream
        return 0

    def tell_writable(self) -> None:
        for stream in list(self.wanting.values()):
            if stream.out.room > 0 and self.outbox.room > 0:
                del self.wanting[stream.id]
                self.events.append(Writable(stream.id))

    def _close(self, stream: Stream) -> None:
        self.outbox.drop(stream)
        self.wanting.pop(stream.id, None)
        if stream.state not in (PARKED, LINGERING):
            self._open[stream.ours] -= 1

    def _park(self, stream: Stream, now: float) -> None:
        told = stream.final is None and stream.state != LINGERING
        unknown = stream.state == ASKED and not stream.ours
        if stream.token is None or unknown or stream.state == LINGERING:
            del self.streams[stream.id]
            if told:
                self.events.append(Cancelled(stream.id, "the session ended"))
            return
        stream.state = PARKED
        stream.listed = False
        stream.announced = False
        stream.into.base = stream.into.received
        stream.until = now + self.limits.park_seconds
        if told:
            self.events.append(Parked(stream.id))

    def _on_sent(self, message: Message) -> None:
        stream = message.stream
        if message.kind == frames.OPEN:
            stream.announced = True
            self.outbox.list(stream)
        elif message is stream.final and stream.token is None:
            self.forget(stream)
