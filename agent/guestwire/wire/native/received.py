"""What the other end's frames do. Raises Violation for those that it may not send."""

from __future__ import annotations

from typing import Optional

from . import events, frames
from .bodies import member, reason, unpack, unpack_map
from .errors import Violation
from .events import MaybeEvent
from .frames import FIN, MORE, MUST_UNDERSTAND, OFFSET, U64, URGENT, Frame
from .parking import Parking
from .streams import ASKED, ENDING, LINGERING, RESUMING, RUNNING, Message, Stream
from .table import Table

IN_PARTS = {frames.OPEN, frames.ACCEPT, frames.REJECT, frames.CTRL, frames.CLOSE, frames.EVENT}
OF_THE_SESSION = {frames.PING, frames.PONG, frames.EVENT, frames.GOAWAY}
TOKEN = 16  # bytes
UNREAD = 1024  # short answers that wait, after which the other end is taken to read none


class Received:
    def __init__(self, table: Table, parking: Parking) -> None:
        self._table = table
        self._on = {
            frames.OPEN: self._on_open,
            frames.ACCEPT: self._on_accept,
            frames.REJECT: self._on_reject,
            frames.CTRL: self._on_ctrl,
            frames.CLOSE: self._on_close,
            frames.CANCEL: self._on_cancel,
            frames.CREDIT: self._on_credit,
            frames.PING: self._on_ping,
            frames.EVENT: self._on_event,
            frames.GOAWAY: self._on_goaway,
            frames.RESUME: parking.on_resume,
        }
        self._parking = parking

    def handle(self, frame: Frame) -> MaybeEvent:
        kind, flags, number, payload = frame
        if kind == frames.DATA:
            return self._on_data(number, flags, payload)
        known = self._on.get(kind)
        if known is None:
            return self._unknown(kind, flags, number)
        if (number == 0) != (kind in OF_THE_SESSION) and kind != frames.CREDIT:
            raise Violation(f"frame of type {kind} on stream {number}")
        if len(self._table.outbox.front) > UNREAD:
            raise Violation("the answers are not read")
        if flags & MORE or self._table.parts is not None:
            whole = self._put_together(frame)
            if whole is None:
                return None
            payload = whole
        return known(number, flags, payload)

    def _put_together(self, frame: Frame) -> Optional[bytes]:
        kind, flags, number, payload = frame
        parts = self._table.parts
        if parts is not None and self._is_over(parts[0], parts[1]):
            self._table.parts = parts = None
        if parts is None or parts[:2] != (kind, number):
            if not flags & MORE:
                return payload
            if parts is not None or kind not in IN_PARTS:
                raise Violation(f"frame of type {kind} begins a body in parts")
            self._table.parts = parts = (kind, number, bytearray())
        body = parts[2]
        body += payload
        limits = self._table.limits
        most = limits.answer if kind in (frames.ACCEPT, frames.CLOSE) else limits.control
        if len(body) > most:
            raise Violation(f"a control body of more than {most} bytes")
        if flags & MORE:
            return None
        self._table.parts = None
        return bytes(body)

    def _is_over(self, kind: int, number: int) -> bool:
        """Whether the stream of such a body is over, so that the rest of it may never come."""
        return kind not in (frames.OPEN, frames.EVENT) and self._table.known(number) is None

    def _unknown(self, kind: int, flags: int, number: int) -> MaybeEvent:
        if not flags & MUST_UNDERSTAND:
            return None
        stream = self._table.known(number) if number else None
        text = f"frames of type {kind} are not understood"
        if stream is None:
            raise Violation(text)
        self._table.forget(stream)
        self._table.outbox.put_front(frames.CANCEL, number, reason(text))
        return events.Cancelled(number, text)

    def _on_data(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        offset = None
        if flags & OFFSET:
            if len(payload) < U64.size:
                raise Violation("DATA without its offset")
            (offset,) = U64.unpack_from(payload)
            payload = payload[U64.size :]
        size = len(payload)
        table = self._table
        session = table.session
        session.received += size
        if session.received > session.credited + session.window:
            raise Violation("more data than the session has credit for")
        stream = table.known(number)
        if stream is None or stream.state in (ENDING, LINGERING):
            table.give_back(size)
            return None
        if stream.only_answer or (stream.ours and stream.state != RUNNING):
            raise Violation(f"DATA on stream {number}, which takes none")
        into = stream.into
        start = into.received
        if offset is not None and offset != start:
            raise Violation(f"DATA at offset {offset} of stream {number}; {start} was next")
        channel = flags >> frames.CHANNEL_SHIFT
        if size and channel in into.ended:
            raise Violation(f"DATA behind the end of channel {channel} of stream {number}")
        into.received += size
        if into.received > into.credited + into.window:
            raise Violation(f"more data than stream {number} has credit for")
        if flags & FIN and channel not in into.ended:
            into.ended.add(channel)
            table.events.append(events.Ended(number, channel))
        return events.Data(number, channel, payload, start) if size else None

    def _on_open(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        table = self._table
        table.check_theirs(number)
        body = unpack_map(payload)
        command, arguments = member(body, "command", str), member(body, "arguments", dict)
        token = body.get("token")
        if token is not None and (type(token) is not bytes or len(token) != TOKEN):
            raise Violation(f"a token must be {TOKEN} bytes")
        streaming, urgent = body.get("streaming") is True, bool(flags & URGENT)
        stream = Stream(number, ours=False, streaming=streaming, urgent=urgent, token=token,
                        window=table.peer.stream_window)  # fmt: skip
        table.add(stream)
        if table.going_away:
            stream.token = None
            why = reason("no new streams are taken", code="going-away")
            table.finish(stream, Message(frames.REJECT, stream, why))
            return None
        return events.Opened(number, command, arguments, streaming, urgent, token is not None)

    def _on_accept(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        stream = self._of_ours(number, (ASKED, RESUMING))
        if stream is None:
            return None
        if stream.state == RESUMING:
            return self._parking.on_resumed(stream, payload)
        end = bool(flags & FIN)
        if not end and stream.only_answer:
            raise Violation(f"stream {number} was opened for an answer alone")
        value = unpack(payload)
        if end:
            self._table.forget(stream)
        else:
            stream.state = RUNNING
        return events.Accepted(number, value, end)

    def _on_reject(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        stream = self._of_ours(number, (ASKED, RESUMING))
        if stream is None:
            return None
        body = unpack_map(payload)
        code, text = member(body, "code", str), member(body, "text", str)
        self._table.forget(stream)
        return events.Rejected(number, code, text)

    def _on_ctrl(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        stream = self._table.known(number)
        if stream is None or stream.state in (ENDING, LINGERING):
            return None
        if stream.only_answer or (stream.ours and stream.state != RUNNING):
            raise Violation(f"CTRL on stream {number}, which takes none")
        return events.Control(number, unpack(payload))

    def _on_close(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        table = self._table
        stream = table.known(number)
        if stream is None:
            return None
        if not stream.ours:
            if stream.final is None or stream.token is None:
                raise Violation(f"CLOSE on stream {number} by the end that opened it")
            table.forget(stream)
            return None
        if stream.state != RUNNING:
            raise Violation(f"CLOSE on stream {number}, which does not run")
        value = unpack(payload)
        table.linger(stream)
        if stream.token is not None:
            table.outbox.put_front(frames.CLOSE, number)
        return events.Closed(number, value)

    def _on_cancel(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        why = member(unpack_map(payload), "text", str)
        table = self._table
        if self._table.parts is not None and self._table.parts[1] == number:
            kind, self._table.parts = self._table.parts[0], None
            if kind == frames.OPEN:
                table.skip_theirs(number)
                return None
        stream = table.streams.get(number)  # or parked, and then perhaps at the other end alone
        if stream is None or stream.state == LINGERING:
            return None
        ending = stream.state == ENDING
        table.forget(stream)
        return None if ending else events.Cancelled(number, why)

    def _on_credit(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        if len(payload) != U64.size:
            raise Violation("CREDIT must be 8 bytes")
        (offset,) = U64.unpack(payload)
        outbox = self._table.outbox
        if number == 0:
            _check_credit(outbox.acked, offset, outbox.sent)
            outbox.acked = offset
            outbox.list_blocked()
        else:
            stream = self._table.known(number)
            if stream is None or stream.state in (LINGERING, RESUMING):
                return None
            _check_credit(stream.out.acked, offset, stream.out.sent)
            stream.out.acknowledge(offset)
            outbox.list(stream)
        if self._table.wanting:
            self._table.tell_writable()
        return None

    def _on_ping(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        if len(payload) != U64.size:
            raise Violation("PING must be 8 bytes")
        self._table.outbox.put_pong(payload)
        return None

    def _on_event(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        body = unpack_map(payload)
        return events.Event(member(body, "name", str), body.get("body"))

    def _on_goaway(self, number: int, flags: int, payload: bytes) -> MaybeEvent:
        self._table.no_more = True
        return events.Goaway(member(unpack_map(payload), "text", str))

    def _of_ours(self, number: int, states: tuple[int, int]) -> Optional[Stream]:
        stream = self._table.known(number)
        if stream is not None and (not stream.ours or stream.state not in (*states, LINGERING)):
            raise Violation(f"an answer on stream {number}, which awaits none")
        return None if stream is None or stream.state == LINGERING else stream


def _check_credit(before: int, offset: int, sent: int) -> None:
    if not before <= offset <= sent:
        raise Violation(f"CREDIT to {offset}; {before} was consumed and {sent} sent")
