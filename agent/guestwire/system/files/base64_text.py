"""Base64 as hosts send it: some break it into lines, and nobody may trust its padding."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Optional

from ...errors import InvalidArgument

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n"
PIECE = 1 << 16


def decode(text: str) -> bytes:
    """The bytes, by the rules of the QEMU guest agent (which are GLib's).

    Newlines do not count (Proxmox VE sends a line every 76 characters), an unfinished group of
    four is dropped, and padding may come anywhere. Raises InvalidArgument for any other character.
    """
    data = None if "\n" in text else _plain(text)
    return b"".join(_pieces(text)) if data is None else data


def _pieces(text: str) -> Iterator[bytes]:
    """Some at a time, since a text may be 64 MiB long, and each step here makes a copy."""
    rest = b""
    for at in range(0, len(text), PIECE):
        # What is no text, but JSON lets in, is let in here as well, so that it can be refused.
        raw = text[at : at + PIECE].encode("utf-8", "surrogatepass")
        if raw.translate(None, ALPHABET):
            raise InvalidArgument("Base64 data contains invalid characters")
        raw = rest + raw.translate(None, b"\n")
        whole = len(raw) // 4 * 4
        raw, rest = raw[:whole], raw[whole:]
        data = _plain(raw.decode("ascii"))
        yield _irregular(raw) if data is None else data


def _plain(text: str) -> Optional[bytes]:
    """What proper base64 without a newline means, in one pass; None for all other text.

    binascii passes over what it does not know, and each character it passes over makes its
    result shorter: so the length tells (its strict mode needs Python 3.11).
    """
    groups, rest = divmod(len(text), 4)
    if rest:
        return None
    try:
        data = binascii.a2b_base64(text)
    except ValueError:
        return None
    padding = text.endswith("=") + text.endswith("==")
    return data if len(data) == groups * 3 - padding else None


def _irregular(raw: bytes) -> bytes:
    """GLib's reading: `=` is six zero bits, and in third or fourth place takes a byte away."""
    data = binascii.a2b_base64(raw.replace(b"=", b"A"))
    pieces, start = [], 0
    at = raw.find(b"=")
    while at >= 0:
        group, place = divmod(at, 4)
        if place >= 2:
            byte = group * 3 + place - 1
            pieces.append(data[start:byte])
            start = byte + 1
        at = raw.find(b"=", at + 1)
    pieces.append(data[start:])
    return b"".join(pieces)
