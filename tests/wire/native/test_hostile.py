"""Whatever the other end does, and whatever the application does, within the bounds."""

from __future__ import annotations

from random import Random

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guestwire.wire.native import GUEST, HOST, SLOW, CannotSend, Limits
from guestwire.wire.native import frames as f
from guestwire.wire.native.events import Cancelled, Data, Opened, Rejected, SessionEnded
from native_pipe import End, Pipe

SMALL = Limits(stream_window=4096, session_window=8192, streams=4, control=4096, answer=8192,
               parked=3)  # fmt: skip
relaxed = settings(deadline=None, suppress_health_check=list(HealthCheck))

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 1 << 64) | st.text(max_size=9)
    | st.binary(max_size=20) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)  # fmt: skip
bodies = st.one_of(
    st.binary(max_size=60),
    plain.filter(lambda value: value is not None).map(
        lambda value: msgpack.packb(value) if not _too_big(value) else b"\xc0"
    ),
    st.builds(
        lambda name, args, more: msgpack.packb({"command": name, "arguments": args, **more}),
        st.text(max_size=3), st.just({}),
        st.sampled_from([{}, {"streaming": True}, {"token": bytes(16)}, {"token": 1},
                         {"streaming": True, "token": bytes(16)}]),
    ),
    st.builds(lambda why: msgpack.packb({"text": why, "code": why, "name": why}),
              st.text(max_size=3)),
    st.builds(lambda a, b: msgpack.packb({"token": bytes(16), "received": a, "consumed": b}),
              st.integers(0, 50), st.integers(0, 50)),
    st.integers(0, 9000).map(f.U64.pack),
    st.integers(0, 9000).map(bytes),
)  # fmt: skip
hostile_frames = st.tuples(
    st.integers(4, 18),
    st.sampled_from([0, 0, 0, f.FIN, f.MORE, f.OFFSET, f.MUST_UNDERSTAND, f.URGENT, 0xC0, 0xFF]),
    st.integers(0, 9),
    bodies,
)


def _too_big(value):
    try:
        msgpack.packb(value)
    except (OverflowError, ValueError):
        return True
    return False


def hello_as(conn_role, tag=5):
    """A HELLO or HELLO_ACK of a peer that is not ours, as a body without its nonce."""
    limits = {"frame": 4096, "stream_window": 4096, "session_window": 8192, "streams": 3,
              "control": 4096, "answer": 4096, "checksum": False}  # fmt: skip
    return {"protocol": [1, 1] if conn_role == GUEST else 1, "tag": tag, "epoch": bytes(8),
            "first": 2 if conn_role == GUEST else 1, "limits": limits, "capabilities": ["x", 1],
            "identity": {}}  # fmt: skip


def greet(end, now):
    """A session with this end, held by nobody in particular."""
    if end.conn._sessions._host:
        end.conn.start(now)
        frame = end.conn.next_frame()
        while frame[4] != f.HELLO:
            frame = end.conn.next_frame()
        nonce = bytes.fromhex(msgpack.unpackb(frame[16:-4])["nonce"])
        body = {**hello_as(HOST), "nonce": nonce}
        end.receive(f.encode(f.SYNC, f.HELLO_ACK, f.CRC, 0, (msgpack.packb(body),)), now)
    else:
        body = {**hello_as(GUEST), "nonce": bytes(16).hex()}
        end.receive(f.encode(f.SYNC, f.HELLO, f.CRC, 0, (msgpack.packb(body),)), now)


def holds_little(end, limits):
    conn = end.conn
    table = conn._table
    assert len(table.streams) <= 2 * limits.streams + limits.parked + 3
    assert len(table.outbox.front) < 1100
    assert len(table.outbox.pongs) <= 8
    assert len(conn._reader._buffer) <= limits.frame
    parts = conn._table.parts
    assert parts is None or len(parts[2]) <= limits.answer
    if not table.running:
        return
    assert table.session.received - table.session.consumed <= limits.session_window
    for stream in table.streams.values():
        into, out = stream.into, stream.out
        assert into.received - into.consumed <= limits.stream_window
        # The oldest write that is kept may be consumed in part.
        assert sum(len(one.data) for one in out.kept or ()) < 2 * table.peer.stream_window


@relaxed
@given(st.sampled_from([HOST, GUEST]), st.lists(st.binary(max_size=300), max_size=20))
def test_bytes_of_any_kind_raise_nothing(role, pieces):
    end = End(role, 1, SMALL)
    end.conn.start(0)
    for now, piece in enumerate(pieces):
        end.receive(piece, now)
        end.conn.tick(now + 0.5)
        while end.conn.next_frame():
            pass
        holds_little(end, SMALL)


@relaxed
@given(
    st.sampled_from([HOST, GUEST]),
    st.sampled_from(f.GREETINGS),
    st.sampled_from(["nonce", "protocol", "tag", "first", "limits", "identity", "text", "epoch"]),
    plain | st.fixed_dictionaries({"frame": plain, "streams": plain}),
)
def test_greetings_of_any_kind_raise_nothing(role, kind, member, value):
    end = End(role, 1, SMALL)
    end.conn.start(0)
    nonce = end.conn._sessions._greeter.nonce if role == HOST else bytes(16).hex()
    body = {**hello_as(role), "nonce": nonce, "text": "", member: value}
    if _too_big(body):
        return
    end.receive(f.encode(f.SYNC, kind, f.CRC, 0, (msgpack.packb(body),)), 0)
    end.conn.tick(1)
    while end.conn.next_frame():
        pass
    holds_little(end, SMALL)


class Fickle:
    """An application that does anything, in any order, and knows only CannotSend."""

    def __init__(self, end, random):
        self.end = end
        self.conn = end.conn
        self.random = random
        self.streams = [1, 2, 3]
        self.unconsumed = {}
        self.body = 0

    def act(self, now):
        stream = self.random.choice(self.streams)
        size = self.random.choice([0, 1, 100, 4096, 5000])
        choice = self.random.randrange(14)
        try:
            self.do(choice, stream, size, now)
        except CannotSend:
            pass

    def do(self, choice, stream, size, now):
        conn, random = self.conn, self.random
        calls = [
            lambda: self.streams.append(
                conn.open("x", {"a": "b" * size}, streaming=random.random() < 0.7,
                          urgent=random.random() < 0.2, resumable=random.random() < 0.4)
            ),
            lambda: conn.accept(stream, "v" * size, end=False),
            lambda: conn.accept(stream, "v" * size),
            lambda: conn.reject(stream, "no", "no"),
            lambda: conn.send_data(stream, bytes(min(size, conn.room(stream)))),
            lambda: conn.send_data(stream, bytes(min(size, conn.room(stream))), channel=1),
            lambda: conn.end(stream, random.randrange(2)),
            lambda: conn.control(stream, {"x": "y" * size}),
            lambda: conn.close(stream, "z" * size),
            lambda: conn.cancel(stream, "c"),
            lambda: conn.ping(now),
            lambda: conn.event("e", "f" * size),
            lambda: conn.resume(stream),
            self.consume,
        ]  # fmt: skip
        calls[choice]()
        del self.streams[3:-12]

    def consume(self):
        for stream, count in list(self.unconsumed.items()):
            part = self.random.randint(0, count)
            self.conn.consumed(stream, part)
            self.unconsumed[stream] -= part

    def see(self, conn, event):
        if isinstance(event, Data):
            self.unconsumed[event.stream] = self.unconsumed.get(event.stream, 0) + len(event.data)
        elif isinstance(event, Opened):
            self.streams.append(event.stream)
            self.unconsumed.pop(event.stream, None)
        elif isinstance(event, SessionEnded):
            self.unconsumed = {
                one: count for one, count in self.unconsumed.items() if one in conn._table.streams
            }
        elif isinstance(event, (Cancelled, Rejected)):
            self.unconsumed.pop(event.stream, None)


@relaxed
@given(st.sampled_from([HOST, GUEST]), st.lists(hostile_frames, max_size=40), st.integers())
def test_frames_of_any_kind_raise_nothing_and_fill_nothing(role, found, seed):
    random = Random(seed)
    end = End(role, 1, SMALL)
    end.reads = False
    app = Fickle(end, random)
    end.on_event = app.see
    greet(end, 0)
    for now, (kind, flags, stream, payload) in enumerate(found):
        if end.conn._sessions.peer is None:
            app.unconsumed.clear()
            greet(end, now)
        data = f.encode(end.conn._sessions._tag, kind, flags, stream, (payload,))
        cut = random.randrange(len(data))
        end.receive(data[:cut], now)
        end.receive(data[cut:], now)
        app.act(now)
        end.drain()
        if random.random() < 0.6:
            end.conn.next_frame()
        end.conn.tick(now + random.random())
        end.drain()
        holds_little(end, SMALL)


@relaxed
@given(st.integers(), st.integers(1, 5000))
def test_two_ends_never_break_the_rules_for_each_other(seed, cut):
    """Whatever both applications do, and wherever the line breaks."""
    random = Random(seed)
    host, guest = random.choice(PAIRS)
    pipe = Pipe(End(HOST, 1, host), End(GUEST, 2, guest), cut)
    apps = []
    for end in (pipe.host, pipe.guest):
        end.reads = False
        app = Fickle(end, random)
        end.on_event = app.see
        apps.append(app)
    pipe.up()
    for _ in range(120):
        random.choice(apps).act(pipe.now)
        for source, sink in ((pipe.host, pipe.guest), (pipe.guest, pipe.host)):
            if random.random() < 0.6 and (frame := source.conn.next_frame()):
                sink.receive(frame, pipe.now)
        if random.random() < 0.03:
            reconnect(pipe, random)
        holds_little(pipe.host, host)
        holds_little(pipe.guest, guest)
        for end in (pipe.host, pipe.guest):
            assert {one.why for one in end.take(SessionEnded)} <= WELL


OTHER = SMALL._replace(frame=300, stream_window=2000, streams=2, checksum=True)
PAIRS = [(SMALL, SMALL), (SMALL, OTHER), (OTHER, Limits()), (SLOW, SMALL)]
WELL = {"the other end left", "started anew", "another host session began"}


def reconnect(pipe, random):
    if random.random() < 0.5:  # the kernel hides that the host went and came back
        frame = pipe.host.conn.next_frame()
        pipe.guest.receive(frame[: random.randint(0, len(frame))], pipe.now)
    else:
        pipe.guest.conn.disconnected(pipe.now)
        pipe.guest.drain()
    frame = pipe.guest.conn.next_frame()
    pipe.host.receive(frame[: random.randint(0, len(frame))], pipe.now)
    pipe.up()


@pytest.mark.parametrize("role", [HOST, GUEST])
def test_an_end_that_only_asks_and_never_reads_is_left(role):
    end = End(role, 1)
    greet(end, 0)
    tag, first = end.conn._sessions._tag, 1 if role == GUEST else 2
    opening = msgpack.packb({"command": "x", "arguments": {}, "streaming": True})
    end.on_event = lambda conn, event: (
        conn.cancel(event.stream, "no") if isinstance(event, Opened) else None
    )
    for number in range(5000):
        end.receive(f.encode(tag, f.PING, 0, 0, (bytes(8),)), 0)
        end.receive(f.encode(tag, f.OPEN, 0, first + 2 * number, (opening,)), 0)
        holds_little(end, Limits())
    assert end.take(SessionEnded) == [SessionEnded("the answers are not read")]


def test_events_that_nobody_reads_are_refused_at_a_bound():
    pipe = Pipe().up()
    for _ in range((4 << 20) // 60_100):
        pipe.guest.conn.event("log", "x" * 60_000)
    with pytest.raises(CannotSend, match="wait to be sent"):
        pipe.guest.conn.event("log", "x" * 60_000)
    pipe.run()
    pipe.guest.conn.event("log", "x" * 60_000)
