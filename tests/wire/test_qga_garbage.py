"""What is no request gets the error that qemu-ga gives it, and the next request is understood."""

from __future__ import annotations

import random

import pytest

from guestwire.wire.qga import QgaDialect
from qga_garbage import NOT_OBJECT, PONG, TABLE, bad
from qga_host import answers, bytewise, error, parsed

PING = b'{"execute":"guest-ping"}\n'


@pytest.mark.parametrize("case", TABLE, ids=lambda case: repr(case[0][:40]))
def test_garbage_has_its_errors_and_then_a_ping_is_understood(case):
    garbage, *expected = case
    for chunks in ([garbage + b"\n"], bytewise(garbage + b"\n")):
        dialect = QgaDialect()
        assert [parsed(line) for line in answers(dialect, *chunks)] == expected
        assert [parsed(line) for line in answers(dialect, PING)] == [PONG]


def test_a_line_that_breaks_off_inside_of_a_string_does_not_take_the_next_with_it():
    lines = answers(QgaDialect(), b'{"execute":"guest-pi\n' + PING)
    assert [parsed(line) for line in lines] == [bad("stray '\"guest-pi\n'"), PONG]


def test_an_error_shows_no_more_than_the_beginning_of_a_token():
    (line,) = answers(QgaDialect(), b'["' + b"x" * 10000 + b"\n")
    assert len(line) < 200
    (line,) = answers(QgaDialect(), b"x" * 3000 + b"\n")
    assert len(line) < 200


LIMITED = {"token_bytes": 100, "tokens": 30, "nesting": 5}
LONG = {
    "JSON token size limit exceeded": [
        b'"' + b"x" * 101 + b'"',
        b'{"a":"' + b"x" * 5000,
        b'["' + b"x" * 60 + b'","' + b"y" * 60 + b'"]',
        b'"' + b"\\n" * 60 + b'"',
    ],
    "JSON token count limit exceeded": [b"[" + b"1," * 20 + b"1]", b"[" + b"1, " * 5000 + b"1]"],
}


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize(("text", "data"), [(text, data) for text in LONG for data in LONG[text]])
@pytest.mark.parametrize("after", [b"\n", b"\xff"])
def test_what_is_too_large_is_one_error_and_dropped_to_the_end_of_its_line(text, data, after, size):
    dialect = QgaDialect(**LIMITED)
    data += after
    lines = answers(dialect, *(data[at : at + size] for at in range(0, len(data), size)))
    assert [parsed(line) for line in lines] == [error(text)]
    assert [parsed(line) for line in answers(dialect, PING)] == [PONG]


def test_the_limits_themselves_are_allowed():
    dialect = QgaDialect(**LIMITED)
    for data in [
        b'"' + b"x" * 98 + b'"\n',
        b"[{}" + b",1" * 13 + b"]",
        b"[[[[[]]]]]",
    ]:
        assert [parsed(line) for line in answers(dialect, data)] == [NOT_OBJECT]
        assert [parsed(line) for line in answers(dialect, *bytewise(data))] == [NOT_OBJECT]


@pytest.mark.parametrize("bracket", [b"[", b'{"a":', b'[{"a":'])
def test_1025_levels_are_refused_and_then_a_ping_is_understood(bracket):
    for end in (b"", b"\n"):
        dialect = QgaDialect()
        first, *_ = answers(dialect, (bracket * 1025)[: 1024 * len(bracket) + 1])
        assert parsed(first) == error("JSON nesting depth limit exceeded")
        dialect.reset()
        assert answers(dialect, b"[" * 1025 + end + PING)[-1] == b'{"return": {}}\n'


def test_1024_levels_are_no_mistake():
    data = b"[" * 1024 + b"]" * 1024
    assert [parsed(line) for line in answers(QgaDialect(), data)] == [NOT_OBJECT]


@pytest.mark.parametrize("digit", [b"1", b"x", b"1."])
def test_a_number_or_keyword_without_end_is_given_up(digit):
    dialect = QgaDialect()
    data = digit + digit[:1] * 100000 + b"\n"
    lines = answers(dialect, *(data[at : at + 1000] for at in range(0, len(data), 1000)))
    assert [parsed(line) for line in lines] == [error("JSON token size limit exceeded")]
    assert [parsed(line) for line in answers(dialect, PING)] == [PONG]


PIECES = [
    PING, b'{"execute":"guest-sync-delimited","arguments":{"id":5}}', b"{'execute':'no','id':[1]}",
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"'", b"\\", b"\\u", b"\\ud83d", b"\xff", b"\xfe",
    b"\n", b" ", b"\t", b"\0", b"true", b"nul", b"0", b"12", b"-", b"1.5", b"1e999", b"e", b".",
    b'"execute"', b'"arguments"', b'"id"', b'"a"', "é\U0001f600".encode(), b"\xed\xa0\x80", b"NaN",
    b'{"a":1,"a":2}', b"\x7f", b"GARBAGE", b'"\\ud800"',
]  # fmt: skip


def scrambled(random):
    """Pieces of requests in any order, or one request with some bytes changed."""
    if random.random() < 0.6:
        return b"".join(random.choices(PIECES, k=random.randrange(1, 30)))
    data = bytearray(random.choice(PIECES[:3]) * random.randrange(1, 4))
    for _ in range(random.randrange(1, 6)):
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data)


def cut(random, data):
    """In any places, but for those where a new host may begin."""
    places = sorted(random.choices(range(len(data) + 1), k=random.randrange(6)))
    places = [place for place in places if not data.startswith(PIECES[1][:22], place)]
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)])]


def test_whatever_comes_in_strict_json_goes_out_and_a_ping_is_understood():
    chance = random.Random(1)
    dialect = QgaDialect(token_bytes=300, tokens=60, nesting=8)
    said = 0
    for _ in range(10_000):
        data = scrambled(chance)
        whole = answers(QgaDialect(token_bytes=300, tokens=60, nesting=8), data)
        lines = answers(dialect, *cut(chance, data))
        assert lines == whole, data
        for line in lines:
            parsed(line)
        said += len(lines)
        assert answers(dialect, b"\xff" + PING)[-1] == b'{"return": {}}\n', data
    assert said > 10_000
