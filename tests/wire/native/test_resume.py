from __future__ import annotations

from random import Random

import pytest

from guestwire.wire.native import GUEST, HOST, CannotSend, Limits, StreamOver
from guestwire.wire.native.events import (
    Cancelled,
    Closed,
    Ended,
    Opened,
    Parked,
    Rejected,
    Resumed,
    SessionEnded,
    SessionStarted,
)
from native_pipe import End, Pipe

WINDOW = 256 << 10


@pytest.fixture
def pipe():
    return Pipe().up()


@pytest.fixture
def stream(pipe):
    number = pipe.host.conn.open("exec", {}, resumable=True)
    pipe.run()
    assert pipe.guest.take(Opened)[0].resumable
    pipe.guest.conn.accept(number, {"pid": 7}, end=False)
    pipe.run()
    pipe.host.take()
    return number


def lose_the_line(pipe):
    """Both notice, and what was on its way is gone."""
    for end in (pipe.host, pipe.guest):
        while end.conn.next_frame():
            pass
        end.conn.disconnected(pipe.now)
        end.drain()


def reconnect(pipe):
    lose_the_line(pipe)
    pipe.up()


def test_a_stream_outlives_its_session(pipe, stream):
    lose_the_line(pipe)
    assert [type(one) for one in pipe.host.take()] == [Parked, SessionEnded]
    assert [type(one) for one in pipe.guest.take()] == [Parked, SessionEnded]
    pipe.up()
    assert pipe.guest.take(SessionStarted)[0].same_peer
    pipe.host.conn.resume(stream)
    pipe.run()
    assert pipe.guest.take() == [Resumed(stream, 0, None)]
    assert pipe.host.take(Resumed) == [Resumed(stream, 0, {"pid": 7})]


@pytest.mark.parametrize("seed", range(5))
def test_every_byte_arrives_once_and_in_order_over_a_line_that_breaks(pipe, stream, seed):
    random = Random(seed)
    bodies = {pipe.host: random.randbytes(600_000), pipe.guest: random.randbytes(600_000)}
    sent = dict.fromkeys(bodies, 0)
    while any(sent[end] < len(body) for end, body in bodies.items()):
        for end, body in bodies.items():
            count = min(end.conn.room(stream), random.randrange(1, 90_000))
            chunk = body[sent[end] : sent[end] + count]
            end.conn.send_data(stream, chunk, channel=0)
            sent[end] += len(chunk)
        for _ in range(random.randrange(4)):  # some frames arrive, some are on their way
            for source, sink in ((pipe.host, pipe.guest), (pipe.guest, pipe.host)):
                if random.random() < 0.8 and (frame := source.conn.next_frame()):
                    sink.receive(frame, pipe.now)
        if random.random() < 0.3:
            reconnect(pipe)
            pipe.host.conn.resume(stream)
            pipe.run()
    pipe.run()
    assert pipe.guest.received[stream, 0] == bodies[pipe.host]
    assert pipe.host.received[stream, 0] == bodies[pipe.guest]


def test_the_end_of_a_channel_is_told_again(pipe, stream):
    pipe.guest.conn.send_data(stream, b"err", channel=1)
    pipe.guest.conn.end(stream, 1)
    pipe.guest.conn.send_data(stream, b"out")
    reconnect(pipe)
    pipe.host.take()
    pipe.host.conn.resume(stream)
    pipe.run()
    assert pipe.host.received == {(stream, 1): b"err", (stream, 0): b"out"}
    assert pipe.host.take(Ended) == [Ended(stream, 1)]
    reconnect(pipe)
    pipe.host.conn.resume(stream)
    pipe.run()
    assert pipe.host.take(Ended) == []


def test_a_program_that_ends_while_nobody_is_there_is_told_of_later(pipe, stream):
    lose_the_line(pipe)
    pipe.guest.conn.send_data(stream, b"last words")
    pipe.guest.conn.close(stream, 3)
    pipe.up()
    pipe.host.take()
    pipe.host.conn.resume(stream)
    pipe.run()
    assert pipe.host.received[stream, 0] == b"last words"
    assert pipe.host.take(Closed) == [Closed(stream, 3)]
    assert pipe.guest.conn.next_timeout() is None
    with pytest.raises(StreamOver):
        pipe.guest.conn.room(stream)


def test_a_result_that_was_lost_is_told_again(pipe, stream):
    pipe.guest.conn.close(stream, 3)
    reconnect(pipe)
    pipe.host.take()
    pipe.host.conn.resume(stream)
    pipe.run()
    assert pipe.host.take(Closed) == [Closed(stream, 3)]


def test_a_parked_stream_takes_its_window_and_no_more(pipe, stream):
    lose_the_line(pipe)
    assert pipe.guest.conn.room(stream) == WINDOW
    pipe.guest.conn.send_data(stream, bytes(WINDOW))
    assert pipe.guest.conn.room(stream) == 0


def test_another_process_of_the_host_goes_on_where_the_last_one_was(pipe, stream):
    token = pipe.host.conn.token(stream)
    pipe.guest.conn.send_data(stream, b"0123456789")
    pipe.host.conn.send_data(stream, b"abcdef")
    pipe.run()
    pipe.guest.take()
    heir = Pipe(End(HOST, 77), pipe.guest)
    heir.now = pipe.now
    heir.up()
    heir.guest.take()
    heir.host.conn.resume(stream, token, received=4)
    with pytest.raises(CannotSend):
        heir.host.conn.send_data(stream, b"too early")
    heir.run()
    assert heir.host.take(Resumed) == [Resumed(stream, 6, {"pid": 7})]
    assert heir.host.received[stream, 0] == b"456789"
    heir.host.conn.send_data(stream, b"ghi")
    heir.run()
    assert heir.guest.received[stream, 0] == b"abcdefghi"
    fresh = heir.host.conn.open("x", {})
    assert fresh > stream


def test_bytes_that_were_consumed_are_not_kept(pipe, stream):
    token = pipe.host.conn.token(stream)
    for _ in range(4):
        pipe.guest.conn.send_data(stream, bytes(WINDOW // 2))
        pipe.run()
    heir = Pipe(End(HOST, 77), pipe.guest).up()
    pipe.guest.take()
    heir.host.conn.resume(stream, token, received=0)
    heir.run()
    assert heir.host.take(Rejected) == [Rejected(stream, "gone", "the bytes from there are gone")]
    assert pipe.guest.take(Cancelled)[0].stream == stream


@pytest.fixture
def narrow():
    """A session and a stream with the same window, of 8 KiB; nobody reads."""
    limits = Limits(stream_window=8192, session_window=8192)
    pipe = Pipe(End(HOST, 1, limits), End(GUEST, 2, limits)).up()
    pipe.host.conn.open("exec", {}, resumable=True)
    pipe.run()
    pipe.guest.conn.accept(1, None, end=False)
    pipe.run()
    pipe.host.reads = pipe.guest.reads = False
    return pipe


def test_bytes_that_are_sent_again_count_in_the_new_session(narrow):
    narrow.host.conn.send_data(1, bytes(4096))
    reconnect(narrow)
    other = narrow.host.conn.open("x", {}, streaming=True)
    narrow.run()
    assert narrow.host.conn.room(other) == 8192
    narrow.host.conn.resume(1)
    narrow.run()
    assert narrow.host.conn.room(other) == 4096
    narrow.guest.conn.consumed(1, 4096)
    narrow.run()
    assert narrow.host.conn.room(other) == 8192


def test_bytes_of_an_earlier_session_give_no_credit_in_this_one(narrow):
    narrow.host.conn.send_data(1, bytes(4096))
    narrow.run()
    reconnect(narrow)
    narrow.host.conn.resume(1)
    narrow.run()
    assert narrow.host.conn.room(1) == 4096
    narrow.guest.conn.consumed(1, 4096)
    narrow.run()
    assert narrow.host.conn.room(1) == 8192
    narrow.host.conn.send_data(1, bytes(8192))
    narrow.run()
    assert narrow.guest.take(SessionEnded)[1:] == []
    assert len(narrow.guest.received[1, 0]) == 4096 + 8192


def test_a_stream_that_nobody_knows_is_not_resumed(pipe, stream):
    pipe.host.take()
    fresh = Pipe(pipe.host, End(GUEST, 9))
    fresh.now = pipe.now
    lose_the_line(pipe)
    fresh.up()
    assert fresh.host.take(SessionStarted)[0].same_peer is False
    fresh.host.conn.resume(stream)
    fresh.run()
    assert fresh.host.take(Rejected)[0].code == "not-parked"


def test_a_wrong_token_opens_nothing(pipe, stream):
    heir = Pipe(End(HOST, 77), pipe.guest).up()
    heir.host.conn.resume(stream, bytes(16))
    heir.run()
    assert heir.host.take(Rejected)[0].code == "not-parked"


def test_who_does_not_come_back_is_given_up(pipe, stream):
    lose_the_line(pipe)
    pipe.guest.take()
    assert pipe.guest.conn.next_timeout() == pipe.now + 60
    pipe.guest.conn.tick(pipe.now + 60)
    pipe.guest.drain()
    assert pipe.guest.take() == [Cancelled(stream, "nobody came back for it")]
    assert pipe.guest.conn.next_timeout() is None


def test_only_so_many_streams_are_parked():
    pipe = Pipe(guest=End(GUEST, 2, Limits(parked=3))).up()
    streams = [pipe.host.conn.open("exec", {}, resumable=True) for _ in range(5)]
    pipe.run()
    for stream in streams:
        pipe.guest.conn.accept(stream, None, end=False)
    pipe.run()
    pipe.guest.take()
    lose_the_line(pipe)
    over = [one.stream for one in pipe.guest.take(Cancelled)]
    assert over == streams[:2]


def test_numbers_begin_anew_when_nothing_is_parked(pipe):
    assert pipe.host.conn.open("x", {}) == 1
    reconnect(pipe)
    assert pipe.host.conn.open("x", {}) == 1


def test_numbers_of_parked_streams_are_not_given_again(pipe, stream):
    heir = Pipe(End(HOST, 77), pipe.guest).up()
    assert heir.host.conn.open("x", {}) > stream
    heir.run()
    assert pipe.guest.take(Opened)[-1].stream > stream


def test_a_guest_resumes_what_it_has_opened(pipe):
    stream = pipe.guest.conn.open("backup", {}, resumable=True)
    pipe.run()
    pipe.host.conn.accept(stream, "yes", end=False)
    pipe.guest.conn.send_data(stream, b"abc")
    reconnect(pipe)
    pipe.guest.conn.resume(stream)
    pipe.run()
    assert pipe.host.received[stream, 0] == b"abc"


def test_cancelling_a_parked_stream_needs_no_session(pipe, stream):
    lose_the_line(pipe)
    pipe.guest.conn.cancel(stream, "no")
    pipe.up()
    pipe.host.take()
    pipe.host.conn.resume(stream)
    pipe.run()
    assert pipe.host.take(Rejected)[0].code == "not-parked"
