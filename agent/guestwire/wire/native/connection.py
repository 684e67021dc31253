"""Both ends of Guestwire's own protocol, without I/O, threads or a clock. See docs/protocol.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable, Optional

from . import events, frames
from .bodies import pack, reason
from .errors import CannotSend, Violation
from .events import MaybeEvent
from .frames import FIN, URGENT, Frame, FrameReader
from .limits import Limits
from .parking import Parking
from .received import TOKEN, Received
from .sessions import Sessions
from .streams import ASKED, CHANNELS, RESUMING, RUNNING, Message, Stream
from .table import Table

HOST = "host"
GUEST = "guest"
PINGS = 8  # that may be under way


class Connection:
    """Give it what was received, ask it for events and for frames to send; one thread at a time.

    After each `receive`, `tick` and call that changes something: take events until None, send
    frames until b"", and be back at `next_timeout`. What the other end does wrong comes as
    SessionEnded; what the caller does wrong raises CannotSend, and StreamOver (one of them) where
    the other end may have ended the stream just now.
    """

    def __init__(
        self,
        role: str,
        random: Callable[[int], bytes],
        limits: Limits = Limits(),  # noqa: B008 - frozen
        identity: Optional[Mapping[str, object]] = None,
        capabilities: tuple[str, ...] = (),
    ) -> None:
        self._random = random
        self._limits = limits
        self._now = 0.0
        self._pings: dict[bytes, float] = {}
        self._pinged = 0
        self._reader = FrameReader(limits.frame)
        self._table = Table(role == HOST, limits)
        self._parking = Parking(self._table)
        self._received = Received(self._table, self._parking)
        self._sessions = Sessions(
            role == HOST, self._table, self._reader, random, identity or {}, capabilities
        )

    # Sessions.

    def start(self, now: float) -> None:
        """Host: greet until a guest answers. Guest: tell a host that there is no session yet.

        A session that there is ends.
        """
        self._now = now
        self._sessions.start(now)

    def stop(self, why: str, code: str = "stopped") -> None:
        """End the session, or the attempt to begin one, and tell the other end."""
        self._sessions.stop(why, code, self._now)

    def disconnected(self, now: float) -> None:
        """The transport says that nobody is at the other end; what was half received is void."""
        self._now = now
        self._sessions.disconnected(now)

    def receive(self, data: bytes, now: float) -> None:
        self._now = now
        self._sessions.look_for_echo(data)
        self._reader.feed(data, now)

    def next_event(self) -> MaybeEvent:
        while True:
            if self._table.events:
                return self._table.events.popleft()
            frame = self._reader.next()
            if frame is None:
                return None
            try:
                event = self._handle(frame)
            except Violation as error:
                self._sessions.fail(error, self._now)
                continue
            if event is not None:
                return event

    @property
    def has_frames(self) -> bool:
        """Whether `next_frame` is worth asking; without, it need not be."""
        return bool(self._sessions.waiting) or self._table.outbox.waiting

    def next_frame(self) -> bytes:
        """What to write next, in one piece of at most 32,768 bytes; b"" when nothing may go out."""
        waiting = self._sessions.waiting
        if waiting:
            return waiting.pop(max(waiting))
        return self._table.outbox.next_frame()

    def next_timeout(self) -> Optional[float]:
        """When `tick` is due, or None: nothing will happen until something is received."""
        times = (self._sessions.greets_at(), self._reader.stalls_at(), self._parking.until())
        return min((one for one in times if one is not None), default=None)

    def tick(self, now: float) -> None:
        """Time has passed. There may be events, and frames to send."""
        self._now = now
        stall = self._reader.stalls_at()
        if stall is not None and stall <= now:
            self._reader.look_inside()
        self._sessions.tick(now)
        self._parking.expire(now)

    def ping(self, now: float) -> None:
        self._check_session()
        self._pinged += 1
        mark = frames.U64.pack(self._pinged)
        self._pings[mark] = now
        if len(self._pings) > PINGS:
            del self._pings[next(iter(self._pings))]
        self._table.outbox.put_front(frames.PING, 0, mark)

    def event(self, name: str, body: object) -> None:
        self._check_session()
        session = self._table.outbox.session
        packed = self._pack({"name": name, "body": body})
        self._table.outbox.put(session, Message(frames.EVENT, session, packed))

    def goaway(self, why: str) -> None:
        """Take no new streams from the other end; those that are open go on."""
        self._check_session()
        self._table.going_away = True
        self._table.outbox.put_front(frames.GOAWAY, 0, reason(why))

    # Streams.

    def open(
        self,
        command: str,
        arguments: Mapping[str, object],
        *,
        streaming: bool = False,
        urgent: bool = False,
        resumable: bool = False,
    ) -> int:
        """Ask for a command. `streaming`: data and more go both ways until the result."""
        table = self._table
        number = table.next_of_ours()
        token = self._random(TOKEN) if resumable else None
        body: dict[str, object] = {"command": command, "arguments": arguments}
        if streaming or resumable:
            body["streaming"] = True
        if token is not None:
            body["token"] = token
        packed = self._pack(body)
        stream = Stream(number, ours=True, streaming=streaming or resumable, urgent=urgent,
                        token=token, window=table.peer.stream_window)  # fmt: skip
        table.add(stream)
        flags = URGENT if urgent else 0
        table.outbox.put(table.outbox.session, Message(frames.OPEN, stream, packed, flags))
        return number

    def token(self, stream: int) -> Optional[bytes]:
        """What another process needs, besides the number, to resume this stream."""
        return self._table.get(stream).token

    def resume(self, stream: int, token: Optional[bytes] = None, *, received: int = 0) -> None:
        """Go on with a parked stream, or with one of a process before this one.

        The latter needs its token, and `received`, the bytes it had consumed. `Resumed` or
        `Rejected` follows.
        """
        self._parking.resume(stream, token, received)

    def accept(self, stream: int, value: object, *, end: bool = True) -> None:
        """Answer; without `end` the stream goes on, until `close`."""
        row = self._asked(stream)
        if end and row.token is not None:
            raise CannotSend("a resumable stream ends with close()")
        if not end and row.only_answer:
            raise CannotSend(f"stream {stream} was opened for an answer alone")
        body = self._pack(value, self._table.peer.answer)
        if end:
            self._table.finish(row, Message(frames.ACCEPT, row, body, FIN))
            return
        row.state = RUNNING
        row.value = value if row.token is not None else None
        self._table.outbox.put(row, Message(frames.ACCEPT, row, body))

    def reject(self, stream: int, code: str, text: str) -> None:
        row = self._asked(stream)
        row.token = None  # nothing to come back for
        self._table.finish(row, Message(frames.REJECT, row, reason(text, code=code)))

    def room(self, stream: int) -> int:
        """How many bytes `send_data` takes now. After 0, `Writable` tells when there is more."""
        row = self._table.get(stream)
        return 0 if row.state == ASKED and not row.ours else self._table.room(row)

    def send_data(self, stream: int, data: bytes, *, channel: int = 0) -> None:
        row = self._sender(stream, channel)
        if len(data) > self.room(stream):
            raise CannotSend(f"stream {stream} has no room for {len(data)} bytes")
        if not data:
            return
        row.out.put(channel, bytes(data))
        if row.active:
            self._table.outbox.pending += len(data)
            self._table.outbox.list(row)
        self._table.room(row)

    def end(self, stream: int, channel: int = 0) -> None:
        """Nothing more comes on this channel."""
        row = self._sender(stream, channel)
        row.out.put_end(channel)
        self._table.outbox.list(row)

    def control(self, stream: int, body: object) -> None:
        """Something about the stream, in its order: a window's size, a signal."""
        row = self._sender(stream, None)
        if not row.active:
            raise CannotSend(f"stream {stream} is parked")
        self._table.outbox.put(row, Message(frames.CTRL, row, self._pack(body)))

    def close(self, stream: int, value: object) -> None:
        """The final result, behind all data; by the end that accepted the stream."""
        row = self._table.get(stream)
        if row.ours or row.state == ASKED:
            raise CannotSend(f"stream {stream} is not one that this end has accepted")
        body = self._pack(value, self._table.peer.answer)
        self._table.finish(row, Message(frames.CLOSE, row, body))

    def cancel(self, stream: int, why: str) -> None:
        """The stream is over at once, for both ends; nothing happens if it is already."""
        table = self._table
        row = table.streams.get(stream)
        if row is None or not table.running:
            table.streams.pop(stream, None)
            return
        unsent = table.outbox.withdraw(row)
        table.forget(row)
        if not unsent:
            table.outbox.put_front(frames.CANCEL, stream, reason(why))

    def consumed(self, stream: int, count: int) -> None:
        """So many bytes of `Data` are dealt with; the other end may send as many more.

        Also needed after `Closed`, and not after `Cancelled`.
        """
        row = self._table.streams.get(stream)
        if row is not None and row.final is None:
            self._table.consume(row, count)

    # What follows is private.

    def _handle(self, frame: Frame) -> MaybeEvent:
        if frame.kind in frames.GREETINGS:
            self._sessions.on_greeting(frame, self._now)
            return None
        if self._reader.skipped:
            raise Violation(f"{self._reader.skipped} bytes of the session were damaged")
        if frame.kind == frames.PONG:
            return self._on_pong(frame)
        return self._received.handle(frame)

    def _on_pong(self, frame: Frame) -> MaybeEvent:
        sent = self._pings.pop(frame.payload, None)
        return None if sent is None else events.Pong(self._now - sent)

    def _check_session(self) -> None:
        if not self._table.running:
            raise CannotSend("there is no session")

    def _pack(self, value: object, limit: Optional[int] = None) -> bytes:
        body = pack(value, self._table.peer.control if limit is None else limit)
        if self._table.outbox.queued + len(body) > self._limits.queued:
            raise CannotSend(f"{self._limits.queued} bytes of control bodies wait to be sent")
        return body

    def _asked(self, number: int) -> Stream:
        row = self._table.get(number)
        if row.ours or row.state != ASKED:
            raise CannotSend(f"stream {number} awaits no answer")
        return row

    def _sender(self, number: int, channel: Optional[int]) -> Stream:
        """The stream, if this end may send on it now."""
        row = self._table.get(number)
        if row.only_answer or (row.state == ASKED and not row.ours):
            raise CannotSend(f"stream {number} takes an answer, and has none yet")
        if row.adopted and row.state == RESUMING:
            raise CannotSend(f"stream {number} is not resumed yet")
        if channel is not None and (channel in row.out.ended or not 0 <= channel < CHANNELS):
            raise CannotSend(f"channel {channel} of stream {number} takes no more")
        return row
