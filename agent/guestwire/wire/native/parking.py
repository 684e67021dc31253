"""Streams that outlive their session: parked when it ends, resumed in another by their token."""

from __future__ import annotations

from typing import Optional

from . import frames
from .bodies import member, pack, reason, unpack_map
from .errors import CannotSend, Violation
from .events import MaybeEvent, Resumed
from .streams import ENDING, PARKED, RESUMING, RUNNING, Message, Stream
from .table import Table


class Parking:
    def __init__(self, table: Table) -> None:
        self._table = table

    def until(self) -> Optional[float]:
        """When the first parked stream is given up."""
        parked = [one.until for one in self._table.streams.values() if one.state == PARKED]
        return min(parked, default=None)

    def expire(self, now: float) -> None:
        for stream in list(self._table.streams.values()):
            if stream.state == PARKED and stream.until <= now:
                self._table.expire(stream, "nobody came back for it")

    def resume(self, number: int, token: Optional[bytes], received: int) -> None:
        """Ask for a stream that this end opened: itself, or (with a token) a process before it."""
        table = self._table
        stream = table.streams.get(number)
        if stream is None and token is not None:
            stream = self._adopt(number, token, received)
        if stream is None or stream.state != PARKED or not stream.ours:
            raise CannotSend(f"stream {number} is not parked")
        table.check_room_for_ours()
        table.revive(stream)
        stream.state = RESUMING
        into = stream.into
        into.credited = into.consumed
        body = {"token": stream.token, "received": into.received, "consumed": into.consumed}
        message = Message(frames.RESUME, stream, pack(body, table.peer.control))
        table.outbox.put(table.outbox.session, message)

    def on_resume(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        """The end that opened a stream comes back for it."""
        body = unpack_map(payload)
        token = member(body, "token", bytes)
        received, consumed = member(body, "received", int), member(body, "consumed", int)
        table = self._table
        stream = table.streams.get(number)
        if stream is None or stream.ours or stream.state != PARKED or stream.token != token:
            why = reason("no such stream is parked", code="not-parked")
            table.outbox.put_front(frames.REJECT, number, why)
            return None
        table.check_number_of_theirs()
        out = stream.out
        if not out.acked <= consumed <= received <= out.sent:
            why = reason("the bytes from there are gone", code="gone")
            table.outbox.put_front(frames.REJECT, number, why)
            table.expire(stream, "it was resumed where its bytes are gone")
            return None
        table.revive(stream)
        self._go_on(stream, received, consumed)
        if stream.final is not None:
            return None
        return Resumed(number, received, None)

    def on_resumed(self, stream: Stream, payload: bytes) -> MaybeEvent:
        """The end that accepted the stream still has it."""
        body = unpack_map(payload)
        received, consumed = member(body, "received", int), member(body, "consumed", int)
        out = stream.out
        if stream.adopted:
            stream.adopted = False
            out.acked = consumed
            out.sent = out.end = received
        if not out.acked <= consumed <= received <= out.sent:
            raise Violation(f"stream {stream.id} is resumed at {received}; {out.sent} were sent")
        stream.value = body.get("value")
        self._continue(stream, received, consumed)
        stream.state = RUNNING
        stream.announced = True
        self._table.outbox.list(stream)
        self._table.wanting[stream.id] = stream
        self._table.tell_writable()
        return Resumed(stream.id, received, stream.value)

    def _go_on(self, stream: Stream, received: int, consumed: int) -> None:
        """Answer with where we are, then send what the other end lacks."""
        table, into = self._table, stream.into
        into.credited = into.consumed
        queue = stream.out.queue
        unsent = [one for one in queue if type(one) is not Message or one.kind != frames.ACCEPT]
        queue.clear()
        queue.extend(unsent)
        if stream.final is not None and stream.final not in queue:
            queue.append(stream.final)
        self._continue(stream, received, consumed)
        body = {"received": into.received, "consumed": into.consumed, "value": stream.value}
        answer = Message(frames.ACCEPT, stream, pack(body, table.peer.answer))
        queue.appendleft(answer)
        table.outbox.queued += len(answer.body)
        stream.state = RUNNING if stream.final is None else ENDING
        stream.announced = True
        table.outbox.list(stream)

    def _continue(self, stream: Stream, received: int, consumed: int) -> None:
        out = stream.out
        out.window = stream.into.window = self._table.peer.stream_window
        out.acknowledge(consumed)
        out.rewind(received)
        outbox = self._table.outbox
        outbox.pending += out.end - out.sent
        for one in out.queue:
            if type(one) is Message:
                one.at = 0  # what was sent of it is lost
                outbox.queued += len(one.body)

    def _adopt(self, number: int, token: bytes, received: int) -> Stream:
        """A stream of which nothing is known but what the application kept."""
        stream = Stream(number, ours=True, token=token)
        into = stream.into
        into.received = into.consumed = into.credited = into.base = received
        stream.state = PARKED
        stream.adopted = True
        return stream
