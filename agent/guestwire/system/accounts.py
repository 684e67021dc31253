"""Users and groups of the guest, and their passwords.

The files in /etc decide. Users that only the name service knows (LDAP, systemd-homed) are asked
for on a live guest alone: an image cannot answer for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from ..errors import CommandError
from .root import Root
from .run import Run

ID = re.compile(r"[0-9]{1,10}")
OFFLINE_METHODS = ("SHA256", "SHA512", "YESCRYPT")  # what every chpasswd of our age can make


class Account(NamedTuple):
    """A line of passwd(5) without its password field."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


class Group(NamedTuple):
    """A line of group(5). Members by primary group are not in `members`."""

    name: str
    gid: int
    members: tuple[str, ...]


def accounts(root: Root) -> Iterator[Account]:
    """Every user of /etc/passwd; lines that passwd(5) would not call one are passed over."""
    for fields in _lines(root, "/etc/passwd", 7):
        if ID.fullmatch(fields[2]) and ID.fullmatch(fields[3]):
            yield Account(fields[0], int(fields[2]), int(fields[3]), fields[5], fields[6])


def groups(root: Root) -> Iterator[Group]:
    """Every group of /etc/group."""
    for fields in _lines(root, "/etc/group", 4):
        if ID.fullmatch(fields[2]):
            yield Group(fields[0], int(fields[2]), tuple(filter(None, fields[3].split(","))))


def find(root: Root, name: str) -> Optional[Account]:
    """The user of this name, or None when the guest knows none."""
    for account in accounts(root):
        if account.name == name:
            return account
    return _ask_name_service(name) if root.live else None


def groups_of(root: Root, account: Account) -> list[str]:
    """Names of the groups that a user is in, the primary one first when it has a name."""
    known = list(groups(root))
    primary = [group.name for group in known if group.gid == account.gid]
    others = [group.name for group in known if account.name in group.members]
    return list(dict.fromkeys(primary + others))


def set_password(
    root: Root, run: Run, name: str, password: bytes, *, crypted: bool, deadline: float
) -> None:
    """Give a user a password through chpasswd, which reads it from a pipe: argv is public.

    Raises CommandError with what chpasswd said, such as that there is no such user.
    """
    argv = ["chpasswd"]
    if crypted:
        argv.append("-e")
    elif not root.live:
        argv += ["-c", _hash_method(root)]  # in an image there is no PAM to choose it
    if not root.live:
        argv += ["-R", root.top]
    done = run(argv, input=b"%s:%s\n" % (name.encode(), password), deadline=deadline)
    if done.code != 0:
        said = done.text or f"exit status {done.code}"
        raise CommandError(f"child process has failed to set user password: {said}")


def _hash_method(root: Root) -> str:
    for line in root.read_text("/etc/login.defs", missing="").split("\n"):
        words = line.split()
        if len(words) > 1 and words[0] == "ENCRYPT_METHOD" and words[1] in OFFLINE_METHODS:
            return words[1]
    return "SHA512"


def _lines(root: Root, path: str, fields: int) -> Iterator[list[str]]:
    """The records of a file like passwd(5) that have at least so many fields."""
    for line in root.read_text(path, missing="").split("\n"):
        parts = line.split(":")
        if len(parts) >= fields and parts[0] and parts[0][0] not in "#+-":
            yield parts


def _ask_name_service(name: str) -> Optional[Account]:
    import pwd

    try:
        found = pwd.getpwnam(name)
    except (KeyError, ValueError):  # ValueError: a NUL, or what no C string can hold
        return None
    return Account(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir, found.pw_shell)
