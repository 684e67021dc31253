"""What a guest sent, held against the shape it must have; a guest may send anything."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping

from .errors import BadAnswer


def record(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise BadAnswer(f"{what}: the guest's answer is not an object")
    return value


def items(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise BadAnswer(f"{what}: the guest's answer is not a list")
    return value


def integer(value: object, what: str, least: int = 0, most: int = 1 << 63) -> int:
    if type(value) is not int or not least <= value <= most:
        raise BadAnswer(f"{what}: the guest's answer is not a number from {least} to {most}")
    return value


def boolean(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise BadAnswer(f"{what}: the guest's answer is neither true nor false")
    return value


def text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise BadAnswer(f"{what}: the guest's answer is not text")
    return value


def data(value: object, what: str) -> bytes:
    """Bytes out of base64, or as they are: guestwire's own protocol carries them so."""
    if isinstance(value, bytes):
        return value
    try:
        return b64decode(text(value, what), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadAnswer(f"{what}: the guest's answer is not base64") from error
