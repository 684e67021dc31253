"""Two ends of the native protocol and a line between them that can be cut, held up and spoilt."""

from __future__ import annotations

from random import Random

from guestwire.wire.native import GUEST, HOST, Connection, Limits
from guestwire.wire.native.events import Data


class End:
    """A connection with its events; it consumes what it receives, unless told not to."""

    def __init__(self, role, seed, limits=None, **about):
        self.conn = Connection(role, Random(seed).randbytes, limits or Limits(), **about)
        self.events = []
        self.received = {}  # (stream, channel) -> bytes
        self.reads = True
        self.unread = []  # streams whose data is left alone
        self.on_event = None

    def receive(self, data, now):
        self.conn.receive(data, now)
        self.drain()

    def drain(self):
        while (event := self.conn.next_event()) is not None:
            if isinstance(event, Data):
                self.received.setdefault((event.stream, event.channel), bytearray())
                self.received[event.stream, event.channel] += event.data
                if self.reads and event.stream not in self.unread:
                    self.conn.consumed(event.stream, len(event.data))
            else:
                self.events.append(event)
            if self.on_event is not None:
                self.on_event(self.conn, event)

    def take(self, kind=None):
        """The events since the last take, of one kind or all."""
        events, self.events = self.events, []
        return [one for one in events if kind is None or isinstance(one, kind)]

    def one(self, kind):
        (event,) = self.take(kind)
        return event


class Pipe:
    """`run` moves bytes, in pieces of `cut` (the guest reads at most 4,096), until none move."""

    def __init__(self, host=None, guest=None, cut=4096):
        self.host = host or End(HOST, 1, identity={"name": "a host"})
        self.guest = guest or End(GUEST, 2, identity={"boot-id": "b"})
        self.cut = cut
        self.now = 100.0
        self.frames = []  # (from, frame)
        self.lose = lambda data: data  # what the line makes of bytes

    def move(self, source, sink):
        moved = False
        while frame := source.conn.next_frame():
            moved = True
            assert len(frame) <= 32768
            self.frames.append((source, frame))
            frame = self.lose(frame)
            for start in range(0, len(frame), self.cut):
                sink.receive(frame[start : start + self.cut], self.now)
        return moved

    def run(self):
        while self.move(self.host, self.guest) | self.move(self.guest, self.host):
            pass

    def wait(self, seconds):
        """Let time pass, with both ends ticking when they asked to."""
        end = self.now + seconds
        while True:
            self.run()
            due = [one.conn.next_timeout() for one in (self.host, self.guest)]
            due = [one for one in due if one is not None and one <= end]
            if not due:
                break
            self.now = max(self.now, min(due))
            for one in (self.host, self.guest):
                if (at := one.conn.next_timeout()) is not None and at <= self.now:
                    one.conn.tick(self.now)
                    one.drain()
        self.now = end

    def up(self):
        """Begin a session."""
        self.host.conn.start(self.now)
        self.wait(5)
        return self
