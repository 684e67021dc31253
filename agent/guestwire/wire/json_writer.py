"""One line of JSON, in ASCII alone, that every strict parser takes, whatever the values are.

`bytes` in a value are binary data and become base64.
"""

from __future__ import annotations

import io
import json
import math
import re
from binascii import b2a_base64
from functools import lru_cache
from json.encoder import encode_basestring_ascii

from .events import ABSENT

BULK = 1 << 10  # longer strings go in pieces: faster, and no second copy of them is made
PIECE = 3 << 14  # base64 of a piece has no padding, unless it is the last

AS_IS = bytes(set(range(0x20, 0x7F)) - set(b'"\\'))  # what JSON's strings hold unescaped

# A surrogate that is no half of a pair; pairs and escaped backslashes are named to be passed over.
LONE = re.compile(r"(\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})|\\ud[89a-f][0-9a-f]{2}")


def write_line(start: bytes, name: str, value: object, number: object) -> bytes:
    """`{name: value, "id": number}` and a newline, after `start`; no id when it is ABSENT.

    Raises TypeError or ValueError when there is no JSON for a value.
    """
    tail = "}\n" if number is ABSENT else f', "id": {_text(number)}}}\n'
    if value and isinstance(value, dict) and any(map(_is_bulk, value.values())):
        return _bulk_line(start + b'{"%s": ' % name.encode(), value, tail.encode())
    return start + f'{{"{name}": {_text(value)}{tail}'.encode()


def _is_bulk(value: object) -> bool:
    return isinstance(value, (str, bytes)) and len(value) > BULK


def _bulk_line(start: bytes, members: dict[str, object], tail: bytes) -> bytes:
    out = io.BytesIO()  # whose getvalue() is no copy
    out.write(start)
    text = "{"  # that is not in `out` yet
    for name, value in members.items():
        text += _name(name)
        if isinstance(value, (str, bytes)):
            out.write(text.encode() + b'"')
            _write_pieces(out, value)
            text = '", '
        else:
            text += _text(value) + ", "
    out.write(text[:-2].encode() + b"}" + tail)
    return out.getvalue()


@lru_cache(maxsize=64)
def _name(name: str) -> str:
    return _text(name) + ": "


def _write_pieces(out: io.BytesIO, value: str | bytes) -> None:
    if isinstance(value, bytes):
        data = memoryview(value)
        for at in range(0, len(data), PIECE):
            out.write(b2a_base64(data[at : at + PIECE], newline=False))
    else:
        for at in range(0, len(value), PIECE):
            out.write(_inside(value[at : at + PIECE]))


def _inside(piece: str) -> bytes:
    """What goes between the quotes. Base64 goes as it is: to see that is a quarter of the work."""
    if piece.isascii():
        plain = piece.encode()
        if not plain.translate(None, AS_IS):
            return plain
    return _paired(encode_basestring_ascii(piece))[1:-1].encode()


def _text(value: object) -> str:
    kind = type(value)  # the commonest without the encoder, which Python sets up for each value
    if kind is int:
        return int.__repr__(value)
    if kind is str:
        return _paired(encode_basestring_ascii(value))  # type: ignore[arg-type]
    if kind is bool:
        return "true" if value else "false"
    if kind is dict and not value:
        return "{}"
    try:
        return _paired(_encode(value))
    except ValueError as error:
        if "Circular" in str(error):
            raise
    except RecursionError:
        pass
    return _spelled(value)


def _paired(text: str) -> str:
    return LONE.sub(lambda match: match[1] or "\\ufffd", text) if "\\ud" in text else text


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return b2a_base64(value, newline=False).decode()
    raise TypeError(f"a value of type {type(value).__name__} has no form in JSON")


_encode = json.JSONEncoder(allow_nan=False, default=_base64).encode


class _Ready(str):
    """Text that is JSON already."""


def _spelled(value: object) -> str:
    """What the json module will not write: deeper than its recursion goes, or not a number."""
    out: list[str] = []
    todo: list[object] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, _Ready):
            out.append(item)
        elif isinstance(item, dict):
            out.append("{")
            parts: list[object] = []
            for name, member in item.items():
                parts += [_Ready(", "), _Ready(_encode({name: 0})[1:-2]), member]
            todo += [_Ready("}"), *parts[:0:-1]]
        elif isinstance(item, (list, tuple)):
            out.append("[")
            parts = []
            for member in item:
                parts += [_Ready(", "), member]
            todo += [_Ready("]"), *parts[:0:-1]]
        elif isinstance(item, float) and not math.isfinite(item):
            out.append("null")
        else:
            out.append(_encode(item))
    return _paired("".join(out))
