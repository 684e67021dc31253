"""What a guest said, made fit for a terminal and for one line of a log."""

from __future__ import annotations

import unicodedata

# Control, format (bidi overrides, zero width), surrogates, and what breaks lines.
UNFIT = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str, keep: str = "") -> str:
    """The text with every character that a terminal may act upon written as an escape.

    `keep` are characters that stay, e.g. newline and tab in the output of a program.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escaped(one) if one not in keep and unicodedata.category(one) in UNFIT else one
        for one in text
    )


def printable_output(data: bytes) -> str:
    """Output of a program: lines and tabs stay, and what is no UTF-8 is shown as escapes."""
    return printable(data.decode("utf-8", "backslashreplace").replace("\r\n", "\n"), keep="\n\t")


def _escaped(one: str) -> str:
    number = ord(one)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
