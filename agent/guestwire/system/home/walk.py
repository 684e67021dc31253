"""The way to a user's file, on which the user cannot lead root elsewhere.

The agent is root, and a home directory is its user's: a link put in the place of ~/.ssh at the
right moment must not make root write below /root. So a path is walked one directory at a time,
each opened below the one before without following links, and asked for its owner once it is
held: what its name means after that no longer matters. Nothing is given to the user that root
did not make in a place where only root could.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Optional

from ...errors import CommandError
from ..accounts import Account
from ..root import MAX_LINKS, Root

HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
STAGING = ".guestwire-new"  # not random: what a power cut left behind is taken up again


class Held(NamedTuple):
    """A directory held open; `theirs` when the user owns it, or one above it."""

    fd: int
    path: str
    theirs: bool


class Found(NamedTuple):
    """The end of a walk: a name in a directory, and what it names, None when it is still free."""

    directory: Held
    name: str
    status: Optional[os.stat_result]

    @property
    def path(self) -> str:
        return _below(self.directory, self.name)


class Walk:
    """The directories from the guest's top to where we are, all held open until the end."""

    def __init__(self, root: Root, account: Account, *, create: bool) -> None:
        self._account = account
        self._create = create
        self._trusted = trusted()
        self._fds: list[int] = []
        self._held = [Held(os.open(root.top, HOLD), "/", False)]
        self._fds.append(self._held[0].fd)
        self.made: list[str] = []

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def to(self, path: str) -> Found:
        """Walk to a file. Only below the user's home are directories made."""
        if "\0" in path or not path.startswith("/"):
            raise CommandError(f"{path!r} is not an absolute path")
        home = self._account.home.rstrip("/")
        rest = path
        if home and path.startswith(home + "/"):
            self._enter_home(home)
            rest = path[len(home) + 1 :]
        found = self._follow(rest, make=self._create and rest != path)
        if found is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return found

    def _enter_home(self, home: str) -> None:
        try:
            self._follow(home, enter=True)
        except FileNotFoundError as error:
            if not self._create:
                raise
            name = self._account.name
            raise CommandError(f"the home directory of {name!r} does not exist: {home}") from error

    def _follow(self, path: str, *, make: bool = False, enter: bool = False) -> Optional[Found]:
        """Walk on. None when the path ends in a directory, which it must with `enter`."""
        todo = self._parts(path)
        links = 0
        while todo:
            name = todo.pop()
            if name == "..":
                del self._held[max(1, len(self._held) - 1) :]
                continue
            here, last = self._held[-1], not todo and not enter
            fd = self._hold(here, name)
            if fd is None and last:
                return Found(here, name, None)
            if fd is None:
                fd = self._make(here, name) if make else _missing(here, name)
            status = os.fstat(fd)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                todo += self._parts(self._target(here, name, fd, status, links))
            elif last:
                return Found(here, name, status)
            else:
                self._held.append(self._admit(here, name, fd, status))
        return None

    def _parts(self, path: str) -> list[str]:
        """The names of a path, last first; an absolute one starts from the top again."""
        if path.startswith("/"):
            del self._held[1:]
        return [part for part in path.split("/") if part not in ("", ".")][::-1]

    def _hold(self, here: Held, name: str) -> Optional[int]:
        try:
            with naming(_below(here, name)):
                fd = os.open(name, HOLD, dir_fd=here.fd)
        except FileNotFoundError:
            return None
        self._fds.append(fd)
        return fd

    def _target(self, here: Held, name: str, fd: int, status: os.stat_result, links: int) -> str:
        """Where a link leads that only root can have made."""
        path = _below(here, name)
        if here.theirs or status.st_uid not in self._trusted:
            raise CommandError(f"{path!r} is a symbolic link, which is not followed for a user")
        if links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        return os.readlink("", dir_fd=fd)

    def _admit(self, here: Held, name: str, fd: int, status: os.stat_result) -> Held:
        """Take a directory of root's or of the user's as the next one.

        Below one of the user's, only the user's are written in: a user can give a directory of
        root's in there the name that we look for.
        """
        path = _below(here, name)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        own = status.st_uid == self._account.uid
        roots = status.st_uid in self._trusted
        if not own and (not roots or (here.theirs and self._create)):
            whose = f"uid {status.st_uid}, not to {self._account.name!r}"
            raise CommandError(f"{path!r} belongs to {whose}")
        return Held(fd, path, here.theirs or not roots)

    def _make(self, here: Held, name: str) -> int:
        """Make a directory for the user; it is given away where only root can exchange it."""
        path = _below(here, name)
        with naming(path):
            staging = _staging(here)
            self._fds.append(staging)
            try:
                _remove_directory(name, staging)
                os.mkdir(name, 0o700, dir_fd=staging)
                os.chmod(name, 0o700, dir_fd=staging)
                os.chown(name, self._account.uid, self._account.gid, dir_fd=staging)
                fd = os.open(name, HOLD | os.O_DIRECTORY, dir_fd=staging)
                self._fds.append(fd)
                os.rename(name, name, src_dir_fd=staging, dst_dir_fd=here.fd)
            finally:
                _remove_directory(STAGING, here.fd)
            sync(here.fd)
        self.made.append(path)
        return fd


def trusted() -> set[int]:
    """Whoever could lead us astray without our help."""
    return {0, os.geteuid()}


def _staging(here: Held) -> int:
    """A directory that only we can look into; the user may move it, but that is no matter."""
    _remove_directory(STAGING, here.fd)
    os.mkdir(STAGING, 0o700, dir_fd=here.fd)
    fd = os.open(STAGING, HOLD | os.O_DIRECTORY, dir_fd=here.fd)
    status = os.fstat(fd)
    if status.st_uid == os.geteuid() and not status.st_mode & 0o077:
        return fd
    os.close(fd)
    raise CommandError(f"{_below(here, STAGING)!r} was exchanged by its user")


def _remove_directory(name: str, fd: int) -> None:
    """Remove an empty directory; what is in the way of the next step will be told there."""
    try:
        os.rmdir(name, dir_fd=fd)
    except OSError:
        pass


def _below(here: Held, name: str) -> str:
    return f"{here.path.rstrip('/')}/{name}"


def _missing(here: Held, name: str) -> int:
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), _below(here, name))


def sync(fd: int) -> None:
    """Needs a descriptor of its own: those that only hold cannot be synced."""
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        os.fsync(readable)
    finally:
        os.close(readable)


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Errors of calls on a name in a directory get the whole path of it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
