"""SSH keys: who may log in as a user. The guest-ssh commands, and our own, which know keys."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Optional

from ..dispatch.command import Context
from ..errors import CommandError, InvalidArgument
from ..system import selinux
from ..system.accounts import Account, find
from ..system.ssh import authorized_keys, key_lines


def qga_get(context: Context, username: str) -> dict[str, list[str]]:
    """The lines that are keys, or may be, in the order of the file."""
    account = _qga_account(context, username)
    missing = authorized_keys.missing(context.root, account)
    if missing is not None:
        raise CommandError(
            f"failed to read '{missing}': Failed to open file \u201c{missing}\u201d: "
            "No such file or directory"
        )
    found = (line.text.strip() for line in authorized_keys.lines(context.root, account))
    return {"keys": [_shown(line) for line in found if _exact(line)]}


def qga_add(
    context: Context, username: str, keys: list[str], reset: Optional[bool] = None
) -> dict[str, object]:
    _check_loosely(keys)
    account = _qga_account(context, username)
    given = [key.strip() for key in keys]
    done = authorized_keys.add(context.root, account, given, _exact, reset=bool(reset))
    _relabel(context, done.files)
    return {}


def qga_remove(context: Context, username: str, keys: list[str]) -> dict[str, object]:
    _check_loosely(keys)
    account = _qga_account(context, username)
    unwanted = {key.strip() for key in keys} - {""}
    done = authorized_keys.remove(context.root, account, lambda line: line.strip() in unwanted)
    _relabel(context, done.files)
    return {}


def list_keys(context: Context, user: str) -> dict[str, list[dict[str, object]]]:
    """The keys that sshd would take, in its order; lines that it passes over are not among them."""
    found: list[dict[str, object]] = []
    for line in authorized_keys.lines(context.root, _account(context, user)):
        key = key_lines.find(line.text)
        if key is not None:
            found.append(
                {
                    "type": key.type,
                    "fingerprint": key_lines.fingerprint(key),
                    "comment": _shown(key.comment),
                    "options": [_shown(option) for option in key.options],
                    "file": line.path,
                    "line": line.number,
                }
            )
    return {"keys": found}


def add_keys(context: Context, user: str, keys: list[str], reset: bool = False) -> dict[str, int]:
    """Let keys in; one that is there with other options is let in as this line says from now on."""
    for index, line in enumerate(keys):
        _check(index, line)
    account = _account(context, user)
    lines = [line.strip() for line in keys]
    done = authorized_keys.add(context.root, account, lines, _identity, reset=reset)
    _relabel(context, done.files)
    return {"added": done.added, "present": done.present}


def remove_keys(context: Context, user: str, keys: list[str]) -> dict[str, int]:
    """Keep keys out, given as lines or as SHA256 fingerprints, whatever their lines say besides."""
    prints = {_fingerprint(index, line) for index, line in enumerate(keys)}
    account = _account(context, user)

    def unwanted(line: str) -> bool:
        key = key_lines.find(line)
        return key is not None and key_lines.fingerprint(key) in prints

    done = authorized_keys.remove(context.root, account, unwanted)
    _relabel(context, done.files)
    return {"removed": done.removed}


def _shown(text: str) -> str:
    """Text of a file for the host, whose JSON holds no bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _exact(line: str) -> Optional[tuple[Hashable, Hashable]]:
    """qemu-ga's reading: a key is its whole line."""
    text = line.strip()
    return (text, None) if text and not text.startswith("#") else None


def _identity(line: str) -> Optional[tuple[Hashable, Hashable]]:
    """sshd's reading: a key is what it proves, its options how it is let in; comments are not."""
    key = key_lines.find(line)
    return None if key is None else (key.identity, key.options)


def _check_loosely(keys: list[str]) -> None:
    """What qemu-ga refuses, since hosts send what it takes: virsh an empty line after the last
    key of a file, others types of keys that this guest's sshd may know and we do not."""
    for key in keys:
        if key.strip().startswith("#") or not key_lines.is_one_line(key.strip()):
            raise InvalidArgument(f"invalid OpenSSH public key: '{key}'")


def _check(index: int, line: str) -> key_lines.Key:
    try:
        return key_lines.accept(line)
    except InvalidArgument as error:
        raise InvalidArgument(f"keys[{index}] is no public key: {error}") from error


def _fingerprint(index: int, text: str) -> str:
    if re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}", text.strip()):
        return text.strip()
    try:
        return key_lines.fingerprint(key_lines.parse(text))
    except InvalidArgument as error:
        raise InvalidArgument(
            f"keys[{index}] is neither a public key nor a SHA256 fingerprint: {error}"
        ) from error


def _account(context: Context, name: str) -> Account:
    account = find(context.root, name)
    if account is None:
        raise CommandError(f"no user is named {name!r}")
    return account


def _qga_account(context: Context, name: str) -> Account:
    account = find(context.root, name)
    if account is None:
        raise CommandError(f"failed to lookup user '{name}': Success")  # sic, and known to hosts
    return account


def _relabel(context: Context, paths: list[str]) -> None:
    selinux.relabel(context.root, context.run, paths, context.deadline)
