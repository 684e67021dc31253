"""One transport, the native dialect and the dispatcher: many commands at once, with streams.

The thread that calls `serve` receives, a second one sends, and each command has a worker while
it runs. Whoever touches the connection holds the lock; nobody holds it while the port makes
them wait.
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
AT_ONCE = 64  # commands of one session; each has a thread while it runs


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

    def serve(self) -> None:
        """Answer hosts until the transport fails or is stopped. Raises TransportError."""
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

    def accept(self, stream: int, value: object) -> None:
        with self._talking() as connection:
            connection.accept(stream, value, end=False)

    def room(self, stream: int) -> int:
        with self._talking() as connection:
            return connection.room(stream)

    def send(self, stream: int, channel: int, data: bytes) -> None:
        with self._talking() as connection:
            connection.send_data(stream, data, channel=channel)

    def end(self, stream: int, channel: int) -> None:
        with self._talking() as connection:
            connection.end(stream, channel)

    def control(self, stream: int, body: object) -> None:
        with self._talking() as connection:
            connection.control(stream, body)

    def consumed(self, stream: int, count: int) -> None:
        with self._talking() as connection:
            connection.consumed(stream, count)

    @contextmanager
    def _talking(self) -> Iterator[Connection]:
        """The connection to ourselves; afterwards the sender looks whether there is something."""
        with self._outgoing:
            try:
                yield self._connection
            except StreamOver as error:  # between its last look and now
                raise StreamCancelled("the host gave the stream up") from error
            except CannotSend as error:
                raise CommandError(str(error)) from error
            finally:
                self._wake_sender()

    def _wake_sender(self) -> None:
        """Only for something to do: waking a thread for nothing costs more than most frames."""
        due = self._connection.next_timeout()
        if self._connection.has_frames or (due is not None and due < self._wakes_at):
            self._outgoing.notify()

    # The two threads of the session.

    def _receive(self, data: bytes) -> None:
        with self._talking() as connection:
            now = time.monotonic()
            if data:
                connection.receive(data, now)
            else:
                connection.disconnected(now)
            happened = self._happened()
        for event in happened:
            self._take(event)

    def _send_all(self) -> None:
        while True:
            with self._outgoing:
                frame, happened = self._next()
            for event in happened:
                self._take(event)
            if frame is None:
                return
            try:
                if frame:
                    self._transport.send(frame)
            except HostAway:
                continue  # the next HELLO begins anew; what was under way belongs to nobody
            except TransportError:
                return  # the receiving thread is told the same, and says it

    def _next(self) -> tuple[Optional[bytes], list[told.NativeEvent]]:
        """Wait until there is a frame to send, or time has made something happen.

        The frame is then empty; it is None when the session is over.
        """
        while self._failure is None:
            frame = self._connection.next_frame()
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

    def _happened(self) -> list[told.NativeEvent]:
        events = []
        while (event := self._connection.next_event()) is not None:
            events.append(event)
        return events

    def _fail(self, error: TransportError) -> None:
        with self._outgoing:
            self._failure = error
            self._outgoing.notify()

    # What the host does.

    def _take(self, event: told.NativeEvent) -> None:
        if isinstance(event, told.Opened):
            self._begin(event)
            return
        stream = self._streams.get(getattr(event, "stream", 0))
        if stream is None:
            return
        if isinstance(event, told.Data):
            stream.put(Data(event.channel, event.data))
        elif isinstance(event, told.Ended):
            stream.put(Ended(event.channel))
        elif isinstance(event, told.Control):
            stream.put(Control(event.body))
        elif isinstance(event, told.Writable):
            stream.room_again()
        elif isinstance(event, (told.Cancelled, told.Closed)):
            stream.cancel(getattr(event, "why", "the host closed the stream"))

    def _begin(self, opened: told.Opened) -> None:
        stream = Stream(opened.stream, self)
        self._streams[opened.stream] = stream
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
        self._streams.pop(stream.number, None)
        stream.cancel("the command has ended")  # a thread of the command may still read
        if isinstance(error, StreamCancelled):
            return
        try:
            with self._talking() as connection:
                self._say(connection, stream, error, value)
        except StreamCancelled:
            pass  # nobody waits for it any more
        except CommandError as mistake:  # a result that is too large, or has no msgpack form
            with self._talking() as connection:
                self._say(connection, stream, mistake, None)

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
