from __future__ import annotations

import pytest

from guestwire.wire.native import CannotSend, StreamOver
from guestwire.wire.native.events import (
    Accepted,
    Cancelled,
    Closed,
    Control,
    Ended,
    Opened,
    Rejected,
    SessionEnded,
    SessionStarted,
    Writable,
)
from native_pipe import Pipe

WINDOW = 256 << 10


@pytest.fixture
def pipe():
    return Pipe().up()


@pytest.fixture
def stream(pipe):
    """A stream that the guest has accepted."""
    number = pipe.host.conn.open("exec", {"path": "/bin/cat"}, streaming=True)
    pipe.run()
    pipe.guest.conn.accept(number, {"pid": 7}, end=False)
    pipe.run()
    pipe.host.take()
    pipe.guest.take()
    return number


@pytest.mark.parametrize("cut", [1, 3, 17, 4096])
def test_a_request_has_an_answer(cut):
    pipe = Pipe(cut=cut).up()
    stream = pipe.host.conn.open("guest-ping", {"a": [1, None, b"\xff"]})
    pipe.run()
    assert pipe.guest.one(Opened) == (stream, "guest-ping", {"a": [1, None, b"\xff"]},
                                      False, False, False)  # fmt: skip
    pipe.guest.conn.accept(stream, {"pong": True})
    pipe.run()
    assert pipe.host.one(Accepted) == (stream, {"pong": True}, True)


def test_answers_may_come_out_of_order(pipe):
    first, second = (pipe.host.conn.open("x", {}) for _ in range(2))
    pipe.run()
    for stream in (second, first):
        pipe.guest.conn.accept(stream, stream)
    pipe.run()
    assert [one.stream for one in pipe.host.take(Accepted)] == [second, first]


def test_a_refusal_tells_why(pipe):
    stream = pipe.host.conn.open("x", {}, streaming=True)
    pipe.run()
    pipe.guest.conn.reject(stream, "unknown-command", "no such command")
    pipe.run()
    assert pipe.host.one(Rejected) == (stream, "unknown-command", "no such command")
    with pytest.raises(StreamOver):
        pipe.host.conn.room(stream)


def test_data_go_both_ways_on_channels_of_one_stream(pipe, stream):
    pipe.host.conn.send_data(stream, b"input")
    pipe.host.conn.end(stream)
    pipe.run()
    pipe.guest.conn.send_data(stream, b"output", channel=0)
    pipe.guest.conn.send_data(stream, b"error", channel=1)
    pipe.guest.conn.end(stream, 1)
    pipe.guest.conn.close(stream, {"exit-code": 3})
    pipe.run()
    assert pipe.guest.received == {(stream, 0): b"input"}
    assert pipe.guest.take() == [Ended(stream, 0)]
    assert pipe.host.received == {(stream, 0): b"output", (stream, 1): b"error"}
    assert pipe.host.take() == [Ended(stream, 1), Closed(stream, {"exit-code": 3})]


def test_data_may_follow_the_request_before_its_answer(pipe):
    stream = pipe.host.conn.open("cat", {}, streaming=True)
    pipe.host.conn.send_data(stream, b"early")
    pipe.run()
    assert pipe.guest.received == {(stream, 0): b"early"}


def test_control_keeps_its_place_among_data(pipe, stream):
    seen = []
    pipe.guest.on_event = lambda conn, event: seen.append(event)
    pipe.host.conn.send_data(stream, b"before")
    pipe.host.conn.control(stream, {"resize": [80, 24]})
    pipe.host.conn.send_data(stream, b"after")
    pipe.run()
    assert seen[0].data == b"before" and seen[2].data == b"after"
    assert seen[1] == Control(stream, {"resize": [80, 24]})


def test_either_end_cancels(pipe, stream):
    pipe.host.conn.cancel(stream, "changed my mind")
    pipe.run()
    assert pipe.guest.take() == [Cancelled(stream, "changed my mind")]
    with pytest.raises(StreamOver):
        pipe.guest.conn.send_data(stream, b"x")
    other = pipe.host.conn.open("x", {}, streaming=True)
    pipe.run()
    pipe.guest.conn.cancel(other, "no")
    pipe.run()
    assert pipe.host.take() == [Cancelled(other, "no")]


def test_a_request_that_is_cancelled_before_it_is_sent_is_never_seen(pipe):
    stream = pipe.host.conn.open("x", {})
    pipe.host.conn.cancel(stream, "no")
    assert pipe.host.conn.next_frame() == b""
    pipe.run()
    assert Opened not in map(type, pipe.guest.take())


def test_a_guest_may_open_streams_with_even_numbers(pipe):
    stream = pipe.guest.conn.open("notify", {})
    pipe.run()
    assert stream == 2 and pipe.host.take(Opened)[0].stream == 2
    pipe.host.conn.accept(2, "seen")
    pipe.run()
    assert pipe.guest.take(Accepted) == [Accepted(2, "seen", True)]


def test_credit_ends_at_the_window_and_is_renewed_at_half(pipe, stream):
    pipe.guest.reads = False
    assert pipe.host.conn.room(stream) == WINDOW
    with pytest.raises(CannotSend):
        pipe.host.conn.send_data(stream, bytes(WINDOW + 1))
    pipe.host.conn.send_data(stream, bytes(WINDOW))
    assert pipe.host.conn.room(stream) == 0
    pipe.run()
    pipe.guest.conn.consumed(stream, WINDOW // 2 - 1)
    pipe.run()
    assert pipe.host.conn.room(stream) == 0
    pipe.guest.conn.consumed(stream, 1)
    pipe.run()
    assert pipe.host.take() == [Writable(stream)]
    assert pipe.host.conn.room(stream) == WINDOW // 2


def test_a_copy_in_odd_sizes_fills_its_frames(pipe, stream):
    pipe.frames.clear()
    for _ in range(10):
        pipe.host.conn.send_data(stream, bytes(10_001))
    pipe.run()
    assert len([1 for source, _ in pipe.frames if source is pipe.host]) == 4
    assert len(pipe.guest.received[stream, 0]) == 100_010


def test_megabytes_pass_whole(pipe, stream):
    body = bytes(range(256)) * 20_000
    sent = 0
    while sent < len(body):
        count = min(pipe.guest.conn.room(stream), 70_001)
        pipe.guest.conn.send_data(stream, body[sent : sent + count])
        sent += count
        pipe.run()
    assert pipe.host.received[stream, 0] == body


def test_a_new_session_cancels_what_the_last_one_had(pipe, stream):
    pipe.host.conn.start(pipe.now)
    pipe.host.drain()
    assert pipe.host.take() == [Cancelled(stream, "the session ended"),
                                SessionEnded("started anew")]  # fmt: skip
    pipe.wait(1)
    ended, over, started = pipe.guest.take()
    assert (ended.stream, type(over), type(started)) == (stream, SessionEnded, SessionStarted)
