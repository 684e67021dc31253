from __future__ import annotations

import base64
import os

import pytest

from guestwire.errors import InvalidArgument
from guestwire.system import base64_text

# What qemu-ga 7.2 wrote into a file for each of these.
AS_QEMU_GA = [
    ("", b""),
    ("aGk=", b"hi"),
    ("aGk", b""),
    ("a", b""),
    ("aGk=\n", b"hi"),
    ("aG\nk=", b"hi"),
    ("aGk=a", b"hi"),
    ("aGk=aGk=", b"hihi"),
    ("a===", b"h"),
    ("====", b"\0"),
    ("ab=c", b"i\x1c"),
    ("=aGk", b"\x01\xa1\xa4"),
    ("\n\n", b""),
]


@pytest.mark.parametrize(("text", "data"), AS_QEMU_GA)
def test_odd_padding_and_newlines_mean_what_they_mean_to_qemu_ga(text, data):
    assert base64_text.decode(text) == data


@pytest.mark.parametrize(
    "text", ["YWFh!", "YW Fh", "YWFh\r\n", "\u00e9AAA", "\ud800AAA", "A\0==", "YW-_", "!!!!"]
)
def test_other_characters_are_refused(text):
    with pytest.raises(InvalidArgument, match=r"^Base64 data contains invalid characters$"):
        base64_text.decode(text)


@pytest.mark.parametrize("size", [*range(8), 57, 58, 1000, 100_001])
def test_bytes_of_any_length_come_back_in_one_line_and_in_many(size):
    data = os.urandom(size)
    text = base64.b64encode(data).decode()
    assert base64_text.decode(text) == data
    assert base64_text.decode(base64.encodebytes(data).decode()) == data


@pytest.mark.parametrize("stray", "! -_\r\0")
def test_one_stray_character_is_found_wherever_it_stands(stray):
    text = base64.b64encode(bytes(9)).decode() + "AA=="
    for at in range(len(text)):
        for spoilt in (text[:at] + stray + text[at:], text[:at] + stray + text[at + 1 :]):
            with pytest.raises(InvalidArgument):
                base64_text.decode(spoilt)
