"""Each rule of docs/protocol.md that an end may break, and what comes of it."""

from __future__ import annotations

import msgpack
import pytest

from guestwire.wire.native import GUEST, HOST, SLOW, CannotSend, Limits, StreamOver
from guestwire.wire.native import frames as f
from guestwire.wire.native.events import (
    Accepted,
    Cancelled,
    Control,
    Opened,
    Rejected,
    Resumed,
    SessionEnded,
)
from native_pipe import End, Pipe

WINDOW = 256 << 10


@pytest.fixture
def pipe():
    """A session with streams of the host: 1 runs, 3 awaits its answer, 5 is for an answer alone."""
    pipe = Pipe().up()
    for streaming in (True, True, False):
        pipe.host.conn.open("x", {}, streaming=streaming)
    pipe.run()
    pipe.guest.conn.accept(1, None, end=False)
    pipe.run()
    pipe.host.take()
    pipe.guest.take()
    pipe.guest.reads = pipe.host.reads = False
    return pipe


def say(pipe, to, kind, flags=0, stream=0, payload=b""):
    """One frame from the other end, which would not send it by itself."""
    if not isinstance(payload, bytes):
        payload = msgpack.packb(payload)
    to.receive(f.encode(to.conn._sessions._tag, kind, flags, stream, (payload,)), pipe.now)


OPEN = {"command": "x", "arguments": {}}
TO_GUEST = {
    "an even number": (f.OPEN, 0, 8, OPEN),
    "a number that was given": (f.OPEN, 0, 3, OPEN),
    "a number below": (f.OPEN, 0, 4, OPEN),
    "a stream that is none": (f.OPEN, 0, 0, OPEN),
    "no command": (f.OPEN, 0, 7, {"arguments": {}}),
    "arguments in an array": (f.OPEN, 0, 7, {"command": "x", "arguments": []}),
    "a short token": (f.OPEN, 0, 7, {**OPEN, "token": b"x"}),
    "a body that is none": (f.OPEN, 0, 7, b"\xc1"),
    "an answer to oneself": (f.ACCEPT, 0, 1, b"\xc0"),
    "a refusal of oneself": (f.REJECT, 0, 3, {"code": "x", "text": ""}),
    "a result by who asked": (f.CLOSE, 0, 1, b"\xc0"),
    "data on a stream that was never opened": (f.DATA, 0, 99, b"x"),
    "data on the session": (f.DATA, 0, 0, b"x"),
    "data where an answer is asked for": (f.DATA, 0, 5, b"x"),
    "control where an answer is asked for": (f.CTRL, 0, 5, b"\xc0"),
    "data at another offset": (f.DATA, f.OFFSET, 1, f.U64.pack(1) + b"x"),
    "half an offset": (f.DATA, f.OFFSET, 1, b"x"),
    "credit for what was not sent": (f.CREDIT, 0, 1, f.U64.pack(1)),
    "credit of the session for the same": (f.CREDIT, 0, 0, f.U64.pack(1)),
    "credit in four bytes": (f.CREDIT, 0, 1, bytes(4)),
    "a ping of four bytes": (f.PING, 0, 0, bytes(4)),
    "a ping on a stream": (f.PING, 0, 1, bytes(8)),
    "an event on a stream": (f.EVENT, 0, 1, {"name": "x", "body": 1}),
    "an event without name": (f.EVENT, 0, 0, {"body": 1}),
    "a farewell without text": (f.GOAWAY, 0, 0, {}),
    "a cancel without text": (f.CANCEL, 0, 1, {}),
    "a cancel in parts": (f.CANCEL, f.MORE, 1, b"\xc0"),
    "a resume without token": (f.RESUME, 0, 1, {"received": 0, "consumed": 0}),
}


@pytest.mark.parametrize("frame", TO_GUEST.values(), ids=TO_GUEST)
def test_a_guest_ends_the_session(pipe, frame):
    say(pipe, pipe.guest, *frame)
    (end,) = pipe.guest.take(SessionEnded)
    pipe.run()
    assert pipe.host.take(SessionEnded) == [end]
    pipe.up()
    assert pipe.host.conn.open("x", {}) == 1


TO_HOST = {
    "an answer alone that does not end": (f.ACCEPT, 0, 5, b"\xc0"),
    "a second answer": (f.ACCEPT, 0, 1, b"\xc0"),
    "a late refusal": (f.REJECT, 0, 1, {"code": "x", "text": ""}),
    "a refusal without code": (f.REJECT, 0, 3, {"text": ""}),
    "data before the answer": (f.DATA, 0, 3, b"x"),
    "control before the answer": (f.CTRL, 0, 3, b"\xc0"),
    "a result before the answer": (f.CLOSE, 0, 3, b"\xc0"),
    "a result of an answer alone": (f.CLOSE, 0, 5, b"\xc0"),
    "an answer on a stream that was never opened": (f.ACCEPT, f.FIN, 99, b"\xc0"),
    "a stream of the host's": (f.OPEN, 0, 7, OPEN),
}


@pytest.mark.parametrize("frame", TO_HOST.values(), ids=TO_HOST)
def test_a_host_ends_the_session(pipe, frame):
    say(pipe, pipe.host, *frame)
    (end,) = pipe.host.take(SessionEnded)
    pipe.run()
    assert pipe.guest.take(SessionEnded) == [end]


@pytest.mark.parametrize("role", ["host", "guest"])
def test_credit_of_a_stream_is_not_passed(pipe, role):
    end = getattr(pipe, role)
    for _ in range(WINDOW // 32_000):
        say(pipe, end, f.DATA, 0, 1, bytes(32_000))
    say(pipe, end, f.DATA, 0, 1, bytes(WINDOW % 32_000))
    assert end.take(SessionEnded) == []
    say(pipe, end, f.DATA, 0, 1, b"x")
    assert end.take(SessionEnded) == [SessionEnded("more data than stream 1 has credit for")]


def test_credit_of_the_session_is_not_passed(pipe):
    for number in range(7, 21, 2):
        say(pipe, pipe.guest, f.OPEN, 0, number, {**OPEN, "streaming": True})
    pipe.guest.take()
    for count in range(1 << 5):
        say(pipe, pipe.guest, f.DATA, 0, 7 + 2 * (count // 5), bytes(32_000))
    assert pipe.guest.take() == []
    say(pipe, pipe.guest, f.DATA, 0, 19, bytes((1 << 20) - (32_000 << 5) + 1))
    assert pipe.guest.take(SessionEnded)[0].why == "more data than the session has credit for"


def test_data_behind_the_end_of_a_channel(pipe):
    say(pipe, pipe.guest, f.DATA, f.FIN, 1, b"x")
    say(pipe, pipe.guest, f.DATA, f.FIN, 1)
    say(pipe, pipe.guest, f.DATA, 1 << f.CHANNEL_SHIFT, 1, b"x")
    assert pipe.guest.take(SessionEnded) == []
    say(pipe, pipe.guest, f.DATA, 0, 1, b"x")
    assert "behind the end" in pipe.guest.one(SessionEnded).why


@pytest.mark.parametrize(("kind", "most"), [(f.CTRL, 64 << 10), (f.ACCEPT, 1 << 20)])
def test_a_body_in_parts_has_a_bound(pipe, kind, most):
    for _ in range(most // 32_768):
        say(pipe, pipe.host, kind, f.MORE, 3 if kind == f.ACCEPT else 1, bytes(32_748))
    assert pipe.host.take() == []
    say(pipe, pipe.host, kind, f.MORE, 3 if kind == f.ACCEPT else 1, bytes(32_748))
    assert pipe.host.take(SessionEnded)[0].why == f"a control body of more than {most} bytes"


def test_two_bodies_in_parts_at_once(pipe):
    say(pipe, pipe.guest, f.CTRL, f.MORE, 1, b"\xc4")
    say(pipe, pipe.guest, f.CTRL, f.MORE, 3, b"\xc4")
    assert pipe.guest.take(SessionEnded)


def test_what_comes_for_a_stream_that_is_over_is_ignored(pipe):
    pipe.guest.conn.cancel(1, "no")
    pipe.guest.conn.cancel(3, "no")
    for kind, payload in ((f.DATA, b"x"), (f.CTRL, b"\xc0"), (f.CREDIT, bytes(8))):
        say(pipe, pipe.guest, kind, 0, 1, payload)
    say(pipe, pipe.guest, f.CANCEL, 0, 1, {"text": ""})
    say(pipe, pipe.guest, f.CTRL, f.MORE, 3, b"\xc4\x02x")
    say(pipe, pipe.guest, f.CTRL, 0, 3, b"x")
    assert pipe.guest.take() == []


# The same, asked for by the application.


def test_an_application_is_kept_from_breaking_the_rules(pipe):
    host, guest = pipe.host.conn, pipe.guest.conn
    host.end(1)
    wrong = [
        lambda: guest.accept(1, None),
        lambda: guest.send_data(3, b"x"),
        lambda: guest.end(3),
        lambda: guest.control(3, 1),
        lambda: guest.close(3, 1),
        lambda: guest.accept(5, None, end=False),
        lambda: host.accept(3, None),
        lambda: host.close(1, None),
        lambda: host.send_data(5, b"x"),
        lambda: host.control(5, b"x"),
        lambda: host.send_data(1, b"x"),
        lambda: host.end(1),
        lambda: host.send_data(3, b"x", channel=4),
        lambda: host.send_data(3, bytes(WINDOW + 1)),
        lambda: host.consumed(1, 1),
        lambda: host.consumed(1, -1),
        lambda: host.resume(1),
        lambda: host.resume(99),
        lambda: host.control(1, {1: 1}),
        lambda: host.control(1, "x" * (64 << 10)),
        lambda: host.open("x", {"a": "x" * (64 << 10)}),
        lambda: guest.accept(3, "x" * (1 << 20)),
    ]
    for call in wrong:
        with pytest.raises(CannotSend):
            call()
    for call in (lambda: host.room(7), lambda: guest.close(7, 1), lambda: guest.accept(9, 1)):
        with pytest.raises(StreamOver):
            call()
    pipe.run()
    assert pipe.host.take() == []


@pytest.mark.parametrize("role", ["host", "guest"])
def test_no_more_streams_than_the_other_end_takes(role):
    few = Limits(streams=3)
    pipe = Pipe(End(HOST, 1, few), End(GUEST, 2, few)).up()
    opener, other = (pipe.host, pipe.guest) if role == "host" else (pipe.guest, pipe.host)
    streams = [opener.conn.open("x", {}) for _ in range(3)]
    with pytest.raises(CannotSend, match="3 streams"):
        opener.conn.open("x", {})
    pipe.run()
    other.conn.accept(streams[0], None)
    opener.conn.cancel(streams[1], "no")
    pipe.run()
    opener.conn.open("x", {})
    opener.conn.open("x", {})
    pipe.run()
    other.take()
    say(pipe, other, f.OPEN, 0, streams[0] + 20, OPEN)
    assert other.take(SessionEnded)[0].why == "more than 3 streams"


# What went wrong once.


def break_the_line(pipe):
    for end in (pipe.host, pipe.guest):
        while end.conn.next_frame():
            pass
        end.conn.disconnected(pipe.now)
        end.drain()
    pipe.up()


def test_control_that_was_sent_in_part_is_sent_whole_in_the_next_session():
    pipe = Pipe().up()
    stream = pipe.host.conn.open("x", {}, resumable=True)
    pipe.run()
    pipe.guest.conn.accept(stream, None, end=False)
    pipe.run()
    pipe.host.conn.control(stream, "y" * 50_000)
    assert pipe.host.conn.next_frame()
    pipe.host.conn.start(pipe.now)
    pipe.up()
    pipe.guest.take()
    pipe.host.conn.resume(stream)
    pipe.run()
    assert pipe.guest.take() == [Resumed(stream, 0, None), Control(stream, "y" * 50_000)]


def test_a_refusal_that_was_lost_is_found_out_by_resuming():
    pipe = Pipe().up()
    stream = pipe.host.conn.open("x", {}, resumable=True)
    pipe.run()
    pipe.guest.conn.reject(stream, "no", "no")
    break_the_line(pipe)
    pipe.host.take()
    pipe.host.conn.resume(stream)
    pipe.run()
    assert pipe.host.take(Rejected)[0].code == "not-parked"


def test_an_answer_that_is_cancelled_halfway_does_not_spoil_the_next():
    pipe = Pipe().up()
    first, second = (pipe.host.conn.open("x", {}) for _ in range(2))
    pipe.run()
    for stream in (first, second):
        pipe.guest.conn.accept(stream, bytes(200_000))
    pipe.host.receive(pipe.guest.conn.next_frame(), pipe.now)
    pipe.host.take()
    pipe.host.conn.cancel(first, "no")
    pipe.run()
    assert pipe.host.take() == [Accepted(second, bytes(200_000), True)]


def test_a_slow_line_holds_little():
    pipe = Pipe(End(HOST, 1, SLOW), End(GUEST, 2), cut=16).up()
    stream = pipe.host.conn.open("x", {}, streaming=True)
    pipe.run()
    pipe.guest.conn.accept(stream, None, end=False)
    pipe.run()
    assert pipe.guest.conn.room(stream) == pipe.host.conn.room(stream) == 4096
    pipe.guest.conn.send_data(stream, bytes(4096))
    first = pipe.guest.conn.next_frame()
    assert len(first) == 1024 and first[5] & f.CRC
    pipe.guest.conn.cancel(stream, "no")
    assert pipe.guest.conn.next_frame()[4] == f.CANCEL
    assert pipe.guest.conn.next_frame() == b""


def test_opened_and_cancelled_before_it_was_whole(pipe):
    say(pipe, pipe.guest, f.OPEN, f.MORE, 7, b"\x82")
    say(pipe, pipe.guest, f.CANCEL, 0, 7, {"text": ""})
    say(pipe, pipe.guest, f.OPEN, 0, 9, OPEN)
    assert [type(one) for one in pipe.guest.take()] == [Opened]
    assert Cancelled not in map(type, pipe.guest.take())
