"""One transport, the native dialect and the dispatcher: many commands at once, with streams.

The thread that calls `serve` receives, and each command has a worker while it runs, which sends
what it has to say; a second thread of the session sends the rest. Whoever touches the connection
holds the lock; nobody holds it while the port makes them wait.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Optional

from .dispatch.dispatcher import Dispatcher
from .dispatch.streams import Control, Data, Ended, Stream, StreamCancelled
from .dispatch.workers import Workers
from .errors import CommandError, HostAway, TransportError
from .transports import Transport
from .wire.events import Reply, Request
from .wire.native import events as told
from .wire.native.connection import GUEST, Connection
from .wire.native.errors import CannotSend, StreamOver

NEVER = float("inf")
GIVEN_UP = "the host gave the stream up"
IN_A_ROW = 64  # frames that one thread sends for all, before it goes on with its own work
AT_ONCE = 64  # commands of one session; each has a thread while it runs

Happened = tuple[told.NativeEvent, Stream]


class NativeSession:
    """Serves hosts, one session after another. It is the `Line` of its streams."""

    def __init__(
        self, transport: Transport, dispatcher: Dispatcher, identity: Mapping[str, object]
    ) -> None:
        self._transport = transport
        self._dispatcher = dispatcher
        self._connection = Connection(GUEST, os.urandom, identity=identity)
        self._workers = Workers(AT_ONCE)
        self._streams: dict[int, Stream] = {}
        self._lock = threading.Lock()
        self._outgoing = threading.Condition(self._lock)
        self._failure: Optional[TransportError] = None
        self._wakes_at = NEVER  # when the sender looks again by itself
        self._sending = False  # a thread is at it, and looks for more before it stops
        self._receiver = 0  # the thread that receives

    def serve(self) -> None:
        """Answer hosts until the transport fails or is stopped. Raises TransportError."""
        self._receiver = threading.get_ident()
        with self._lock:
            self._connection.start(time.monotonic())
        sender = threading.Thread(target=self._send_all, name="native sender", daemon=True)
        sender.start()
        try:
            while True:
                self._receive(self._transport.recv(gather=True))
        except TransportError as error:
            self._fail(error)
            raise
        finally:
            if self._failure is None:  # a defect; the sender must not wait for ever
                self._fail(TransportError(f"{self._transport.name}: given up"))
            sender.join()
            for stream in list(self._streams.values()):
                stream.cancel("the channel is closed")

    # What streams ask of their line.

    def accept(self, stream: Stream, value: object) -> None:
        with self._talking(stream) as connection:
            connection.accept(stream.number, value, end=False)

    def room(self, stream: Stream) -> int:
        with self._outgoing:
            self._check(stream)
            return self._connection.room(stream.number)

    def send(self, stream: Stream, channel: int, data: bytes) -> None:
        with self._talking(stream) as connection:
            connection.send_data(stream.number, data, channel=channel)

    def end(self, stream: Stream, channel: int) -> None:
        with self._talking(stream) as connection:
            connection.end(stream.number, channel)

    def control(self, stream: Stream, body: object) -> None:
        with self._talking(stream) as connection:
            connection.control(stream.number, body)

    def consumed(self, stream: Stream, count: int) -> None:
        with self._talking(stream) as connection:
            connection.consumed(stream.number, count)

    @contextmanager
    def _talking(self, stream: Stream) -> Iterator[Connection]:
        """The connection to ourselves; afterwards what there is to send is sent."""
        try:
            with self._outgoing:
                self._check(stream)
                yield self._connection
        except StreamOver as error:
            raise StreamCancelled(GIVEN_UP) from error
        except CannotSend as error:
            raise CommandError(str(error)) from error
        finally:
            self._flush()

    def _check(self, stream: Stream) -> None:
        """The next session has streams of the same numbers; those are not this one."""
        if self._streams.get(stream.number) is not stream:
            raise StreamCancelled(GIVEN_UP)

    def _flush(self) -> None:
        """Send from this thread: to hand a frame to another costs more than to send it.

        One thread sends at a time, and takes along what others have put there meanwhile.
        """
        with self._outgoing:
            if self._sending:
                return
            if threading.get_ident() == self._receiver:  # must not wait for the host to read
                self._wake_sender()
                return
            frame = self._connection.next_frame()
            self._sending = bool(frame)
        for _ in range(IN_A_ROW):
            if not frame or not self._put_out(frame):
                return
            with self._outgoing:
                frame = self._connection.next_frame()
                self._sending = bool(frame)
        if self._put_out(frame):
            with self._outgoing:
                self._sending = False
                self._wake_sender()

    def _put_out(self, frame: bytes) -> bool:
        """False when the port is gone: then nobody sends any more."""
        try:
            self._transport.send(frame)
        except HostAway:
            pass  # the next HELLO begins anew; what was under way belongs to nobody
        except TransportError:
            return False  # the receiving thread is told the same, and says it
        return True

    def _wake_sender(self) -> None:
        """Only for something to do."""
        due = self._connection.next_timeout()
        waits = self._connection.has_frames and not self._sending
        if waits or (due is not None and due < self._wakes_at):
            self._outgoing.notify()

    # The two threads of the session.

    def _receive(self, data: bytes) -> None:
        with self._outgoing:
            now = time.monotonic()
            if data:
                self._connection.receive(data, now)
            else:
                self._connection.disconnected(now)
            happened = self._happened()
            self._wake_sender()
        for event, stream in happened:
            self._take(event, stream)

    def _send_all(self) -> None:
        """What the receiving thread answers, what is left over, and what time makes happen."""
        while True:
            with self._outgoing:
                frame, happened = self._next()
                self._sending |= bool(frame)
            for event, stream in happened:
                self._take(event, stream)
            if frame is None or (frame and not self._put_out(frame)):
                return
            if frame:
                with self._outgoing:
                    self._sending = False

    def _next(self) -> tuple[Optional[bytes], list[Happened]]:
        """Wait until there is a frame to send, or time has made something happen.

        The frame is then empty; it is None when the session is over.
        """
        while self._failure is None:
            frame = b"" if self._sending else self._connection.next_frame()
            if frame:
                return frame, []
            due, now = self._connection.next_timeout(), time.monotonic()
            if due is not None and due <= now:
                self._connection.tick(now)
                return b"", self._happened()
            self._wakes_at = NEVER if due is None else due
            self._outgoing.wait(None if due is None else due - now)
            self._wakes_at = NEVER
        return None, []

    def _happened(self) -> list[Happened]:
        """What the host did, each with its stream as it was at that moment."""
        events: list[Happened] = []
        while (event := self._connection.next_event()) is not None:
            number = getattr(event, "stream", 0)
            if isinstance(event, told.Opened):
                self._streams[number] = Stream(number, self)
            stream = self._streams.get(number)
            if stream is not None:
                events.append((event, stream))
            if isinstance(event, (told.Cancelled, told.Closed)):
                self._streams.pop(number, None)
        return events

    def _fail(self, error: TransportError) -> None:
        with self._outgoing:
            self._failure = error
            self._outgoing.notify()

    # What the host does.

    def _take(self, event: told.NativeEvent, stream: Stream) -> None:
        if isinstance(event, told.Opened):
            self._begin(event, stream)
        elif isinstance(event, told.Data):
            stream.put(Data(event.channel, event.data))
        elif isinstance(event, told.Ended):
            stream.put(Ended(event.channel))
        elif isinstance(event, told.Control):
            stream.put(Control(event.body))
        elif isinstance(event, told.Writable):
            stream.room_again()
        elif isinstance(event, (told.Cancelled, told.Closed)):
            stream.cancel(getattr(event, "why", "the host closed the stream"))

    def _begin(self, opened: told.Opened, stream: Stream) -> None:
        try:
            self._workers.post(lambda: self._run(opened, stream), always=opened.urgent)
        except CommandError as error:
            self._finish(stream, error)

    def _run(self, opened: told.Opened, stream: Stream) -> None:
        request = Request(opened.command, opened.arguments, opened.stream)
        conversation = stream if opened.streaming else None
        answer = self._dispatcher.answer(request, self._transport.name, conversation)
        if isinstance(answer, Reply):
            self._finish(stream, None, answer.value)
        else:
            self._finish(stream, answer.error)

    def _finish(self, stream: Stream, error: Optional[CommandError], value: object = None) -> None:
        """Say the last word on a stream, unless the host has said it."""
        stream.cancel("the command has ended")  # a thread of the command may still read
        try:
            self._say_last(stream, error, value)
        except StreamCancelled:
            pass  # nobody waits for it any more
        except CommandError as mistake:  # a result that is too large, or has no msgpack form
            self._say_last(stream, mistake, None)

    def _say_last(self, stream: Stream, error: Optional[CommandError], value: object) -> None:
        with self._talking(stream) as connection:
            if not isinstance(error, StreamCancelled):
                self._say(connection, stream, error, value)
            del self._streams[stream.number]

    @staticmethod
    def _say(
        connection: Connection, stream: Stream, error: Optional[CommandError], value: object
    ) -> None:
        number = stream.number
        if error is None and stream.accepted:
            connection.close(number, value)
        elif error is None:
            connection.accept(number, value)
        elif stream.accepted:
            connection.cancel(number, str(error))
        else:
            connection.reject(number, error.code, str(error))
