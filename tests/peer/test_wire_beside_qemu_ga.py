"""The same bytes to our dialect and to the real QEMU guest agent: the same answers come back."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import socket
import subprocess
import time

import pytest

from guestwire.wire.qga import QgaDialect
from qga_garbage import OURS, TABLE
from qga_host import answers, parsed

QEMU_GA = shutil.which("qemu-ga", path=os.environ["PATH"] + ":/usr/sbin")
POSITION = re.compile(r"^\d+:\d+: ")  # since 11.1, before the text of a parse error
PATIENCE = 10.0


@pytest.fixture(scope="module")
def channel(tmp_path_factory):
    """A connection to a real agent."""
    if QEMU_GA is None:
        if os.environ.get("GUESTWIRE_REQUIRE_VM") == "1":
            pytest.fail("qemu-ga is not installed")
        pytest.skip("needs qemu-ga")
    directory = tmp_path_factory.mktemp("qga")
    path = str(directory / "socket")
    agent = subprocess.Popen(
        [QEMU_GA, "-m", "unix-listen", "-p", path, "-t", str(directory)],
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(PATIENCE)
        channel.connect(path)
        yield channel
    agent.terminate()
    agent.wait()


@pytest.fixture
def theirs(channel):
    """What the real agent answers to a line, up to the reset that follows it."""
    numbers = iter(range(10**6))

    def theirs(data):
        end = b'\xff{"return": %d}\n' % (number := next(numbers))
        sync = b'{"execute":"guest-sync-delimited","arguments":{"id":%d}}\n' % number
        channel.sendall(data + b"\n\xff" + sync)
        received = b""
        while not received.endswith(end):
            received += channel.recv(65536)
        lines = received[: -len(end)].splitlines(keepends=True)
        return lines[:-1]  # the last is its answer to the reset

    return theirs


def ours(data):
    return answers(QgaDialect(), data + b"\n", b"\xff")


def meaning(line):
    said = parsed(line)
    if "error" in said:
        said["error"]["desc"] = POSITION.sub("", said["error"]["desc"])
    return said


AGREED = [data for data, *_ in TABLE if data not in OURS]


@pytest.mark.parametrize("data", AGREED, ids=lambda data: repr(data[:40]))
def test_garbage_gets_the_same_answers(theirs, data):
    assert [meaning(line) for line in ours(data)] == [meaning(line) for line in theirs(data)]


@pytest.mark.parametrize("data", list(OURS), ids=OURS.get)
def test_what_we_answer_in_our_own_way_is_still_another(theirs, data):
    assert [meaning(line) for line in ours(data)] != [meaning(line) for line in theirs(data)]


REQUESTS = [
    b'{"execute":"guest-ping"}',
    b"{'execute':'guest-ping','id':'\\''}",
    b'{"execute":"guest-ping"}{"execute":"guest-ping","id":[1,{"a":null}]}',
    b'{"id":1,"execute":"guest-sync","arguments":{"id":9223372036854775807}}',
    b'{"execute":"guest-sync","arguments":{"id":9223372036854775808}}',
    b'{"execute":"guest-sync","arguments":{"id":1.0}}',
    b'{"execute":"guest-sync","arguments":{"id":-1}}',
    b'{"execute":"guest-ping","id":"\\u0000\\ud83d\\ude00\\/\x7f"}',
    b'{"execute":"no-such-command","id":-0}',
    b'{"execute":"guest-ping","arguments":5,"id":1.5}',
    b'{"execute":"guest-ping","what":5,"id":{}}',
    b'{"arguments":{},"id":true}',
    b"[" * 1025,
    b"[" * 1024 + b"]" * 1024,
    b"[" * 1025 + b"]" * 1025,
    b'{"a":' * 1025,
]


@pytest.mark.parametrize("data", REQUESTS, ids=lambda data: repr(data[:60]))
def test_requests_get_the_same_answers(theirs, data):
    assert [meaning(line) for line in ours(data)] == [meaning(line) for line in theirs(data)]


def test_0xff_is_an_error_to_qemu_ga_and_a_silent_reset_to_us(theirs):
    for data in (b"\xff", b'{"execute":"guest-pi\xff', b"[1,\xff"):
        assert len(theirs(data)) == 1
        assert ours(data) == []


# No 0xFF, NUL, \u nor bytes above 0x7F here: those are told apart above.
PIECES = [
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"'", b"\\", b"\n", b" ", b"\t", b"\x01", b"true",
    b"nul", b"0", b"12", b"-", b"1.5", b"1e5", b"e", b"+", b".", b'"execute"', b'"arguments"',
    b'"id"', b'"a"', b"GARBAGE", b'{"a":1,"a":2}', b'{"execute":"guest-ping"}', b"'x'", b'"\\n"',
    b'"execute":"guest-ping"', b'"id":5', b"%", b"\x7f",
]  # fmt: skip


def test_any_soup_of_tokens_gets_as_many_answers_of_the_same_kind(theirs):
    chance = random.Random(1)
    for _ in range(1000):
        data = b"".join(chance.choices(PIECES, k=chance.randrange(1, 25)))
        assert [kind(line) for line in ours(data)] == [kind(line) for line in theirs(data)], data


def kind(line):
    said = json.loads(line)
    return said.get("id"), said["error"]["class"] if "error" in said else said["return"]
