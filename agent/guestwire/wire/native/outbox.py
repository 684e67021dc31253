"""Which frame goes out next: greetings, answers and credit, then urgent streams, then the others.

Streams of the same urgency take turns, a frame each. A body that needs more than one frame is
finished before another such body begins, so the other end puts together one at a time.
"""

from __future__ import annotations

from collections import deque
from typing import Callable, Optional

from . import frames
from .frames import OVERHEAD, U64, encode
from .limits import Limits
from .streams import Chunk, Message, Receiving, Stream

ANSWERS = 8  # PONGs that wait; an end that pings more without reading loses the oldest


class Outbox:
    """`on_sent(message)` is called when the last frame of a control body is taken."""

    def __init__(self, on_sent: Callable[[Message], None]) -> None:
        self._on_sent = on_sent
        self.session = Stream(0, ours=False, urgent=True)
        self.sent = 0  # bytes of data in this session
        self.acked = 0
        self.window = 0
        self.pending = 0  # bytes of data queued in active streams
        self.queued = 0  # bytes of control bodies queued
        self.begin(0, Limits(session_window=0))

    def begin(self, tag: int, peer: Limits) -> None:
        """A new session: nothing of the last one is sent any more."""
        self._tag = tag
        self._mark = frames.CRC if peer.checksum else 0
        self._capacity = peer.frame - OVERHEAD
        self.window = peer.session_window
        self.sent = self.acked = self.pending = self.queued = 0
        self.front: deque[bytes] = deque()
        self.pongs: deque[bytes] = deque(maxlen=ANSWERS)
        self.credits: dict[int, Receiving] = {}
        self._urgent: deque[Stream] = deque()
        self._normal: deque[Stream] = deque()
        self._blocked: dict[int, Stream] = {}
        self._unfinished: Optional[Message] = None
        self.session.out.queue.clear()
        self.session.listed = False

    @property
    def room(self) -> int:
        """What may be queued until the session's credit is used up."""
        return self.acked + self.window - self.sent - self.pending

    @property
    def waiting(self) -> bool:
        """Whether `next_frame` is worth asking."""
        answers = self.front or self.pongs or self.credits
        return bool(answers or self._urgent or self._normal)

    def put_front(self, kind: int, stream: int = 0, payload: bytes = b"") -> None:
        self.front.append(self._encode(kind, 0, stream, payload))

    def put_pong(self, payload: bytes) -> None:
        self.pongs.append(self._encode(frames.PONG, 0, 0, payload))

    def put(self, stream: Stream, message: Message) -> None:
        stream.out.queue.append(message)
        self.queued += len(message.body)
        self.list(stream)

    def list(self, stream: Stream) -> None:
        """This stream has something to send, or may again."""
        if stream.listed or not stream.announced or not stream.out.queue:
            return
        self._blocked.pop(stream.id, None)
        stream.listed = True
        (self._urgent if stream.urgent else self._normal).append(stream)

    def list_blocked(self) -> None:
        blocked, self._blocked = self._blocked, {}
        for stream in blocked.values():
            self.list(stream)

    def drop(self, stream: Stream) -> None:
        """What this stream has queued is not sent any more."""
        if stream.active:
            self.pending -= stream.out.end - stream.out.sent
        for one in stream.out.queue:
            if type(one) is Message:
                self._drop_message(one)
        stream.out.queue.clear()
        self._blocked.pop(stream.id, None)
        self.credits.pop(stream.id, None)

    def withdraw(self, stream: Stream) -> bool:
        """Forget its OPEN or RESUME; whether nothing of that was sent yet."""
        queue = self.session.out.queue
        for one in queue:
            if type(one) is Message and one.stream is stream:
                queue.remove(one)
                self._drop_message(one)
                return not one.at
        return False

    def next_frame(self) -> bytes:
        if self.front:
            return self.front.popleft()
        if self.pongs:
            return self.pongs.popleft()
        if self.credits:
            return self._credit()
        return self._next_of(self._urgent) or self._next_of(self._normal)

    def _next_of(self, turns: deque[Stream]) -> bytes:
        while turns:
            stream = turns.popleft()
            frame = self._frame_of(stream)
            if frame and stream.out.queue:
                turns.append(stream)
                return frame
            stream.listed = False
            if frame:
                return frame
            if stream.out.queue:
                self._blocked[stream.id] = stream
        return b""

    def _frame_of(self, stream: Stream) -> bytes:
        """Empty where credit, or another unfinished body, does not let it send."""
        queue = stream.out.queue
        if not queue:
            return b""
        head = queue[0]
        return self._part(stream, head) if type(head) is Message else self._data(stream)

    def _part(self, stream: Stream, message: Message) -> bytes:
        start, flags = message.at, message.flags
        part = message.body[start : start + self._capacity]
        more = start + len(part) < len(message.body)
        if start or more:
            if self._unfinished not in (None, message):
                return b""
            self._unfinished = message if more else None
        message.at += len(part)
        if more:
            flags |= frames.MORE
        else:
            stream.out.queue.popleft()
            self.queued -= len(message.body)
        frame = self._encode(message.kind, flags, message.stream.id, part)
        if not more:
            if start:
                self.list_blocked()
            self._on_sent(message)
        return frame

    def _data(self, stream: Stream) -> bytes:
        out = stream.out
        head = out.queue[0]
        assert type(head) is Chunk
        most = min(self._capacity, out.acked + out.window - out.sent,
                   self.acked + self.window - self.sent)  # fmt: skip
        flags, lead = head.channel << frames.CHANNEL_SHIFT, b""
        if out.resumed:
            flags, lead = flags | frames.OFFSET, U64.pack(out.sent)
            most = min(most, self._capacity - len(lead))
        if most <= 0 and head.data is not None:
            return b""
        out.resumed = False
        pieces, count, last = out.take(max(most, 0))
        self.sent += count
        self.pending -= count
        if last:
            flags |= frames.FIN
        if lead:
            pieces.insert(0, lead)
        return encode(self._tag, frames.DATA, flags | self._mark, stream.id, pieces)

    def _credit(self) -> bytes:
        number = next(iter(self.credits))
        into = self.credits.pop(number)
        into.credited = into.consumed
        return self._encode(frames.CREDIT, 0, number, U64.pack(into.consumed))

    def _encode(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        pieces = (payload,) if payload else ()
        return encode(self._tag, kind, flags | self._mark, stream, pieces)

    def _drop_message(self, message: Message) -> None:
        self.queued -= len(message.body)
        if self._unfinished is message:
            self._unfinished = None
            self.list_blocked()
