"""The host's end of a native session, in the test's own thread."""

from __future__ import annotations

import os
import socket
import time

from guestwire.wire.native import events as told
from guestwire.wire.native.connection import HOST, Connection


class NativeHost:
    """Blocking, one thing at a time; `told` collects what came meanwhile."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.connection = Connection(HOST, os.urandom)
        self.connection.start(time.monotonic())
        self.told = []
        self.wait(told.SessionStarted)

    def flush(self):
        while frame := self.connection.next_frame():
            self.sock.sendall(frame)

    def step(self):
        """Send what there is, and wait for the next bytes or the next timer."""
        self.flush()
        now = time.monotonic()
        due = self.connection.next_timeout()
        self.sock.settimeout(max(0.001, min(10, 10 if due is None else due - now)))
        try:
            data = self.sock.recv(65536)
            assert data, "the agent hung up"
            self.connection.receive(data, time.monotonic())
        except socket.timeout:  # TimeoutError itself from Python 3.10 on
            assert due is not None, f"nothing came; so far: {self.told}"
        self.connection.tick(time.monotonic())
        while event := self.connection.next_event():
            self.told.append(event)
            if isinstance(event, told.Data):
                self.connection.consumed(event.stream, len(event.data))
        self.flush()

    def wait(self, kind, stream=None, seconds=20):
        """The next event of a kind, and of a stream; it is taken out."""
        give_up = time.monotonic() + seconds
        while True:
            for event in self.told:
                mine = stream is None or getattr(event, "stream", None) == stream
                if isinstance(event, kind) and mine:
                    self.told.remove(event)
                    return event
            assert time.monotonic() < give_up, self.told
            self.step()

    def call(self, command, **arguments):
        stream = self.connection.open(command, arguments)
        answer = self.wait((told.Accepted, told.Rejected), stream)
        return answer.value if isinstance(answer, told.Accepted) else (answer.code, answer.text)

    def start(self, command, **arguments):
        """Open a stream, and its number once the guest has accepted it."""
        stream = self.connection.open(command, arguments, streaming=True)
        answer = self.wait((told.Accepted, told.Rejected), stream)
        assert isinstance(answer, told.Accepted), answer
        return stream

    def send(self, stream, data):
        view = memoryview(data)
        while view:
            room = self.connection.room(stream)
            if not room:
                self.step()
                continue
            self.connection.send_data(stream, bytes(view[:room]))
            view = view[room:]
        self.flush()

    def received(self, stream, channel=0):
        """All bytes of a channel that have come so far."""
        return b"".join(
            event.data
            for event in self.told
            if isinstance(event, told.Data) and (event.stream, event.channel) == (stream, channel)
        )
