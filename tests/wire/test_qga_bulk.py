"""Large requests and replies: whole, and without more copies in memory than they need."""

from __future__ import annotations

import base64
import json
import tracemalloc

import pytest

from guestwire.errors import PeerError
from guestwire.wire.events import Reply, Request
from guestwire.wire.qga import QgaDialect
from qga_host import parsed

MIB = 1 << 20
HEAD = b'{"execute":"guest-file-write","arguments":{"handle":1,"buf-b64":"'
TAIL = b'"},"id":3}\n'


def received(data, size):
    dialect = QgaDialect()
    for at in range(0, len(data), size):
        dialect.receive(data[at : at + size])
        if (request := dialect.next_request()) is not None:
            return request
    return None


@pytest.mark.parametrize("size", [4096, 4095, 65536, 8 * MIB])
@pytest.mark.parametrize(
    "line",
    [
        b"QUJD" * 19,
        b"QUJD" * 19 + b"\\n",
        b"QUJD" * 19 + b"\\r\\n",
        b"QUJ\\/" * 19,
        b"\\\\n" * 20,
        b"Q\\u0041",
        "é\\n".encode(),
        b"''",
    ],
)
def test_a_large_string_arrives_whole(line, size):
    text = line * (MIB // len(line))
    request = received(HEAD + text + TAIL, size)
    assert request.arguments["buf-b64"] == json.loads(b'"' + text + b'"')
    assert request.id == 3


def test_bytes_that_no_string_may_hold_are_found_in_the_middle_of_a_large_one():
    for byte in (b"\x01", b"\n", b"\xfe"):
        data = HEAD + b"Q" * 10000 + byte + b"Q" * 10000
        with pytest.raises(PeerError, match="stray"):
            received(data, 4096)


@pytest.fixture
def peak():
    """Run it and say by how many bytes memory grew at most."""

    def peak(action, *arguments):
        tracemalloc.start()
        try:
            kept = action(*arguments)
            return tracemalloc.get_traced_memory()[1], kept
        finally:
            tracemalloc.stop()

    return peak


@pytest.mark.parametrize("line", [b"QUJD", b"QUJD" * 19 + b"\\n"])
def test_receiving_takes_little_more_than_two_copies(peak, line):
    text = line * (8 * MIB // len(line))
    most, request = peak(received, HEAD + text + TAIL, 4096)
    assert request is not None
    assert most < 2.3 * len(text)


@pytest.mark.parametrize("data", [b"abc" * (2 * MIB), "QUJD" * (2 * MIB), 'a"\n\t' * MIB])
def test_sending_takes_one_line_and_little_more(peak, data):
    reply = Reply({"count": len(data), "buf-b64": data, "eof": True}, Request("x", {}))
    most, line = peak(QgaDialect().send, reply)
    assert most < 1.3 * len(line)


def test_text_and_binary_data_leave_as_one_line():
    text = 'é\U0001f600"\\\n\x7f' * 20000
    data = bytes(range(256)) * 1000
    value = {"text": text, "data": data, "number": 1, "list": [data]}
    answer = parsed(QgaDialect().send(Reply(value, Request("x", {}, 3))))
    coded = base64.b64encode(data).decode()
    expected = {"text": text, "data": coded, "number": 1, "list": [coded]}
    assert answer == {"return": expected, "id": 3}


def test_what_was_dropped_for_its_size_takes_no_memory(peak):
    dialect = QgaDialect(token_bytes=MIB)

    def overrun():
        refused = 0
        dialect.receive(b'"')
        for _ in range(4096):
            try:
                dialect.next_request()
            except PeerError:
                refused += 1
            dialect.receive(b"Q" * 4096)
        return refused

    most, refused = peak(overrun)
    assert refused == 1
    assert most < 2 * MIB
