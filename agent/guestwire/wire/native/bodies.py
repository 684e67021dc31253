"""Control bodies: msgpack, with bounds that hold before anything is built from them."""

from __future__ import annotations

from struct import Struct
from typing import NoReturn, TypeVar

from msgpack import packb, unpackb

from .errors import CannotSend, Violation

DEPTH = 32  # containers within containers
ELEMENTS = 1 << 16  # in one container
TOKENS = 1 << 17  # in one body
SMALL = 1 << 16  # bytes; what a smaller body may make is bounded by its containers alone

REASON = 4096  # characters

# First bytes of maps and arrays.
CONTAINERS = bytes([*range(0x80, 0xA0), *range(0xDC, 0xE0)])
# First byte -> bytes of a length that follows; for the others see `_sizes`.
LENGTH_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4,
                0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}  # fmt: skip
LENGTHS = {1: Struct(">B"), 2: Struct(">H"), 4: Struct(">I")}

Kind = TypeVar("Kind")


def pack(value: object, limit: int) -> bytes:
    """Raises CannotSend for what the other end would not take."""
    try:
        _check_value(value, DEPTH)
        body: bytes = packb(value)
        if len(body) > SMALL:
            _check_size(body)
    except (Violation, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise CannotSend(f"not a control body: {error}") from error
    if len(body) > limit:
        raise CannotSend(f"{len(body)} bytes in a control body; the other end takes {limit}")
    return body


def reason(text: str, **others: str) -> bytes:
    """The body of CANCEL, GOAWAY, REJECT and RESET; what an error says may be cut short."""
    return pack({**others, "text": text[:REASON]}, SMALL)


def unpack(body: bytes) -> object:
    """Raises Violation. Plain data: no extension types, string keys, none of them twice."""
    try:
        if len(body) > SMALL or len(body) - len(body.translate(None, CONTAINERS)) > DEPTH:
            _check_size(body)
        return unpackb(
            body,
            object_pairs_hook=_map,
            ext_hook=_no_extension,
            max_array_len=ELEMENTS,
            max_map_len=ELEMENTS,
            max_ext_len=0,
        )
    except Violation:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise Violation(f"not a control body: {error}") from error


def unpack_map(body: bytes) -> dict[str, object]:
    value = unpack(body)
    if type(value) is not dict:
        raise Violation("a control body must be a map")
    return value


def member(body: dict[str, object], name: str, kind: type[Kind]) -> Kind:
    """Raises Violation where it is missing or of another type; True is no integer."""
    value = body.get(name)
    if type(value) is not kind:
        raise Violation(f"member {name!r} must be {kind.__name__}")
    return value


def _map(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Violation("a key is there twice")
    for key in made:
        if type(key) is not str:
            raise Violation("a key is not a string")
    return made


def _no_extension(code: int, data: bytes) -> NoReturn:
    raise Violation(f"extension type {code}")


def _check_value(value: object, depth: int) -> None:
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not a string")
        inner = value.values()
    elif isinstance(value, (list, tuple)):
        inner = value  # type: ignore[assignment]
    else:
        return
    if not depth:
        raise ValueError(f"nested deeper than {DEPTH}")
    if len(value) > ELEMENTS:
        raise ValueError(f"more than {ELEMENTS} elements")
    for one in inner:
        if isinstance(one, (dict, list, tuple)):
            _check_value(one, depth - 1)


def _sizes() -> list[int]:
    """First byte -> bytes of the whole token, 0 where a length or elements follow."""
    sizes = [1] * 256
    for first in range(0xA0, 0xC0):  # short strings
        sizes[first] = 1 + (first & 0x1F)
    for first, size in ((0xCA, 5), (0xCB, 9), (0xCC, 2), (0xCD, 3), (0xCE, 5), (0xCF, 9),
                        (0xD0, 2), (0xD1, 3), (0xD2, 5), (0xD3, 9)):  # fmt: skip
        sizes[first] = size
    for first in (*CONTAINERS, *LENGTH_BYTES):
        sizes[first] = 0
    return sizes


SIZES = _sizes()


def _check_size(body: bytes) -> None:
    """Go through all values without making them. Raises Violation past a bound.

    msgpack makes room for as many elements as a container claims to have, at every depth up to
    1024, before it has seen the first of them.
    """
    at, count, length = 0, 0, len(body)
    missing = [1]  # elements still to come, for each open container
    while missing:
        if not missing[-1]:
            missing.pop()
            continue
        missing[-1] -= 1
        count += 1
        if at >= length or count > TOKENS:
            raise Violation("a body ends early, or holds too many values")
        first = body[at]
        size = SIZES[first]
        if size:
            at += size
            continue
        elements, at = _extent(body, at, first)
        if elements >= 0:
            missing.append(elements)
            if len(missing) > DEPTH + 1:
                raise Violation(f"nested deeper than {DEPTH}")


def _extent(body: bytes, at: int, first: int) -> tuple[int, int]:
    """Elements of the container here (-1 for text and binary), and where its content is or ends."""
    if first < 0x90:
        return 2 * (first & 0x0F), at + 1
    if first < 0xA0:
        return first & 0x0F, at + 1
    wide = LENGTH_BYTES[first]
    if at + 1 + wide > len(body):
        raise Violation("a body ends early")
    (claimed,) = LENGTHS[wide].unpack_from(body, at + 1)
    if first < 0xDC:
        return -1, at + 1 + wide + claimed
    if claimed > min(ELEMENTS, len(body)):
        raise Violation(f"a container of {claimed} elements")
    return claimed * (2 if first >= 0xDE else 1), at + 1 + wide
