"""Going to the background, and the pid file that says who is there."""

from __future__ import annotations

import fcntl
import os
from typing import Callable

from ..errors import ConfigError


def detach() -> Callable[[], None]:
    """Go on in a child process; returns there, with what is to be called once all is well.

    The parent waits for that call and ends with 0, or with 1 when the child ends before it.
    Until then the child can still complain on standard error.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(writer)
        os._exit(0 if os.read(reader, 1) else 1)
    os.close(reader)
    os.setsid()
    os.umask(0o077)
    os.chdir("/")
    _discard(0)

    def started() -> None:
        _discard(1, 2)
        os.write(writer, b"x")
        os.close(writer)

    return started


def write_pid(path: str) -> int:
    """Lock the file and write our number into it; it is locked while the descriptor is open.

    Raises ConfigError when another process holds it.
    """
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot create pid file {path}: {error.strerror}") from error
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise ConfigError(f"cannot lock pid file {path}: {error.strerror}") from error
        if _is_still(path, fd):
            break
        os.close(fd)  # its owner removed it between our open and our lock
    os.ftruncate(fd, 0)
    os.write(fd, b"%d\n" % os.getpid())
    return fd


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:  # somebody was quicker
        pass


def _is_still(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _discard(*numbers: int) -> None:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in numbers:
        os.dup2(null, number)
    if null > 2:
        os.close(null)
