"""Command lines as GNU getopt_long reads them, which Python's getopt does not do in full.

What Python lacks are optional arguments (3.14 has them), and options that stand before a wrong
one: `qemu-ga -VZ` prints its version and knows nothing of the Z.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Optional

from ..errors import ConfigError

NONE, REQUIRED, OPTIONAL = range(3)


class Option(NamedTuple):
    """`argument` is NONE, REQUIRED or OPTIONAL; two options of one `letter` are the same."""

    letter: str
    name: str
    argument: int = NONE
    help: str = ""


Found = tuple[str, Optional[str]]


def parse(options: Sequence[Option], words: Iterable[str]) -> Iterator[Found]:
    """Yield each option's letter and value, in order; words that are no options are left out.

    Raises ConfigError, in the C library's words, on reaching the first that is wrong.
    """
    left = deque(words)
    while left:
        word = left.popleft()
        if word == "--":
            return
        if word.startswith("--"):
            yield _long(options, word, left)
        elif word.startswith("-") and word != "-":
            yield from _letters(options, word[1:], left)
        elif "POSIXLY_CORRECT" in os.environ:
            return


def _long(options: Sequence[Option], word: str, left: deque[str]) -> Found:
    name, equals, value = word[2:].partition("=")
    option = _named(options, name, word)
    if option.argument == NONE and equals:
        raise ConfigError(f"option '--{option.name}' doesn't allow an argument")
    if option.argument == REQUIRED and not equals:
        if not left:
            raise ConfigError(f"option '--{option.name}' requires an argument")
        return option.letter, left.popleft()
    return option.letter, value if equals else None


def _named(options: Sequence[Option], name: str, word: str) -> Option:
    """The option of that name, or the only one whose name begins so."""
    similar = [option for option in options if option.name.startswith(name)]
    for option in similar:
        if option.name == name:
            return option
    if not similar:
        raise ConfigError(f"unrecognized option '{word}'")
    if len({option.letter for option in similar}) > 1:
        names = " ".join(f"'--{option.name}'" for option in similar)
        raise ConfigError(f"option '{word}' is ambiguous; possibilities: {names}")
    return similar[0]


def _letters(options: Sequence[Option], cluster: str, left: deque[str]) -> Iterator[Found]:
    """`-vFhook` is -v and -F with "hook": what follows a letter that takes one is its value."""
    arguments = {option.letter: option.argument for option in options}
    while cluster:
        letter, cluster = cluster[0], cluster[1:]
        if letter not in arguments:
            raise ConfigError(f"invalid option -- '{letter}'")
        if arguments[letter] == NONE:
            yield letter, None
            continue
        if arguments[letter] == REQUIRED and not cluster:
            if not left:
                raise ConfigError(f"option requires an argument -- '{letter}'")
            cluster = left.popleft()
            yield letter, cluster
        else:
            yield letter, cluster or None
        return
