"""What the escapes in a JSON string mean: those of RFC 8259, and \\' as QEMU has it."""

from __future__ import annotations

import re

# Kept as text: to compile it takes 0.4 ms, and who sends what needs it is rare.
ESCAPE = (
    r"(?s)\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    r"|u((?![dD][89a-fA-F])[0-9a-fA-F]{4})|(.?))"
)
ESCAPED = {  # the commonest first
    "n": "\n", "/": "/", '"': '"', "r": "\r", "t": "\t", "b": "\b", "f": "\f", "'": "'", "\\": "\\"
}  # fmt: skip


def unescaped(text: str) -> str:
    """The string that is meant; ValueError says which escape means nothing."""
    if "\\" not in text:
        return text
    plain = text
    if "\\\\" not in text:  # then every backslash begins an escape, and C finds them
        for name, meant in ESCAPED.items():
            plain = plain.replace("\\" + name, meant)
            if "\\" not in plain:
                return plain
    return re.sub(ESCAPE, _unescape, text)


def _unescape(match: re.Match[str]) -> str:
    high, low, single, other = match.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    if single:
        return chr(int(single, 16))
    if other in ESCAPED:
        return ESCAPED[other]
    if other == "u":
        shown = match.string[match.start() : match.start() + 6]
        raise ValueError(f"{shown} is not a valid Unicode character")
    raise ValueError("invalid escape sequence in string")
