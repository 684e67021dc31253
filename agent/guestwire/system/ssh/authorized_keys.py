"""The keys that let a user in: all files where sshd looks for them, read and changed as one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import NamedTuple, Optional

from ...errors import CommandError, Unsupported
from ..accounts import Account
from ..home import files
from ..root import Root
from .sshd_config import KeyFile, key_files

logger = logging.getLogger(__name__)

# What a line is: which key, and how it is let in. None for a line that is no key.
Reading = Callable[[str], Optional[tuple[Hashable, Hashable]]]

Wanted = dict[Hashable, tuple[Hashable, str]]  # by key: how it is let in, and its line

_changing = threading.Lock()  # two channels may ask at once; each reads before it writes


class Line(NamedTuple):
    """A line of a user's keys and where it is; `number` counts from 1."""

    path: str
    number: int
    text: str


class Added(NamedTuple):
    """`files` are those that are new on disk, for their SELinux labels."""

    added: int
    present: int
    files: list[str]


class Removed(NamedTuple):
    removed: int
    files: list[str]


class _Text(NamedTuple):
    file: KeyFile
    text: Optional[str]  # None: there is no file


def lines(root: Root, account: Account) -> Iterator[Line]:
    """Every line, in the order in which sshd reads them."""
    for file, text in _load(root, account):
        for number, line in enumerate((text or "").split("\n"), 1):
            yield Line(file.path, number, line)


def missing(root: Root, account: Account) -> Optional[str]:
    """The first place for keys, when no file for keys exists at all."""
    texts = _load(root, account)
    return texts[0].file.path if texts and all(text is None for _, text in texts) else None


def add(
    root: Root, account: Account, given: Sequence[str], reading: Reading, *, reset: bool = False
) -> Added:
    """Add lines that are not there yet to the first file that can be written.

    A key that is there and let in otherwise (with other options) gets the new line in its place,
    since sshd takes the first that fits. With `reset` the user's files have these lines alone.
    All other lines stay byte for byte.
    """
    wanted: Wanted = {}
    for line in given:
        read = reading(line)
        if read is not None:
            wanted.setdefault(read[0], (read[1], line))
    with _changing:
        texts = _own(root, account)
        present = {key for _, text in texts for key in _same(text, wanted, reading)}
        added = len(wanted) - len(present)
        if reset:
            return Added(added, len(present), _reset(root, account, texts, wanted))
        return Added(added, len(present), _merge(root, account, texts, wanted, reading))


def remove(root: Root, account: Account, unwanted: Callable[[str], bool]) -> Removed:
    """Remove lines. A file for all users is not touched, and none is when such a line is in it."""
    with _changing:
        count, changed = 0, []
        for file, text in _load(root, account):
            kept = [line for line in (text or "").split("\n") if not unwanted(line)]
            gone = (text or "").count("\n") + 1 - len(kept)
            if gone and file.shared:
                raise CommandError(f"a key is in {file.path!r}, which is for all users")
            if gone:
                count += gone
                changed.append((file.path, "\n".join(kept)))
        return Removed(count, _store(root, account, changed))


def _load(root: Root, account: Account) -> list[_Text]:
    files = key_files(root, account)
    return [_Text(file, _read(root, account, file)) for file in files]


def _read(root: Root, account: Account, file: KeyFile) -> Optional[str]:
    data = files.read(root, account, file.path)
    return None if data is None else data.decode("utf-8", "surrogateescape")


def _own(root: Root, account: Account) -> list[_Text]:
    texts = [text for text in _load(root, account) if not text.file.shared]
    if not texts:
        raise Unsupported(f"sshd takes keys of {account.name!r} from no file of the user's own")
    return texts


def _same(text: Optional[str], wanted: Wanted, reading: Reading) -> Iterator[Hashable]:
    """The wanted keys that a text has, let in as wanted."""
    for line in (text or "").split("\n"):
        read = reading(line)
        if read is not None and read[0] in wanted and wanted[read[0]][0] == read[1]:
            yield read[0]


def _merge(
    root: Root,
    account: Account,
    texts: list[_Text],
    wanted: Wanted,
    reading: Reading,
) -> list[str]:
    rest = dict(wanted)
    changed: dict[str, str] = {}
    for file, text in texts:
        made = []
        for line in (text or "").split("\n"):
            read = reading(line)
            if read is not None and read[0] in wanted:
                rest.pop(read[0], None)
                how, new = wanted[read[0]]
                line = line if how == read[1] else new
            made.append(line)
        if "\n".join(made) != (text or ""):
            changed[file.path] = "\n".join(made)
    files = _store(root, account, list(changed.items()))
    tail = [line for _, line in rest.values()]
    return files + _append(root, account, texts, changed, tail)


def _append(
    root: Root, account: Account, texts: list[_Text], changed: dict[str, str], tail: list[str]
) -> list[str]:
    """Add lines at the end of the first file that takes them; the first one's error is told."""
    errors: list[Exception] = []
    for file, text in texts:
        if not tail:
            break
        start = changed.get(file.path, text or "")
        start += "\n" * (start != "" and not start.endswith("\n"))
        try:
            return _store(
                root, account, [(file.path, start + "".join(f"{line}\n" for line in tail))]
            )
        except (OSError, CommandError) as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return []


def _reset(
    root: Root,
    account: Account,
    texts: list[_Text],
    wanted: Wanted,
) -> list[str]:
    """The first file has what is wanted, the others nothing."""
    first, *others = texts
    whole = "".join(f"{line}\n" for _, line in wanted.values())
    changed = [(first.file.path, whole)] if first.text != whole else []
    return _store(root, account, changed + [(file.path, "") for file, text in others if text])


def _store(root: Root, account: Account, changed: Sequence[tuple[str, str]]) -> list[str]:
    new = []
    for path, text in changed:
        new += files.write(root, account, path, text.encode("utf-8", "surrogateescape"))
        logger.info("keys of %s written to %s", account.name, path)
    return new
