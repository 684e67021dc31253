"""docs/protocol.md, held: what it shows is what both ends send and refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgpack
import pytest

import guestwire
from guestwire.wire.native import GUEST, HOST, SLOW, Connection, Limits
from guestwire.wire.native import frames as f
from guestwire.wire.native.bodies import unpack
from guestwire.wire.native.errors import Violation

PAGE = (Path(guestwire.__file__).parents[2] / "docs/protocol.md").read_text()
TAG = 0x33333333


def block(name):
    return re.search(rf"^```{name}\n(.*?)^```", PAGE, re.S | re.M).group(1)


def frames():
    found = []
    for line in block("frames").splitlines():
        if line.startswith("{"):
            found.append([json.loads(line), ""])
        else:
            found[-1][1] += line
    return [(about, bytes.fromhex(text)) for about, text in found]


def pairs(name):
    lines = block(name).splitlines()
    return [pytest.param(bytes.fromhex(two), id=one) for one, two in zip(lines[::2], lines[1::2])]


def plain(value):
    if isinstance(value, dict):
        if "$bin" in value:
            return bytes.fromhex(value["$bin"])
        return {key: plain(one) for key, one in value.items()}
    return value


def scripted(*parts):
    left = list(parts)
    return lambda size: left.pop(0) * size


@pytest.mark.parametrize(("about", "data"), frames())
def test_each_frame_is_what_the_page_says_of_it(about, data):
    reader = f.FrameReader()
    reader.expect(int.from_bytes(bytes.fromhex(about["sync"]), "little"))
    reader.feed(data, 0)
    frame = reader.next()
    kind = getattr(f, about["type"])
    assert frame[:3] == (kind, about["flags"], about["stream"]) and not reader.skipped
    if "body" in about:
        assert msgpack.unpackb(frame.payload) == plain(about["body"])
    else:
        assert frame.payload.hex() == about["payload"]


def test_the_conversation_is_what_two_ends_say():
    host = Connection(HOST, scripted(b"\x11", b"\x22", b"\x33", b"\x66"), identity={"name": "host"})
    guest = Connection(GUEST, scripted(b"\x44", b"\x55"), identity={"boot-id": "b"})
    said = []

    def move(source, sink):
        while frame := source.next_frame():
            said.append(frame)
            sink.receive(frame, 0)
            while sink.next_event():
                pass

    def both():
        move(host, guest)
        move(guest, host)

    host.start(0)
    both()
    ping = host.open("guest-ping", {})
    move(host, guest)
    guest.accept(ping, {})
    move(guest, host)
    stream = host.open("exec", {"path": "/bin/cat"}, resumable=True, urgent=True)
    host.send_data(stream, b"hello")
    host.end(stream)
    move(host, guest)
    guest.consumed(stream, 5)
    guest.accept(stream, {"pid": 7}, end=False)
    guest.send_data(stream, b"hello")
    guest.send_data(stream, b"?", channel=1)
    guest.end(stream, 1)
    guest.control(stream, {"signal": "TERM"})
    guest.close(stream, {"exit-code": 0})
    move(guest, host)
    move(host, guest)
    host.ping(0)
    both()
    guest.event("shutdown", None)
    both()
    host.stop("done")
    both()
    assert [one.hex() for one in said] == [data.hex() for _, data in frames()]


@pytest.mark.parametrize("data", pairs("no-frames"))
def test_what_is_no_frame_is_skipped(data):
    reader = f.FrameReader()
    reader.expect(TAG)
    reader.feed(data, 0)
    assert reader.next() is None
    assert reader.skipped


@pytest.mark.parametrize("data", pairs("no-bodies"))
def test_what_is_no_body_is_a_violation(data):
    with pytest.raises(Violation):
        unpack(data)


@pytest.mark.parametrize("name", [
    "HELLO", "HELLO_ACK", "RESET", "PING", "PONG", "OPEN", "ACCEPT", "REJECT", "DATA", "CREDIT",
    "CTRL", "CLOSE", "CANCEL", "EVENT", "RESUME", "GOAWAY",
])  # fmt: skip
def test_the_types_have_the_numbers_of_the_table(name):
    assert f"\n| {getattr(f, name)} | {name} |" in PAGE


@pytest.mark.parametrize("name", ["FIN", "CRC", "OFFSET", "URGENT", "MUST_UNDERSTAND", "MORE"])
def test_the_flags_have_the_values_of_the_table(name):
    assert f"\n| 0x{getattr(f, name):02X} | {name} |" in PAGE


def test_the_limits_are_those_of_the_table():
    def row(name):
        cells = re.search(rf"^\| {name} \| (.*) \| (.*) \|$", PAGE, re.M).groups()
        return [[int(one.replace(",", "")) for one in re.findall(r"[\d,]{2,}", c)] for c in cells]

    for limits, column in ((Limits(), 0), (SLOW, 1)):
        assert row("frame")[column] == [limits.frame]
        windows = row("stream_window, session_window")[column]
        assert windows == [limits.stream_window, limits.session_window]
        assert row("streams")[column] == [limits.streams]
    assert row("control, answer")[0] == [Limits().control, Limits().answer]
    assert (SLOW.control, SLOW.answer) == (Limits().control, Limits().answer)
