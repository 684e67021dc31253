"""Who is logged in: utmp, or where distributions have given that up, systemd-logind's sessions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from .root import Root

UTMP = "/run/utmp"
SESSIONS = "/run/systemd/sessions"
USER_PROCESS = 7
USER_CLASSES = ("user", "user-early", "user-light")  # others: greeter, lock-screen, manager ...

# glibc's struct utmpx: type, pid, line, id, user, host, exit, session, seconds, microseconds,
# address, unused. Most 64-bit machines keep the 32-bit times of their 32-bit ancestors.
SHORT_TIMES = Struct("=h2xi32s4s32s256s4siIi16s20s")
LONG_TIMES = Struct("=h2xi32s4s32s256s4sqqq16s20s4x")
LONG_TIMES_MACHINES = ("aarch64", "s390x", "alpha")


class Login(NamedTuple):
    """`since` is in seconds of the epoch, to the microsecond."""

    user: str
    since: float


def logins(root: Root) -> list[Login]:
    """One entry a login, in the order of the records."""
    try:
        data = root.read_bytes(UTMP)
    except FileNotFoundError:
        return list(_from_sessions(root))
    return list(parse_utmp(data, os.uname().machine))


def parse_utmp(data: bytes, machine: str) -> Iterator[Login]:
    layout = LONG_TIMES if machine in LONG_TIMES_MACHINES else SHORT_TIMES
    whole = len(data) - len(data) % layout.size
    for record in layout.iter_unpack(data[:whole]):
        kind, _, _, _, user, _, _, _, seconds, microseconds, _, _ = record
        if kind == USER_PROCESS:
            yield Login(_text(user), seconds + microseconds / 1e6)


def _from_sessions(root: Root) -> Iterator[Login]:
    """Each file is one session, as KEY=value lines; see sd_session_get_class(3)."""
    for name in root.names(SESSIONS):
        if "." in name:  # 3.ref is a FIFO, .#3... a file that is being written
            continue
        values = _values(root, f"{SESSIONS}/{name}")
        since = values.get("REALTIME", "")
        if values.get("CLASS") in USER_CLASSES and values.get("STATE") != "closing":
            yield Login(values.get("USER", ""), int(since) / 1e6 if since.isdecimal() else 0.0)


def _values(root: Root, path: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in root.read_text(path, missing="").split("\n"))
    return {key: value for key, _, value in pairs}


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")
