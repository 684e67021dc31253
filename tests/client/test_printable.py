"""What a guest said, on a terminal."""

from __future__ import annotations

import pytest

from guestwire.client.printable import printable, printable_output

HOSTILE = {
    "\x1b[2J": r"\x1b[2J",
    "\x1b]52;c;aGk=\x07": r"\x1b]52;c;aGk=\x07",
    "\x9b2J": r"\x9b2J",
    "a\rb": r"a\x0db",
    "a\nb": r"a\x0ab",
    "\u202eabc\u2066": r"\u202eabc\u2066",
    "\u2028": r"\u2028",
    "\U000e0041": r"\U000e0041",
    "\x7f": r"\x7f",
    "\ud800": r"\ud800",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_terminal_acts_upon_is_shown_and_not_done(text):
    assert printable(text) == HOSTILE[text]


@pytest.mark.parametrize("text", ["web1", "Grüße aus Köln", "日本語", "naïve ½ €"])
def test_words_of_any_language_stay(text):
    assert printable(text) == text


def test_output_keeps_its_lines_and_tabs_and_shows_what_is_no_text():
    assert printable_output(b"a\tb\r\nc\x1b[31m\xff\n") == "a\tb\nc\\x1b[31m\\xff\n"
