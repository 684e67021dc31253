from __future__ import annotations

from random import Random

import pytest

from guestwire.wire.native import GUEST, HOST, SLOW, CannotSend, Connection
from guestwire.wire.native import frames as f
from guestwire.wire.native.events import (
    Accepted,
    Cancelled,
    EchoDetected,
    Event,
    Goaway,
    Opened,
    Pong,
    Rejected,
    SessionEnded,
    SessionStarted,
)
from native_pipe import End, Pipe


@pytest.fixture
def pipe():
    return Pipe().up()


def hello(seed=1, **about):
    """What a host says first, as bytes."""
    conn = Connection(HOST, Random(seed).randbytes, **about)
    conn.start(0)
    return conn.next_frame()


def works(pipe):
    """Whether a request is answered, by the end of a second."""
    pipe.host.take()
    pipe.guest.take()
    stream = pipe.host.conn.open("x", {})
    pipe.wait(1)
    pipe.guest.conn.accept(pipe.guest.one(Opened).stream, 1)
    pipe.wait(1)
    return pipe.host.take(Accepted) == [Accepted(stream, 1, True)]


def last_frame_of(pipe, end):
    return [frame for source, frame in pipe.frames if source is end][-1]


def test_both_learn_who_the_other_is(pipe):
    to_host, to_guest = pipe.host.one(SessionStarted), pipe.guest.one(SessionStarted)
    assert to_host.identity == {"boot-id": "b"} and to_guest.identity == {"name": "a host"}
    assert to_host.nonce == to_guest.nonce
    assert not to_host.same_peer


def test_a_host_greets_until_it_is_answered():
    pipe = Pipe()
    pipe.lose = lambda data: b""
    pipe.host.conn.start(100.0)
    times = []
    while len(times) < 9:
        while pipe.host.conn.next_frame():
            times.append(round(pipe.now - 100, 3))
        pipe.now = pipe.host.conn.next_timeout()
        pipe.host.conn.tick(pipe.now)
    assert times == [0, 0.05, 0.15, 0.35, 0.75, 1.55, 2.55, 3.55, 4.55]


def test_nothing_wakes_an_idle_session(pipe):
    assert pipe.host.conn.next_timeout() is None
    assert pipe.guest.conn.next_timeout() is None
    assert Connection(GUEST, Random(0).randbytes).next_timeout() is None


def test_without_a_session_nothing_can_be_asked():
    conn = Connection(HOST, Random(0).randbytes)
    conn.start(0)
    for call in (lambda: conn.open("x", {}), lambda: conn.ping(0), lambda: conn.event("e", 1)):
        with pytest.raises(CannotSend):
            call()


def test_a_ping_comes_back_with_its_time(pipe):
    pipe.host.conn.ping(pipe.now - 0.25)
    pipe.run()
    assert pipe.host.take(Pong) == [Pong(0.25)]


def test_events_need_no_stream(pipe):
    pipe.guest.conn.event("shutdown", {"reason": "x" * 40_000})
    pipe.run()
    assert pipe.host.take(Event) == [Event("shutdown", {"reason": "x" * 40_000})]


# A dirty start.


@pytest.mark.parametrize("seed", range(4))
def test_a_session_begins_behind_any_rubbish(seed):
    random = Random(seed)
    pipe = Pipe()
    cut_off = f.encode(random.getrandbits(32), f.DATA, 0, 1, (bytes(30_000),))[:10_000]
    pipe.guest.receive(random.randbytes(100_000) + cut_off + hello(9)[:50], pipe.now)
    pipe.host.receive(random.randbytes(100_000) + cut_off, pipe.now)
    pipe.up()
    assert works(pipe)


def test_random_bytes_are_never_a_frame():
    """With the syncs among them: what is left to chance is the CRC."""
    found = 0
    for seed in range(10_000):
        random = Random(seed)
        reader = f.FrameReader()
        reader.expect(0x01020304)
        data = bytearray(random.randbytes(256))
        for at in (0, 100):
            data[at : at + 4] = f.U32.pack(random.choice([f.SYNC, 0x01020304]))
        reader.feed(bytes(data), 0)
        while reader.next() is not None:
            found += 1
    assert found == 0


def test_what_a_host_wrote_before_is_not_taken_for_this_session(pipe):
    pipe.host.conn.open("rm", {"path": "/"})
    stale = pipe.host.conn.next_frame()
    guest = End(GUEST, 3)
    fresh = Pipe(End(HOST, 4), guest)
    guest.receive(stale * 3 + hello(8) + stale, fresh.now)
    guest.take()
    fresh.up()
    guest.receive(stale, fresh.now)
    assert Opened not in map(type, guest.take())


def test_a_cut_off_frame_completed_by_the_next_host_is_no_frame(pipe):
    stream = pipe.host.conn.open("cat", {}, streaming=True)
    pipe.run()
    pipe.guest.conn.accept(stream, None, end=False)
    pipe.host.conn.send_data(stream, b"secret" * 20)
    cut_off = pipe.host.conn.next_frame()[:-40]
    pipe.guest.receive(cut_off + hello(77) * 2, pipe.now)
    assert pipe.guest.received == {}
    assert SessionStarted in map(type, pipe.guest.take())


def test_a_greeting_behind_a_cut_off_frame_is_found_after_a_fifth_of_a_second(pipe):
    stream = pipe.host.conn.open("cat", {}, streaming=True)
    pipe.run()
    pipe.guest.conn.accept(stream, None, end=False)
    pipe.host.conn.send_data(stream, bytes(30_000))
    pipe.guest.receive(pipe.host.conn.next_frame()[:100] + hello(77), pipe.now)
    pipe.guest.take()
    due = pipe.guest.conn.next_timeout()
    assert due == pytest.approx(pipe.now + 0.2)
    pipe.guest.conn.tick(due)
    pipe.guest.drain()
    assert [type(one) for one in pipe.guest.take()] == [Cancelled, SessionEnded, SessionStarted]


def test_a_frame_that_is_late_is_waited_for_without_waking(pipe):
    """A guest that is paused in the middle of a write has lost nothing."""
    stream = pipe.host.conn.open("cat", {}, streaming=True)
    pipe.run()
    pipe.guest.conn.accept(stream, None, end=False)
    pipe.run()
    pipe.guest.conn.send_data(stream, b"x" * 9000)
    frame = pipe.guest.conn.next_frame()
    pipe.host.receive(frame[:5000], pipe.now)
    pipe.host.conn.tick(pipe.now + 0.2)
    assert pipe.host.conn.next_timeout() is None
    pipe.host.receive(frame[5000:], pipe.now + 3600)
    assert pipe.host.received[stream, 0] == b"x" * 9000


def test_no_byte_crosses_from_one_session_to_the_next_in_200_quick_reconnects():
    random = Random(5)
    guest = End(GUEST, 5)
    now = 0.0
    for number in range(200):
        pipe = Pipe(End(HOST, 1000 + number), guest)
        pipe.now = now
        pipe.up()
        started = pipe.host.one(SessionStarted)
        assert guest.take(SessionStarted)[-1].nonce == started.nonce
        stream = pipe.host.conn.open("cat", {}, streaming=True)
        pipe.run()
        guest.received.clear()
        body = bytes([number]) * random.randrange(1, 40_000)
        pipe.host.conn.send_data(stream, body)
        sent = b""
        while frame := pipe.host.conn.next_frame():
            sent += frame
        guest.receive(sent[: random.randrange(len(sent))], pipe.now)
        got = guest.received.pop((stream, 0), b"")
        assert body.startswith(got) and not guest.received
        now = pipe.now


# Damage.


def test_a_corrupt_length_does_not_make_a_reader_wait():
    reader = f.FrameReader()
    reader.expect(7)
    good = f.encode(7, f.PING, 0, 0, (bytes(8),))
    bad = bytearray(good)
    bad[6:8] = b"\xff\x7f"
    reader.feed(bytes(bad) + good, 0)
    assert reader.next() == (f.PING, 0, 0, bytes(8))
    assert reader.skipped == len(bad)


@pytest.mark.parametrize("where", [0, 5, 13, 20])
def test_a_session_is_whole_or_over(pipe, where):
    """Frames may be lost among damaged bytes, so what follows them is not acted upon."""
    stream = pipe.host.conn.open("rm", {})
    damaged = bytearray(pipe.host.conn.next_frame())
    damaged[where if where < 16 else -1] ^= 0x10
    pipe.guest.take()
    pipe.guest.receive(bytes(damaged), pipe.now)
    assert pipe.guest.take() == []
    pipe.host.conn.open("rm", {})
    pipe.run()
    assert [type(one) for one in pipe.guest.take()] == [SessionEnded]
    cancelled, *_ = pipe.host.take(Cancelled)
    assert cancelled.stream == stream
    pipe.up()
    assert works(pipe)


def test_lost_bytes_on_a_serial_line_end_in_a_new_session():
    pipe = Pipe(End(HOST, 1, SLOW), End(GUEST, 2, SLOW), cut=16).up()
    random = Random(1)
    for _ in range(30):
        pipe.lose = lambda data: b"".join(
            data[at : at + 1] for at in range(len(data)) if random.random() > 0.01
        )
        try:
            pipe.host.conn.open("cat", {"x": "y" * 300})
            pipe.host.conn.ping(pipe.now)
        except CannotSend:
            pass
        pipe.wait(1)
        pipe.lose = lambda data: data
        pipe.up()
        assert works(pipe)


def test_checksums_are_on_where_one_end_asks_for_them():
    pipe = Pipe(End(HOST, 1), End(GUEST, 2, SLOW)).up()
    pipe.frames.clear()
    assert works(pipe)
    assert all(frame[5] & f.CRC for _, frame in pipe.frames)
    assert all(len(frame) <= 1024 for source, frame in pipe.frames if source is pipe.host)


# Ends.


def test_a_restarted_agent_says_so(pipe):
    pipe.guest = End(GUEST, 50)
    pipe.guest.conn.start(pipe.now)
    pipe.host.take()
    pipe.run()
    assert [type(one) for one in pipe.host.take()] == [SessionEnded]
    pipe.up()
    assert pipe.host.one(SessionStarted).same_peer is False


def test_an_agent_that_is_greeted_first_does_not_say_so(pipe):
    pipe.guest = End(GUEST, 50)
    pipe.guest.conn.start(pipe.now)
    pipe.guest.receive(hello(8), pipe.now)
    assert pipe.guest.conn.next_frame()[4] == f.HELLO_ACK
    assert pipe.guest.conn.next_frame() == b""


def test_the_same_agent_is_known_again(pipe):
    pipe.host.take()
    pipe.up()
    assert pipe.host.take(SessionStarted)[0].same_peer is True


def test_a_host_that_stops_ends_the_session_at_the_guest(pipe):
    pipe.host.conn.stop("done")
    pipe.guest.take()
    pipe.run()
    assert pipe.guest.take() == [SessionEnded("done")]
    assert pipe.host.conn.next_timeout() is None


def test_a_guest_whose_host_left_forgets_what_was_half_received(pipe):
    pipe.host.conn.open("x", {})
    pipe.guest.receive(pipe.host.conn.next_frame()[:-1], pipe.now)
    pipe.guest.take()
    pipe.guest.conn.disconnected(pipe.now)
    pipe.guest.drain()
    assert pipe.guest.take() == [SessionEnded("the other end left")]
    assert pipe.guest.conn.next_timeout() is None
    pipe.up()
    assert works(pipe)


def test_a_host_hears_that_the_guest_greeted_somebody_else(pipe):
    pipe.guest.receive(hello(66), pipe.now)
    pipe.host.take()
    pipe.run()
    assert pipe.host.take() == [SessionEnded("the guest has begun another session")]


def test_a_repeated_greeting_is_answered_and_changes_nothing():
    pipe = Pipe()
    pipe.host.conn.start(pipe.now)
    first = pipe.host.conn.next_frame()
    pipe.guest.receive(first * 3, pipe.now)
    pipe.run()
    pipe.guest.receive(first, pipe.now)
    pipe.run()
    assert len(pipe.host.take(SessionStarted)) == 1
    assert len(pipe.guest.take(SessionStarted)) == 1
    assert works(pipe)


def test_another_version_is_refused_with_a_reason(pipe):
    nonce = bytes(range(16))
    body = {**f_hello_body(nonce), "protocol": [2, 9]}
    pipe.guest.take()
    pipe.guest.receive(greeting(f.HELLO, body), pipe.now)
    assert pipe.guest.take() == []
    reader = f.FrameReader()
    reader.feed(pipe.guest.conn.next_frame(), 0)
    assert reader.next().kind == f.RESET
    assert works(pipe)


def test_going_away_takes_no_new_streams_and_keeps_the_old(pipe):
    old = pipe.host.conn.open("cat", {})
    pipe.run()
    pipe.guest.conn.goaway("restart")
    late = pipe.host.conn.open("cat", {})
    pipe.run()
    goaway, refused = pipe.host.take()[1:]
    assert goaway == Goaway("restart")
    assert refused == Rejected(late, "going-away", "no new streams are taken")
    with pytest.raises(CannotSend):
        pipe.host.conn.open("cat", {})
    pipe.guest.conn.accept(old, 1)
    pipe.run()
    assert pipe.host.take() == [Accepted(old, 1, True)]


# Echoes.


def mangled(data):
    """What a terminal with ECHO and ECHOCTL makes of it (Linux n_tty.c)."""
    return b"".join(
        b"^" + bytes([byte ^ 0x40]) if byte < 32 and byte not in (9, 10) else bytes([byte])
        for byte in data
    )


@pytest.mark.parametrize("echo", [bytes, mangled])
@pytest.mark.parametrize("cut", [1, 5, 4096])
def test_an_echoing_terminal_is_recognised(echo, cut):
    end = End(HOST, 1)
    end.conn.start(0)
    back = echo(end.conn.next_frame())
    for start in range(0, len(back), cut):
        end.receive(back[start : start + cut], 0)
    assert end.take() == [EchoDetected()]


def test_an_answer_is_no_echo():
    pipe = Pipe(cut=3).up()
    assert EchoDetected not in map(type, pipe.host.take())


# Frames of other versions.


def unknown(pipe, flags=0, stream=0, kind=99):
    pipe.guest.take()
    pipe.host.take()
    tag = pipe.host.conn._sessions.peer.tag
    pipe.guest.receive(f.encode(tag, kind, flags, stream, (b"whatever",)), pipe.now)
    pipe.run()


def test_an_unknown_frame_is_skipped(pipe):
    unknown(pipe)
    assert pipe.guest.take() == []
    assert works(pipe)


def test_an_unknown_frame_that_must_be_understood_ends_the_session(pipe):
    unknown(pipe, f.MUST_UNDERSTAND)
    assert pipe.guest.take() == [SessionEnded("frames of type 99 are not understood")]
    assert pipe.host.take() == [SessionEnded("frames of type 99 are not understood")]


def test_on_a_stream_it_ends_the_stream_alone(pipe):
    stream = pipe.host.conn.open("cat", {}, streaming=True)
    pipe.run()
    unknown(pipe, f.MUST_UNDERSTAND, stream)
    assert pipe.guest.take() == [Cancelled(stream, "frames of type 99 are not understood")]
    assert pipe.host.take() == [Cancelled(stream, "frames of type 99 are not understood")]
    assert works(pipe)


def greeting(kind, body):
    import msgpack

    return f.encode(f.SYNC, kind, f.CRC, 0, (msgpack.packb(body),))


def f_hello_body(nonce):
    limits = {"frame": 32768, "stream_window": 4096, "session_window": 8192, "streams": 4,
              "control": 4096, "answer": 4096, "checksum": False}  # fmt: skip
    return {"nonce": nonce.hex(), "protocol": [1, 1], "tag": 5, "first": 2, "epoch": bytes(8),
            "limits": limits, "capabilities": [], "identity": {}}  # fmt: skip
