from __future__ import annotations

import tracemalloc

import msgpack
import pytest

from guestwire.wire.native import CannotSend
from guestwire.wire.native.bodies import ELEMENTS, TOKENS, member, pack, unpack, unpack_map
from guestwire.wire.native.errors import Violation

PLAIN = {"a": [1, -1, 1 << 63, 1.5, None, True, "ü", b"\xff"], "b": {"c": {}, "d": []}}


@pytest.mark.parametrize("value", [PLAIN, [PLAIN] * 40, [PLAIN] * 3000, "x" * 100_000, None, 0])
def test_plain_data_come_back(value):
    assert unpack(pack(value, 1 << 20)) == value


def test_tuples_are_arrays():
    assert unpack(pack((1, (2,)), 99)) == [1, [2]]


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_both_ends_have_the_same_idea_of_depth():
    assert unpack(pack(nested(32), 99)) == nested(32)
    with pytest.raises(CannotSend):
        pack(nested(33), 99)
    with pytest.raises(Violation):
        unpack(msgpack.packb(nested(33)))
    with pytest.raises(Violation):
        unpack(msgpack.packb({"a": [{"b": nested(30)}]}) + b"")


@pytest.mark.parametrize("value", [
    {1: 2}, {"a": {None: 1}}, {b"a": 1}, object(), 1 << 64, -(1 << 63) - 1, "\ud800", {"a": {1, 2}},
    [0] * (ELEMENTS + 1), [[0] * ELEMENTS] * 3,
])  # fmt: skip
def test_what_the_other_end_would_not_take_is_not_sent(value):
    with pytest.raises(CannotSend):
        pack(value, 1 << 30)


def test_a_value_within_itself_is_not_sent():
    value = []
    value.append(value)
    with pytest.raises(CannotSend):
        pack(value, 99)


def test_a_body_is_as_long_as_the_other_end_takes():
    assert len(pack("x" * 29, 30)) == 30
    with pytest.raises(CannotSend):
        pack("x" * 30, 30)


EMPTY_MAPS = b"\xdc\xff\xff" + b"\x80" * 65535
CLAIMS = [
    b"\xdc\xff\xff" * 1024,
    b"\xdd\x00\x00\xff\xff" * 1024 + bytes(60_000),
    b"\xdf\x7f\xff\xff\xff" * 10,
    (b"\xdc\xff\xff" + bytes(10)) * 1000,
    b"\x93" + EMPTY_MAPS * 3,
    b"\x9f" * 1_000_000,
    b"\xc6\xff\xff\xff\xff",
    b"\xdb\xff\xff\xff\xff" + bytes(70_000),
]


@pytest.mark.parametrize("body", CLAIMS, ids=range(len(CLAIMS)))
def test_a_body_that_claims_much_costs_little(body):
    tracemalloc.start()
    with pytest.raises(Violation):
        unpack(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 << 20  # ELEMENTS pointers for each of DEPTH containers, at most


def test_what_a_full_body_makes_is_bounded():
    assert len(unpack(EMPTY_MAPS)) == 65535
    with pytest.raises(Violation, match="too many"):
        unpack(b"\x93" + EMPTY_MAPS * 3)
    assert TOKENS < 3 * 65535


def test_a_member_has_one_type():
    body = unpack_map(pack({"n": 1, "b": True}, 99))
    assert member(body, "n", int) == 1
    for name, kind in (("b", int), ("n", str), ("x", int)):
        with pytest.raises(Violation):
            member(body, name, kind)
    with pytest.raises(Violation):
        unpack_map(pack([1], 99))
