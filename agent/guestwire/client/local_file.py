"""A file of the host that comes from a guest: whole, or not there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, Optional, Union


class Arriving:
    """`file` is written to. `mode` is what it gets in the end; None is that of any new file."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.mode: Optional[int] = None


@contextlib.contextmanager
def arriving(target: Union[str, os.PathLike[str]], resume: bool = False) -> Iterator[Arriving]:
    """A file to write to; it takes the target's name when the block ends without an error.

    Until then nobody else may read it. With `resume` it has a name that follows from the
    target's, and outlives an error unless it is empty: the next time, writing goes on at its end.
    An OSError names the target.
    """
    try:
        with _in_place_of(target, resume) as new:
            yield new
    except OSError as error:
        error.filename = os.fspath(target)  # not the temporary file's name, nor none
        raise


@contextlib.contextmanager
def _in_place_of(target: Union[str, os.PathLike[str]], resume: bool) -> Iterator[Arriving]:
    real = os.path.realpath(target)
    directory, name = os.path.split(real)
    if resume:
        fd, temporary = _part(os.path.join(directory, f".{name[:200]}.guestwire-part"))
    else:
        fd, temporary = tempfile.mkstemp(prefix=f".{name[:200]}.", dir=directory)
    keep = False
    try:
        with open(fd, "r+b") as file:
            file.seek(0, os.SEEK_END)
            try:
                new = Arriving(file)
                yield new
                file.flush()
            finally:
                keep = resume and os.fstat(fd).st_size > 0
            os.fchmod(fd, 0o666 & ~_umask() if new.mode is None else new.mode & 0o777)
            os.fsync(fd)
        os.rename(temporary, real)
    except BaseException:
        if not keep:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise


def _part(path: str) -> tuple[int, str]:
    """Open it for ourselves alone. What others put there is taken away, and never written to."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        if os.path.islink(path):
            os.unlink(path)
        fd = os.open(path, flags, 0o600)
        try:
            _lock(fd, path)
            here = os.fstat(fd)
            there = os.stat(path, follow_symlinks=False)  # another copy may just have finished
            ours = stat.S_ISREG(here.st_mode) and here.st_uid == os.geteuid()
            if os.path.samestat(here, there):
                if ours and here.st_nlink == 1 and not here.st_mode & 0o077:
                    return fd, path
                os.unlink(path)
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _lock(fd: int, path: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(error.errno, "another copy writes it", path) from error


def _umask() -> int:
    """The kernel tells it only to who sets it; /proc does not disturb other threads."""
    with contextlib.suppress(OSError):
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    return 0o077
