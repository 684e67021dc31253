from __future__ import annotations

import math

import pytest

from guestwire.wire.events import Reply, Request
from guestwire.wire.qga import QgaDialect
from qga_host import error, parsed

LARGE = 100_000
LONE = "a\udc80b\ud800"


def sent(value, number=1):
    return QgaDialect().send(Reply(value, Request("x", {}, number)))


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ({}, b"{}"),
        ([], b"[]"),
        (None, b"null"),
        (True, b"true"),
        (5, b"5"),
        ("é/<&", b'"\\u00e9/<&"'),
        ({"a": 1, "b": [1, 2]}, b'{"a": 1, "b": [1, 2]}'),
        ((1, 2), b"[1, 2]"),
        (b"abc", b'"YWJj"'),
    ],
)
def test_a_value_is_written_on_one_line_as_qemu_ga_spaces_it(value, line):
    assert sent(value) == b'{"return": ' + line + b', "id": 1}\n'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_null(number):
    value = {"a": [number, 1.5], "b": (number,), 'k"\n': {}, "t": "é", "c": [], 1: True}
    expected = {"a": [None, 1.5], "b": [None], 'k"\n': {}, "t": "é", "c": [], "1": True}
    assert parsed(sent(value))["return"] == expected
    assert parsed(sent(number))["return"] is None


@pytest.mark.parametrize("size", [1, LARGE])
def test_a_lone_surrogate_becomes_the_replacement_character(size):
    expected = "a\ufffdb\ufffd" * size
    assert parsed(sent({"a": LONE * size}))["return"] == {"a": expected}
    assert parsed(sent([LONE * size]))["return"] == [expected]
    assert parsed(sent({LONE * size: 1}))["return"] == {expected: 1}
    assert parsed(sent({LONE: math.nan, "b": "x" * size}))["return"]["a\ufffdb\ufffd"] is None


@pytest.mark.parametrize("size", [1, LARGE])
def test_what_only_looks_like_a_lone_surrogate_is_kept(size):
    text = "\\ud800 \\\\udc80 \U0001f600 퀀" * size
    assert parsed(sent({"a": text}))["return"] == {"a": text}


def test_no_depth_is_too_deep():
    deep = None
    for _ in range(1500):
        deep = {"a": [deep]}
    line = sent(deep)
    assert line.startswith(b'{"return": {"a": [{"a": [')
    assert line.endswith(b'"a": [null]}' + b"]}" * 1499 + b', "id": 1}\n')


@pytest.mark.parametrize("value", [{1, 2}, object(), {"a": {(1, 2): 3}}, [[math.nan, {1}]]])
def test_what_has_no_form_in_json_becomes_an_error(value):
    answer = parsed(sent(value))
    assert answer == error(answer["error"]["desc"], id=1)


def test_a_value_that_holds_itself_becomes_an_error():
    value: list[object] = []
    value.append(value)
    assert parsed(sent(value)) == error("Circular reference detected", id=1)
