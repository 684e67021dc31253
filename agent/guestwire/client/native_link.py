"""Guestwire's own protocol: many commands at once, and streams to what runs in the guest.

One thread moves all bytes. Whoever asks, reads or writes changes the connection under the lock
and wakes it, so an interrupt never cuts a frame.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Mapping
from typing import Optional

from ..wire.native import HOST, CannotSend, Connection, Limits
from ..wire.native import events as told
from .errors import (
    AgentNotRunning,
    AgentTooOld,
    CannotReach,
    ChannelLost,
    ClientError,
    EchoingTty,
    GuestCommandFailed,
    NoAnswer,
    RefusedByPolicy,
    RequestTooLong,
    VmPaused,
)
from .links import GRACE, POLICY, TICK, Waiting, late
from .native_stream import NativeStream, Shared
from .printable import printable
from .steps import Ask
from .streams import Stream
from .watch import START_AGENT, Watch

# An answer holds a mebibyte of a file as base64. Guests open no streams.
LIMITS = Limits(streams=0, answer=3 << 20)
LONGEST_REQUEST = 48 << 10  # guests take 64 KiB at once; what JSON escapes is longer there
QUIET = 5.0  # seconds without a byte, while something is asked, after which the guest is pinged
DEAD = 20.0  # and after which a guest of which nothing else is known is given up
PATIENCE = 60.0  # for a command to begin
FAREWELL = 0.5  # seconds in which the guest is told that we leave


class NativeLink:
    """A `Link`, and `open` for streams. It may be used by many threads at once."""

    def __init__(self, stream: Stream, watch: Watch) -> None:
        self.name = stream.name
        self.identity: Optional[Mapping[str, object]] = None  # what the agent says of itself
        self._stream = stream
        self._watch = watch
        self._connection = Connection(HOST, os.urandom, LIMITS)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._streams: dict[int, NativeStream] = {}
        self._shared = Shared(self._connection, self._lock, self._wake, self._streams)
        self._lost: Optional[ClientError] = None
        self._pongs: list[float] = []
        self._heard = self._pinged = 0.0
        self._outgoing = memoryview(b"")
        self._closing: Optional[float] = None  # until when
        self._woken = False
        self._bell, self._rope = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._rope, False)
        self._thread = threading.Thread(target=self._run, name=f"native {self.name}", daemon=True)

    def greet(self, deadline: float, waiting: Optional[Waiting]) -> None:
        """Until there is a session. With `waiting`, what is wrong may yet become right."""
        self._heard = time.monotonic()
        self._connection.start(self._heard)
        self._thread.start()
        while True:
            end = min(deadline, time.monotonic() + TICK)
            with self._changed:
                while self.identity is None and self._lost is None and time.monotonic() < end:
                    self._changed.wait(max(0.001, end - time.monotonic()))
                if self._lost is not None:
                    raise self._lost
                if self.identity is not None:
                    return
            known = self._watch.why()
            if known is None and (waiting or time.monotonic() >= deadline):
                text = f"{self.name}: no agent of guestwire's answered"
                known = AgentNotRunning(text, START_AGENT)
            if known is not None:
                if waiting is None or time.monotonic() >= deadline:
                    raise known
                waiting(known)

    def ask(self, step: Ask) -> object:
        patience = min(GRACE, step.timeout) if step.silent else step.timeout
        try:
            with self._begin(step.command, step.arguments, False) as stream:
                if not stream.wait(time.monotonic() + patience):
                    raise late(step, self.name, self._watch)
                return stream.value
        except (NoAnswer, ChannelLost):
            if step.silent:  # which is what success looks like
                return None
            raise

    def open(
        self, command: str, arguments: Mapping[str, object], timeout: float = PATIENCE
    ) -> NativeStream:
        """A stream to a command that has begun; its `value` is what it began with."""
        stream = self._begin(command, arguments, True)
        try:
            if not stream.wait(time.monotonic() + timeout):
                raise late(Ask(command, arguments, timeout, 0), self.name, self._watch)
        except BaseException:
            stream.close()
            raise
        return stream

    def ping(self, timeout: float = 5.0) -> float:
        """Seconds to the guest and back, whatever else is under way."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._check()
            self._pongs.clear()
            self._connection.ping(time.monotonic())
        self._wake()
        with self._changed:
            while not self._pongs:
                self._check()
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    raise NoAnswer(f"{self.name}: no answer to a ping within {timeout:g} s")
            return self._pongs.pop()

    def close(self) -> None:
        """End the session; the guest gives up what is still open."""
        with self._changed:
            if self._closing is not None:
                return
            self._closing = time.monotonic() + FAREWELL
            if self._lost is None:
                self._connection.stop("the host has left")
                self._fail(ChannelLost(f"{self.name}: the link was closed"))
        self._wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._stream.close()
        os.close(self._bell)
        os.close(self._rope)

    def _begin(
        self, command: str, arguments: Mapping[str, object], streaming: bool
    ) -> NativeStream:
        with self._changed:
            self._check()
            try:
                number = self._connection.open(command, arguments, streaming=streaming)
            except CannotSend as error:
                raise self._cannot(command, str(error)) from error
            stream = self._streams[number] = NativeStream(number, command, self._shared)
        self._wake()
        return stream

    def _cannot(self, command: str, why: str) -> ClientError:
        if " bytes in a control body" not in why:
            return GuestCommandFailed(command, "cannot-send", why)
        return RequestTooLong(
            f"{self.name}: {command}: {why}",
            "copy the data into the guest with 'guestwire cp', and read it there",
            LONGEST_REQUEST,
        )

    def _check(self) -> None:
        if self._lost is not None:
            raise self._lost

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):  # it is full, or closed: then nobody sleeps
                os.write(self._rope, b"!")

    # The thread that moves the bytes.

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        try:
            while self._closing is None or time.monotonic() < self._closing:
                wanted = select.POLLOUT if self._outgoing else 0
                poll.register(self._stream.fileno(), select.POLLIN | wanted)
                ready = dict(poll.poll(self._milliseconds()))
                if self._bell in ready:
                    os.read(self._bell, 64)
                    self._woken = False
                if ready.get(self._stream.fileno(), 0) & ~select.POLLOUT:
                    self._receive(self._stream.recv_now())
                self._look_at_the_clock()
                if not self._send() and self._closing is not None:
                    return
        except ClientError as error:
            with self._changed:
                self._fail(error)
            with contextlib.suppress(ClientError):
                self._send()  # why we leave, if the guest did wrong
        finally:
            with self._changed:
                self._fail(ChannelLost(f"{self.name}: the link is closed"))

    def _receive(self, data: bytes) -> None:
        now = self._heard = time.monotonic()
        with self._changed:
            self._connection.receive(data, now)
            self._take_events()

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        with self._changed:
            due = self._connection.next_timeout()
            if due is not None and due <= now:
                self._connection.tick(now)
                self._take_events()
            waits = bool(self._streams) and self.identity is not None
            if not waits:
                self._heard = now
                return
            if now < max(self._heard, self._pinged) + QUIET:
                return
            self._pinged = now
            if self._lost is None:
                self._connection.ping(now)
        silent = now - self._heard
        if silent > 2 * QUIET:
            self._explain(silent)

    def _explain(self, silent: float) -> None:
        """A guest that is paused goes on one day; one whose agent has gone does not."""
        known = self._watch.why()
        if isinstance(known, VmPaused):
            return
        if known is None and silent > DEAD:
            known = ChannelLost(f"{self.name}: the agent has not answered for {silent:.0f} s")
        if known is not None:
            raise known

    def _milliseconds(self) -> float:
        now = time.monotonic()
        times = [now + QUIET]
        with self._lock:
            due = self._connection.next_timeout()
        if due is not None:
            times.append(due)
        if self._closing is not None:
            times.append(self._closing)
        return max(0.0, (min(times) - now) * 1000 + 1)

    def _send(self) -> bool:
        """Whether something is left, because the channel takes no more now."""
        while True:
            if not self._outgoing:
                with self._lock:
                    self._outgoing = memoryview(self._connection.next_frame())
                if not self._outgoing:
                    return False
            count = self._stream.send_now(self._outgoing)
            if not count:
                return True
            self._outgoing = self._outgoing[count:]

    def _take_events(self) -> None:
        """Raises what ends the session. Its streams are cancelled first, which is not the cause."""
        cancelled = []
        while (event := self._connection.next_event()) is not None:
            if isinstance(event, told.SessionStarted):
                self.identity = event.identity
                self._changed.notify_all()
            elif isinstance(event, told.SessionEnded):
                raise self._ended(event.why)
            elif isinstance(event, told.EchoDetected):
                raise EchoingTty(
                    f"{self.name}: it sends back what is sent to it: a terminal, and no agent",
                    "start the agent in the guest on this line",
                )
            elif isinstance(event, told.Pong):
                self._pongs.append(event.round_trip)
                self._changed.notify_all()
            elif isinstance(event, told.Cancelled):
                cancelled.append(event)
            else:
                self._hand_on(event)
        for one in cancelled:
            self._hand_on(one)

    def _hand_on(self, event: told.NativeEvent) -> None:
        number = getattr(event, "stream", 0)
        stream = self._streams.get(number)
        if stream is None:
            return
        if isinstance(event, (told.Data, told.Ended, told.Control)):
            stream.put(event)
        elif isinstance(event, told.Writable):
            stream.writable()
        elif isinstance(event, told.Accepted):
            stream.accepted(event.value, event.end)
        elif isinstance(event, told.Closed):
            stream.closed(event.value)
        elif isinstance(event, told.Rejected):
            stream.fail(refused(stream.command, event.code, event.text))
        elif isinstance(event, told.Cancelled):
            stream.fail(GuestCommandFailed(stream.command, "failed", event.why))
        if stream.over:
            del self._streams[number]

    def _ended(self, why: str) -> ClientError:
        if self.identity is None:
            return CannotReach(f"{self.name}: the agent refuses: {printable(why)}")
        return ChannelLost(
            f"{self.name}: the session ended: {printable(why)}",
            "the agent was restarted, or another program of the host took the channel",
        )

    def _fail(self, error: ClientError) -> None:
        if self._lost is None:
            self._lost = error
        for stream in self._streams.values():
            stream.fail(error)
        self._streams.clear()
        self._changed.notify_all()


def refused(command: str, code: str, text: str) -> GuestCommandFailed:
    """The agent's refusal, by its code."""
    if code == "unknown-command":
        advice = "the agent in the guest is too old: update it"
        return AgentTooOld(command, code, text, advice)
    if code == "not-permitted":
        return RefusedByPolicy(command, code, text, POLICY)
    return GuestCommandFailed(command, code, text)
