from __future__ import annotations

import base64
import itertools
import os
import tracemalloc

import pytest

from guestwire.errors import InvalidArgument
from guestwire.system.files import base64_text

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


def test_a_long_text_in_lines_is_decoded_without_many_copies_of_it():
    text = base64.encodebytes(bytes(6 << 20)).decode()
    tracemalloc.start()
    try:
        assert base64_text.decode(text) == bytes(6 << 20)
        assert tracemalloc.get_traced_memory()[1] < 3 * (6 << 20)
    finally:
        tracemalloc.stop()


def test_padding_in_the_middle_of_a_long_text_means_the_same_as_in_a_short_one():
    assert base64_text.decode("aGk=\n" * 50_000) == b"hi" * 50_000


def test_a_stray_character_at_the_end_of_a_long_text_is_found():
    with pytest.raises(InvalidArgument):
        base64_text.decode(base64.encodebytes(bytes(1 << 20)).decode() + "!")


def one_by_one(text):
    """GLib's rule, a character at a time."""
    out, group = bytearray(), ""
    for character in text.replace("\n", ""):
        group += character
        if len(group) == 4:
            value = base64.b64decode(group.replace("=", "A"))
            out += value[:1] + value[1:2] * (group[2] != "=") + value[2:] * (group[3] != "=")
            group = ""
    return bytes(out)


def test_every_short_text_means_what_glib_would_read():
    for length in range(9):
        for characters in itertools.product("aZ=\n"[: 4 if length < 7 else 3], repeat=length):
            text = "".join(characters)
            assert base64_text.decode(text) == one_by_one(text), repr(text)


@pytest.mark.parametrize("gap", range(8))
def test_where_a_long_text_is_cut_into_pieces_does_not_matter(gap):
    text = "A" * gap + "aGk=\nTWFu" * (base64_text.PIECE // 3)
    assert base64_text.decode(text) == one_by_one(text)
