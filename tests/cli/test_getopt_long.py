"""GNU's reading of a command line."""

from __future__ import annotations

import pytest

from guestwire.cli.getopt_long import NONE, OPTIONAL, REQUIRED, Option, parse
from guestwire.errors import ConfigError

TABLE = (
    Option("v", "verbose", NONE),
    Option("V", "version", NONE),
    Option("p", "path", REQUIRED),
    Option("F", "hook", OPTIONAL),
    Option("b", "block", REQUIRED),
    Option("b", "blacklist", REQUIRED),
)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", []),
        ("-v", [("v", None)]),
        ("-vV", [("v", None), ("V", None)]),
        ("-p x", [("p", "x")]),
        ("-px", [("p", "x")]),
        ("-p=x", [("p", "=x")]),
        ("-p -v", [("p", "-v")]),
        ("-p --", [("p", "--")]),
        ("-vpx", [("v", None), ("p", "x")]),
        ("-vp x", [("v", None), ("p", "x")]),
        ("-F x", [("F", None)]),
        ("-Fx", [("F", "x")]),
        ("-vFv", [("v", None), ("F", "v")]),
        ("--hook x", [("F", None)]),
        ("--hook=x", [("F", "x")]),
        ("--hook=", [("F", "")]),
        ("--path=x", [("p", "x")]),
        ("--path x", [("p", "x")]),
        ("--path=x=y", [("p", "x=y")]),
        ("--path=", [("p", "")]),
        ("--pa x", [("p", "x")]),
        ("--verb", [("v", None)]),
        ("--bl x", [("b", "x")]),
        ("x -v y", [("v", None)]),
        ("- -v", [("v", None)]),
        ("-- -v", []),
    ],
)
def test_options_are_found_as_gnu_finds_them(line, found):
    assert list(parse(TABLE, line.split())) == found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--nope=1", "unrecognized option '--nope=1'"),
        ("--ver=1", "option '--ver=1' is ambiguous; possibilities: '--verbose' '--version'"),
        ("--verbose=1", "option '--verbose' doesn't allow an argument"),
        ("--pa", "option '--path' requires an argument"),
        ("-p", "option requires an argument -- 'p'"),
        ("-v=", "invalid option -- '='"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_the_c_library(line, words):
    with pytest.raises(ConfigError) as caught:
        list(parse(TABLE, line.split()))
    assert str(caught.value) == words


def test_what_stands_before_a_wrong_option_is_found():
    found = parse(TABLE, ["-vZ"])
    assert next(found) == ("v", None)
    with pytest.raises(ConfigError, match="'Z'"):
        next(found)


def test_posix_wants_options_first(monkeypatch):
    monkeypatch.setenv("POSIXLY_CORRECT", "1")
    assert list(parse(TABLE, ["-v", "x", "-V"])) == [("v", None)]
