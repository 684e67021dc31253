"""A file that comes in piece by piece: a part beside its target, which replaces it when whole."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from typing import Optional

from ...errors import CommandError
from ..root import Root, dress, sync_directory
from .digest import Digest

SUFFIX = ".guestwire-part"
LONGEST = 255  # bytes of a name (NAME_MAX)
CHUNK = 1 << 18


class Part:
    """Nobody but us may read it, and one copy at a time writes it.

    Its name follows from the target's, so that a copy that was cut off can go on: with `resume`
    what an earlier one left is kept, and `size` is where to go on. Everything raises OSError
    with the target's path.
    """

    def __init__(self, root: Root, path: str, resume: bool) -> None:
        self._path = path
        self._target = _target(root, path)
        self._directory, name = os.path.split(self._target)
        self._temporary = os.path.join(self._directory, _part_name(name))
        try:
            self._fd = self._open(resume)
        except OSError as error:
            raise self._named(error) from error
        self.size = os.lseek(self._fd, 0, os.SEEK_END)

    def read_into(self, digest: Digest) -> None:
        """What is there already."""
        at = 0
        while data := os.pread(self._fd, CHUNK, at):
            digest.update(data)
            at += len(data)

    def begin_anew(self) -> None:
        """What is there is of no use."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.size = 0

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            raise self._named(error) from error
        self.size += len(data)

    def finish(
        self,
        mode: Optional[int],
        owner: Optional[tuple[int, int]],
        mtime: Optional[int],
    ) -> None:
        """Give it its mode, owner and mtime in nanoseconds, then its name, for good.

        What is not asked for stays as the file that it replaces has it.
        """
        try:
            dress(self._fd, self._target, mode, owner)
            if mtime is not None:
                os.utime(self._fd, ns=(mtime, mtime))
            os.fsync(self._fd)
            os.rename(self._temporary, self._target)
            sync_directory(self._directory)
        except OSError as error:
            raise self._named(error) from error
        self._close()

    def keep(self) -> None:
        """Leave it for a copy that goes on with it."""
        self._close()

    def remove(self) -> None:
        """Nothing is left of it; nothing happens after `finish` and `keep`."""
        if self._fd >= 0:
            os.unlink(self._temporary)
            self._close()

    def _close(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def _open(self, resume: bool) -> int:
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                fd = os.open(self._temporary, flags, 0o600)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENXIO):
                    raise
                os.unlink(self._temporary)
                continue
            try:
                if self._is_ours(fd):
                    if not resume:
                        os.ftruncate(fd, 0)
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _is_ours(self, fd: int) -> bool:
        """Whether nobody else can change it; what others put there is taken away."""
        here = os.fstat(fd)
        others = not stat.S_ISREG(here.st_mode) or here.st_uid != os.geteuid()
        if others or here.st_nlink > 1 or stat.S_IMODE(here.st_mode) & 0o077:
            os.unlink(self._temporary)
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(f"{self._path}: another copy writes it") from error
        try:  # the copy before this one may have finished between our open and our lock
            return os.path.samestat(os.fstat(fd), os.stat(self._temporary, follow_symlinks=False))
        except FileNotFoundError:
            return False

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, self._path)


def _target(root: Root, path: str) -> str:
    """Where the file will be; a symbolic link is followed, and its target replaced."""
    real = root.path(path)
    if root.live and os.path.islink(real):
        real = os.path.realpath(real)
    try:
        mode = os.stat(real).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode) or path.endswith("/"):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise CommandError(f"{path}: is a device, a socket or a FIFO, and no file")
    return real


def _part_name(name: str) -> str:
    """A long name is cut, and told from others with the same beginning by its digest."""
    whole = os.fsencode(f".{name}{SUFFIX}")
    if len(whole) <= LONGEST:
        return f".{name}{SUFFIX}"
    short = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return os.fsdecode(os.fsencode(f".{name}")[:200]) + f".{short}{SUFFIX}"
