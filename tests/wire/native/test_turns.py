from __future__ import annotations

import pytest

from guestwire.wire.native import frames as f
from guestwire.wire.native.events import Accepted, Opened, Pong
from native_pipe import Pipe

WINDOW = 256 << 10


@pytest.fixture
def pipe():
    return Pipe().up()


def opened(pipe, **how):
    stream = pipe.host.conn.open("cat", {}, streaming=True, **how)
    pipe.run()
    pipe.guest.conn.accept(stream, None, end=False)
    pipe.run()
    return stream


def order(conn):
    """(type, stream) of all frames that go out now."""
    found = []
    while frame := conn.next_frame():
        found.append((frame[4], int.from_bytes(frame[8:12], "little")))
    return found


def test_streams_take_turns(pipe):
    streams = [opened(pipe) for _ in range(3)]
    for stream in streams:
        pipe.host.conn.send_data(stream, bytes(100_000))
    found = order(pipe.host.conn)
    assert found[:6] == [(f.DATA, stream) for stream in streams] * 2


def test_what_is_urgent_goes_first(pipe):
    bulk, keys = opened(pipe), opened(pipe, urgent=True)
    pipe.host.conn.send_data(bulk, bytes(200_000))
    assert pipe.host.conn.next_frame()
    pipe.host.conn.send_data(keys, b"ls")
    assert order(pipe.host.conn)[:2] == [(f.DATA, keys), (f.DATA, bulk)]


def test_a_guest_answers_an_urgent_stream_first(pipe):
    bulk, keys = opened(pipe), opened(pipe, urgent=True)
    pipe.guest.conn.send_data(bulk, bytes(100_000))
    pipe.guest.conn.send_data(keys, b"$ ")
    assert order(pipe.guest.conn)[0] == (f.DATA, keys)


def test_a_ping_and_a_cancel_do_not_wait_behind_a_copy(pipe):
    bulk, other = opened(pipe), opened(pipe)
    pipe.host.conn.send_data(bulk, bytes(WINDOW))
    pipe.host.conn.ping(pipe.now)
    pipe.host.conn.cancel(other, "no")
    assert order(pipe.host.conn)[:2] == [(f.PING, 0), (f.CANCEL, other)]


def test_a_pong_does_not_either(pipe):
    bulk = opened(pipe)
    pipe.host.conn.ping(pipe.now)
    pipe.guest.conn.send_data(bulk, bytes(WINDOW))
    pipe.guest.receive(pipe.host.conn.next_frame(), pipe.now)
    frame = pipe.guest.conn.next_frame()
    pipe.host.receive(frame, pipe.now)
    assert pipe.host.take(Pong) == [Pong(0)]


def test_a_stream_that_is_not_read_does_not_slow_another(pipe):
    slow, fast = opened(pipe), opened(pipe)
    pipe.guest.unread = [slow]
    pipe.host.conn.send_data(slow, bytes(WINDOW))
    sent = 0
    while sent < 4_000_000:
        room = pipe.host.conn.room(fast)
        assert room > 0
        pipe.host.conn.send_data(fast, bytes(room))
        sent += room
        pipe.run()
    assert len(pipe.guest.received[fast, 0]) == sent
    assert pipe.host.conn.room(slow) == 0


def test_the_session_has_credit_of_its_own(pipe):
    streams = [opened(pipe) for _ in range(5)]
    pipe.guest.reads = False
    for stream in streams:
        pipe.host.conn.send_data(stream, bytes(pipe.host.conn.room(stream)))
    pipe.run()
    assert sum(map(len, pipe.guest.received.values())) == 1 << 20
    assert pipe.host.conn.room(streams[4]) == 0
    pipe.host.take()
    for stream in streams[:2]:
        pipe.guest.conn.consumed(stream, WINDOW)
    pipe.run()
    assert {one.stream for one in pipe.host.take()} == {*streams[:2], streams[4]}
    assert pipe.host.conn.room(streams[4]) == WINDOW


def test_credit_of_the_session_comes_back_from_streams_that_are_cancelled(pipe):
    pipe.guest.reads = False
    for _ in range(20):
        stream = opened(pipe)
        pipe.host.conn.send_data(stream, bytes(WINDOW))
        pipe.run()
        pipe.guest.conn.cancel(stream, "no")
        pipe.run()
    assert pipe.host.conn.room(opened(pipe)) == WINDOW


def test_data_that_were_never_sent_take_no_credit(pipe):
    for _ in range(20):
        stream = opened(pipe)
        pipe.host.conn.send_data(stream, bytes(WINDOW))
        pipe.host.conn.cancel(stream, "no")
    pipe.run()
    assert pipe.host.conn.room(opened(pipe)) == WINDOW


def test_credit_of_the_session_comes_back_for_what_a_finished_stream_was_sent(pipe):
    for _ in range(20):
        stream = opened(pipe)
        pipe.guest.conn.close(stream, None)
        pipe.host.conn.send_data(stream, bytes(WINDOW))
        pipe.run()
    assert pipe.host.conn.room(opened(pipe)) == WINDOW


def test_what_came_before_the_result_is_still_to_be_consumed(pipe):
    pipe.host.reads = False
    streams = [opened(pipe) for _ in range(4)]
    for stream in streams:
        pipe.guest.conn.send_data(stream, bytes(WINDOW))
        pipe.guest.conn.close(stream, None)
    pipe.run()
    late = opened(pipe)
    assert pipe.guest.conn.room(late) == 0
    for stream in streams:
        pipe.host.conn.consumed(stream, WINDOW)
    pipe.run()
    assert pipe.guest.conn.room(late) == WINDOW


def test_large_answers_are_sent_one_by_one_and_small_ones_in_between(pipe):
    streams = [pipe.host.conn.open("x", {}) for _ in range(3)]
    pipe.run()
    pipe.guest.conn.accept(streams[0], b"a" * 300_000)
    pipe.guest.conn.accept(streams[1], b"b" * 300_000)
    pipe.guest.conn.accept(streams[2], "small")
    pipe.run()
    answers = pipe.host.take(Accepted)
    assert [one.stream for one in answers] == [streams[2], streams[0], streams[1]]
    assert [len(one.value) for one in answers] == [5, 300_000, 300_000]


def test_a_large_answer_that_is_cancelled_lets_the_next_one_go(pipe):
    streams = [pipe.host.conn.open("x", {}) for _ in range(2)]
    pipe.run()
    pipe.guest.take(Opened)
    for stream in streams:
        pipe.guest.conn.accept(stream, bytes(300_000))
    pipe.host.receive(pipe.guest.conn.next_frame(), pipe.now)
    pipe.host.conn.cancel(streams[0], "no")
    pipe.run()
    assert [one.stream for one in pipe.host.take(Accepted)] == [streams[1]]
