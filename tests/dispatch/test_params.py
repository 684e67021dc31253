"""Arguments against signatures, with qemu-ga's words."""

from __future__ import annotations

from typing import Annotated, Literal, Optional, TypedDict, Union

import pytest

from guestwire.dispatch.params import Binder
from guestwire.errors import InvalidArgument

Vcpu = TypedDict("Vcpu", {"logical-id": int, "online": bool})
Block = TypedDict("Block", {"phys-index": Annotated[int, "uint64"]})


class Entry(Vcpu, total=False):
    note: str


def handler(
    context,
    number: int,
    text: str = "",
    flag: bool = False,
    names: Optional[list[str]] = None,
    vcpus: Optional[list[Entry]] = None,
    buf_b64: str = "",
    whence: Annotated[Union[int, Literal["set", "cur", "end"]], "GuestFileWhence"] = 0,
    mode: Literal["halt", "reboot"] = "halt",
    anything: Optional[dict[str, object]] = None,
    ratio: float = 0.0,
    blocks: Optional[list[Block]] = None,
): ...


def nothing(context): ...


@pytest.fixture(scope="module")
def binder():
    return Binder(handler)


GOOD = [
    {"number": 1},
    {"number": -(2**63), "text": "x", "flag": True, "names": ["a"], "ratio": 1},
    {"number": 2**63 - 1, "whence": "cur", "ratio": 0.5},
    {"number": 0, "whence": 2, "mode": "reboot", "anything": {"a": [1]}},
    {"number": 0, "vcpus": [{"logical-id": 1, "online": True, "note": "n"}]},
    {"number": 0, "blocks": [{"phys-index": 0}, {"phys-index": 2**64 - 1}]},
]


@pytest.mark.parametrize("arguments", GOOD)
def test_good_arguments_come_through_as_they_are(binder, arguments):
    assert binder.bind(arguments) == arguments


def test_a_hyphen_is_an_underscore_in_python(binder):
    assert binder.bind({"number": 1, "buf-b64": "QQ=="}) == {"number": 1, "buf_b64": "QQ=="}


UINT64 = "Parameter 'blocks[0].phys-index' expects uint64"
BAD = [
    ({}, "Parameter 'number' is missing"),
    ({"number": 1, "foo": 1}, "Parameter 'foo' is unexpected"),
    ({"foo": 1}, "Parameter 'number' is missing"),
    ({"number": 1, "buf_b64": ""}, "Parameter 'buf_b64' is unexpected"),
    *(
        ({"number": value}, "Invalid parameter type for 'number', expected: integer")
        for value in ("1", 1.5, True, None, 2**63, 2**64 - 1, [], {})
    ),
    ({"number": 1, "text": 1}, "Invalid parameter type for 'text', expected: string"),
    ({"number": 1, "text": None}, "Invalid parameter type for 'text', expected: string"),
    ({"number": 1, "flag": 1}, "Invalid parameter type for 'flag', expected: boolean"),
    ({"number": 1, "names": "a"}, "Invalid parameter type for 'names', expected: array"),
    ({"number": 1, "names": ["a", 2]}, "Invalid parameter type for 'names[1]', expected: string"),
    ({"number": 1, "anything": []}, "Invalid parameter type for 'anything', expected: object"),
    ({"number": 1, "ratio": "1"}, "Invalid parameter type for 'ratio', expected: number"),
    ({"number": 1, "mode": "bogus"}, "Parameter 'mode' does not accept value 'bogus'"),
    ({"number": 1, "mode": 3}, "Invalid parameter type for 'mode', expected: string"),
    ({"number": 1, "whence": "bogus"}, "Parameter 'whence' does not accept value 'bogus'"),
    (
        {"number": 1, "whence": []},
        "Invalid parameter type for 'whence', expected: GuestFileWhence",
    ),
    *(
        ({"number": 1, "whence": value}, "Invalid parameter type for 'whence', expected: integer")
        for value in (1.5, 2**63)
    ),
    *(
        ({"number": 1, "blocks": [{"phys-index": value}]}, UINT64)
        for value in (-1, 2**64, 1.0, True, "1", None)
    ),
    ({"number": 1, "vcpus": [{"online": True}]}, "Parameter 'vcpus[0].logical-id' is missing"),
    (
        {"number": 1, "vcpus": [{"logical-id": 1, "online": 1}]},
        "Invalid parameter type for 'vcpus[0].online', expected: boolean",
    ),
    (
        {"number": 1, "vcpus": [{"logical-id": 1, "online": True, "x": 1}]},
        "Parameter 'vcpus[0].x' is unexpected",
    ),
    ({"number": 1, "vcpus": [1]}, "Invalid parameter type for 'vcpus[0]', expected: object"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_what_is_wrong_is_said_in_qemu_ga_s_words(binder, arguments, text):
    with pytest.raises(InvalidArgument) as caught:
        binder.bind(arguments)
    assert str(caught.value) == text


def test_a_command_without_parameters_takes_none():
    assert Binder(nothing).bind({}) == {}
    with pytest.raises(InvalidArgument, match="'x' is unexpected"):
        Binder(nothing).bind({"x": 1})


def test_a_signature_that_cannot_be_checked_is_a_defect_found_at_once():
    def odd(context, value: set): ...

    with pytest.raises(TypeError):
        Binder(odd)
