"""The language of /etc/network/interfaces (interfaces(5)), as far as finding an interface's part.

Two stanzas for one interface are not an error to ifupdown: it applies both. So what others wrote
for an interface has to go before ours can count, and it goes by being commented out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

from ..root import Root

MAIN = "/etc/network/interfaces"
MARK = "# guestwire: "
TAKEN_FROM_DIRECTORY = re.compile(r"[A-Za-z0-9_-]+")
# `allow-` is followed by any class; the words begin a stanza and end the one before.
LISTS = re.compile(r"auto|allow-\S+|no-auto-down|no-scripts")
OTHER_STARTS = re.compile(r"mapping|source|source-directory|template|rename")
MAX_FILES = 200  # a file may source itself


def files(root: Root) -> dict[str, str]:
    """The text of each file that ifupdown reads, by path; empty when there is no main file."""
    found: dict[str, str] = {}
    todo = [MAIN]
    while todo and len(found) < MAX_FILES:
        path = todo.pop(0)
        if path in found or not root.exists(path) or root.is_directory(path):
            continue
        found[path] = root.read_text(path)
        todo += [one for pattern in sources(path, found[path]) for one in _taken(root, pattern)]
    return found


def sources(path: str, text: str) -> Iterator[str]:
    """Patterns of the files that a file sources; one that ends in / is a directory."""
    directory = path.rpartition("/")[0]
    for words, _ in _logical_lines(text):
        for pattern in words[1:]:
            pattern = pattern if pattern.startswith("/") else f"{directory}/{pattern}"
            if words[0] == "source":
                yield pattern
            elif words[0] == "source-directory":
                yield pattern.rstrip("/") + "/"


def reads(read: dict[str, str], path: str) -> bool:
    """Whether ifupdown, which reads these files, would read one at `path`."""
    patterns = [pattern for at, text in read.items() for pattern in sources(at, text)]
    directory, _, name = path.rpartition("/")
    return any(
        pattern == f"{directory}/" and bool(TAKEN_FROM_DIRECTORY.fullmatch(name))
        if pattern.endswith("/")
        else fnmatchcase(path, pattern)
        for pattern in patterns
    )


def mentions(text: str, name: str) -> bool:
    """Whether a file has a stanza for an interface or for an alias of it."""
    return any(_is_stanza_of(words, (name,)) for words, _ in _logical_lines(text))


def without(text: str, names: Collection[str]) -> str:
    """The text with all that it says of these interfaces commented out."""
    lines = [line + "\n" for line in text.splitlines()]
    disabling = False
    for words, span in _logical_lines(text):
        left = words
        if LISTS.fullmatch(words[0]):
            disabling = False
            left = [word for word in words if not _is_one_of(word, names)]
        elif words[0] == "iface" or OTHER_STARTS.fullmatch(words[0]):
            disabling = _is_stanza_of(words, names)
        if disabling or len(left) < len(words):
            for number in span:
                lines[number] = MARK + lines[number]
            if len(left) > 1 and not disabling:
                lines[span[-1]] += " ".join(left) + "\n"
    changed = "".join(lines)
    return text if changed.rstrip("\n") == text.rstrip("\n") else changed


def _taken(root: Root, pattern: str) -> Iterator[str]:
    if not pattern.endswith("/"):
        yield from root.glob(pattern)
        return
    for name in root.names(pattern):
        if TAKEN_FROM_DIRECTORY.fullmatch(name):
            yield pattern + name


def _logical_lines(text: str) -> Iterator[tuple[list[str], range]]:
    """Words of each line that says something, and the lines it takes: `\\` continues one."""
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        first = number
        line = lines[number].strip()
        while line.endswith("\\") and not line.startswith("#") and number + 1 < len(lines):
            number += 1
            line = line[:-1] + " " + lines[number].strip()
        number += 1
        words = line.rstrip("\\").split()
        if words and not line.startswith("#"):
            yield words, range(first, number)


def _is_stanza_of(words: list[str], names: Collection[str]) -> bool:
    if words[0] == "mapping":  # would give the interface another name, and so another stanza
        return len(words) == 2 and words[1] in names
    return words[0] == "iface" and len(words) > 1 and _is_one_of(words[1], names)


def _is_one_of(word: str, names: Collection[str]) -> bool:
    """An alias such as eth0:1 is an address of eth0 in another place."""
    return word in names or word.partition(":")[0] in names
