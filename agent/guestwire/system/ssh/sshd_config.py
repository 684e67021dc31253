"""sshd's configuration, as far as it says where the keys of a user are (sshd_config(5)).

It is read here, not asked of `sshd -T`: that needs host keys and a live guest. Of the criteria of
a Match line, User, Group and all are decided; the others are about a connection that there is not,
so their block does not apply.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

from ...errors import CommandError
from ..accounts import Account, groups_of
from ..root import Root

CONFIGS = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config")  # the latter is SUSE's, of vendor
DIRECTORY = "/etc/ssh"  # where Include starts from, whichever file it is in
DEFAULT = (".ssh/authorized_keys", ".ssh/authorized_keys2")
DEPTH = 16  # of Include, as in sshd
KEYWORD = re.compile(r'\s*"?(\w+)"?(?:\s*=\s*|\s+)(.*)', re.DOTALL)
# A word is made of pieces: "quoted", 'quoted', an escaped quote or space, any other character.
PIECE = re.compile(
    r"""
    "((?:[^"\\]|\\.)*)(?:"|$) | '((?:[^'\\]|\\.)*)(?:'|$) | \\(["'\\ ]) | ([^ \t])
    """,
    re.VERBOSE | re.DOTALL,
)
WORD = re.compile(rf"(?:{PIECE.pattern})+", re.VERBOSE | re.DOTALL)
TOKEN = re.compile(r"%(.?)", re.DOTALL)


class KeyFile(NamedTuple):
    """A file where sshd looks for a user's keys. `shared`: for every user, so not to be changed."""

    path: str
    shared: bool


class _Place(NamedTuple):
    """Where in the configuration a line is: does it apply, and is it in a Match block?"""

    applies: bool = True
    conditional: bool = False


def key_files(root: Root, account: Account) -> list[KeyFile]:
    """The files of AuthorizedKeysFile for a user, in sshd's order; none when it says `none`.

    Raises CommandError when it has a token that sshd would not take.
    """
    values = _value(root, account, "authorizedkeysfile", DEFAULT)
    if [value.lower() for value in values] == ["none"]:
        return []
    return [_expand(value, account) for value in values]


def _expand(pattern: str, account: Account) -> KeyFile:
    """Tokens replaced; a path that is not absolute starts at the user's home."""
    tokens = {"%": "%", "h": account.home, "u": account.name, "U": str(account.uid)}

    def replacement(match: re.Match[str]) -> str:
        if match.group(1) not in tokens:
            raise CommandError(f"AuthorizedKeysFile {pattern!r} has a token that is not known")
        return tokens[match.group(1)]

    own = any(token in "huU" for token in TOKEN.findall(pattern) if token)
    path = TOKEN.sub(replacement, pattern)
    if path.startswith("/"):
        return KeyFile(path, not own)
    return KeyFile(f"{account.home.rstrip('/')}/{path}", False)


def _value(root: Root, account: Account, keyword: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """What counts is the first of the Match blocks that apply, or else the first of all."""
    first: dict[bool, tuple[str, ...]] = {}
    config = next((path for path in CONFIGS if root.exists(path)), "")
    for name, values, place in _Reader(root, account).lines(config, _Place()):
        if name == keyword and values and place.applies:
            first.setdefault(place.conditional, tuple(values))
    return first.get(True) or first.get(False) or default


class _Reader:
    """Reads files and what they include. A file that was read in such a place before has had its
    say, so files which include each other come to an end."""

    def __init__(self, root: Root, account: Account) -> None:
        self._root = root
        self._account = account
        self._read: set[tuple[str, _Place]] = set()

    def lines(
        self, path: str, outer: _Place, depth: int = 0
    ) -> Iterator[tuple[str, list[str], _Place]]:
        """Keyword (in lower case), words and place of each line, an included file's in its place.

        A Match block ends with its file, as in sshd.
        """
        if (path, outer) in self._read or depth > DEPTH:
            return
        self._read.add((path, outer))
        place = outer
        for keyword, words in _statements(self._root, path):
            if keyword == "match":
                applies = outer.applies and _matches(self._root, self._account, words)
                place = _Place(applies, conditional=True)
            elif keyword == "include":
                for pattern in words:
                    for included in self._root.glob(posixpath.join(DIRECTORY, pattern)):
                        yield from self.lines(included, place, depth + 1)
            else:
                yield keyword, words, place


def _statements(root: Root, path: str) -> Iterator[tuple[str, list[str]]]:
    try:
        text = root.read_text(path) if path else ""
    except OSError:
        return  # sshd would not start at all; there are no users to ask for then
    for line in text.split("\n"):
        match = KEYWORD.match(line)
        if match is not None and "\0" not in line:
            yield match.group(1).lower(), _words(match.group(2).rstrip())


def _matches(root: Root, account: Account, criteria: list[str]) -> bool:
    """Are all criteria of a Match line true of a user, whatever the connection?"""
    rest = [part for word in criteria for part in _split_criterion(word)]
    while rest:
        criterion = rest.pop(0).lower()
        if criterion == "all":
            continue
        if not rest or criterion not in ("user", "group"):
            return False
        patterns = rest.pop(0).split(",")
        names = [account.name] if criterion == "user" else groups_of(root, account)
        if not _any_listed(names, patterns):
            return False
    return True


def _split_criterion(word: str) -> list[str]:
    """`user=ann` is two words, too (OpenSSH 9.9); a name cannot have an equals sign."""
    return [part for part in word.split("=", 1) if part]


def _any_listed(names: list[str], patterns: list[str]) -> bool:
    """A name is listed, and no name is listed with a `!` in front."""
    refused = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    return any(_fits(name, wanted) for name in names) and not any(
        _fits(name, refused) for name in names
    )


def _fits(name: str, patterns: list[str]) -> bool:
    """sshd's patterns know `*` and `?` alone, so a bracket is one."""
    return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)


def _words(text: str) -> list[str]:
    """Words as sshd splits them: quotes of both kinds, and `#` at a word's start is a comment."""
    words: list[str] = []
    for match in WORD.finditer(text):
        if match.group().startswith("#"):
            break
        words.append(PIECE.sub(_plain, match.group()))
    return words


def _plain(piece: re.Match[str]) -> str:
    double, single, escaped, other = piece.groups()
    quoted = double if double is not None else single
    return escaped or other or re.sub(r"""\\(["'\\])""", r"\1", quoted)
