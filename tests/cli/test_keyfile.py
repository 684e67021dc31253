"""GLib's key files."""

from __future__ import annotations

import pytest

from guestwire.cli import keyfile
from guestwire.errors import ConfigError


def test_groups_and_keys_may_come_twice():
    data = b"[a]\nx=1\ny=2\n[b]\nx=3\n[a]\nx=4\n"
    assert keyfile.parse(data) == {"a": {"x": "4", "y": "2"}, "b": {"x": "3"}}


def test_space_before_a_line_and_around_the_first_equals_sign_is_nothing():
    data = b" # no [\n\t[a] \r\n  x \t= = y \r\n\n"
    assert keyfile.parse(data) == {"a": {"x": "= y "}}


@pytest.mark.parametrize(
    ("data", "line"), [(b"x=1", 1), (b"[a]\nx", 2), (b"\n\n[a\n", 3), (b"[a]\n=1\n", 2)]
)
def test_what_is_wrong_is_named_with_its_line(data, line):
    with pytest.raises(ConfigError, match=f"^line {line}: "):
        keyfile.parse(data)


@pytest.mark.parametrize("text", ["", " ", "\t x", "a\\b\\", "\\s", "a\nb\r", " \n ", "ä", "\\\\n"])
def test_what_is_escaped_is_read_back(text):
    line = f"[a]\nx={keyfile.escape(text)}\n".encode()
    assert keyfile.text(keyfile.parse(line)["a"]["x"]) == text


@pytest.mark.parametrize("value", ["\\", "a\\", "a\\\\\\", "\\q", "a\\;"])
def test_a_backslash_must_escape_something(value):
    with pytest.raises(ConfigError, match="backslash"):
        keyfile.text(value)


def test_a_value_that_is_not_utf_8_is_refused_when_it_is_used():
    value = keyfile.parse(b"[a]\nx=\xff\n")["a"]["x"]
    with pytest.raises(ConfigError, match="UTF-8"):
        keyfile.text(value)


@pytest.mark.parametrize(
    ("value", "is_true"), [("true", True), ("1 ", True), ("false\t", False), ("0", False)]
)
def test_booleans_have_two_spellings(value, is_true):
    assert keyfile.boolean(value) is is_true


@pytest.mark.parametrize("value", ["", "yes", "True", "2", "on"])
def test_other_words_are_no_booleans(value):
    with pytest.raises(ConfigError):
        keyfile.boolean(value)
