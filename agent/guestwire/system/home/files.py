"""A user's files, read and written for the user: theirs in owner and mode, and nobody else's."""

from __future__ import annotations

import os
import stat
from typing import Optional

from ...errors import CommandError
from ..accounts import Account
from ..root import Root
from .walk import Found, Walk, naming, sync, trusted

LIMIT = 1 << 20  # bytes of a file; a user could have us read a sparse one without end


def read(root: Root, account: Account, path: str) -> Optional[bytes]:
    """What is in a user's file, or None when it, or a directory on the way to it, does not exist.

    Raises CommandError when the user could not have read it, and when it is too large or no file.
    """
    try:
        with Walk(root, account, create=False) as walk:
            found = walk.to(path)
            with naming(found.path):
                return None if found.status is None else _read(found, account)
    except FileNotFoundError:
        return None


def write(root: Root, account: Account, path: str, data: bytes) -> list[str]:
    """Replace or create a user's file, whole or not at all; returns the paths that are new.

    Directories missing below the home are made, 0700, and a new file is 0600, both the user's.
    In a directory of root's a file keeps its owner and mode; a new one is root's, 0644 as sshd
    needs it there. Raises CommandError when the user could lead us astray.
    """
    with Walk(root, account, create=True) as walk:
        found = walk.to(path)
        if found.status is not None and not stat.S_ISREG(found.status.st_mode):
            raise CommandError(f"{found.path!r} is not a file")
        with naming(found.path):
            _replace(found, account, data)
        return [*walk.made, found.path]


def _read(found: Found, account: Account) -> bytes:
    """O_NONBLOCK: a FIFO in the place of the file must not keep us waiting."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(found.name, flags, dir_fd=found.directory.fd)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise CommandError(f"{found.path!r} is not a file")
        if not _may_read(status, account, found.directory.theirs):
            whose = f"uid {status.st_uid}, and {account.name!r} may not read it"
            raise CommandError(f"{found.path!r} belongs to {whose}")
        data = bytearray()
        while len(data) <= LIMIT:
            piece = os.read(fd, LIMIT + 1 - len(data))
            if not piece:
                return bytes(data)
            data += piece
        raise CommandError(f"{found.path!r} is larger than {LIMIT} bytes")
    finally:
        os.close(fd)


def _may_read(status: os.stat_result, account: Account, theirs: bool) -> bool:
    """A file of another may be a hard link that the user made, to have its text copied."""
    if status.st_uid == account.uid:
        return True
    if not theirs:
        return status.st_uid in trusted()
    group = 0o040 if status.st_gid == account.gid else 0
    return bool(status.st_mode & (0o004 | group))


def _replace(found: Found, account: Account, data: bytes) -> None:
    directory = found.directory.fd
    temporary = f".{found.name[:200]}.guestwire-new"
    _unlink(temporary, directory)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        try:
            uid, gid, mode = _dress(found, account)
            if (uid, gid) != (os.geteuid(), os.getegid()):
                os.fchown(fd, uid, gid)
            os.fchmod(fd, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, found.name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        _unlink(temporary, directory)
        raise
    sync(directory)


def _dress(found: Found, account: Account) -> tuple[int, int, int]:
    """Owner, group and mode. sshd takes no file that others may write to."""
    status = found.status
    if found.directory.theirs:
        mode = 0o600 if status is None else stat.S_IMODE(status.st_mode) & 0o755
        return account.uid, account.gid, mode
    if status is not None:
        return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode) & 0o755
    if account.uid in trusted():
        return account.uid, account.gid, 0o600
    return os.geteuid(), os.getegid(), 0o644


def _unlink(name: str, fd: int) -> None:
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        pass
