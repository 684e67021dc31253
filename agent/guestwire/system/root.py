"""The guest's file system, live or below a directory: no path leaves it, no write is half done.

Reading and writing raise OSError as `open` does; the dispatcher turns what a handler lets
through into an answer that names the path.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from typing import Optional, Union

from ..errors import Unsupported

MAX_LINKS = 40  # as the kernel's, before ELOOP
ACL = "system.posix_acl_access"
KEPT_XATTRS = ("security.selinux", ACL)


class Root:
    """Guest paths are absolute and POSIX; symbolic links in them are read as the guest would.

    `Root("/")` is this machine, and costs no more than `os` itself. Any other directory is a
    mounted image or a test's scratch directory.
    """

    def __init__(self, top: Union[str, os.PathLike[str]] = "/") -> None:
        self.top = os.path.abspath(os.fspath(top))
        self.live = self.top == "/"

    def __repr__(self) -> str:
        return f"Root({self.top!r})"

    def require_live(self) -> None:
        """Raise Unsupported for an image or a scratch directory: it has no clock and no power."""
        if not self.live:
            raise Unsupported(f"{self.top} is not the running system")

    def path(self, path: str, *, follow: bool = True) -> str:
        """Where a guest's path really is. With `follow` false a last symbolic link stays a link."""
        if not path.startswith("/"):
            raise ValueError(f"not an absolute path: {path!r}")
        return path if self.live else self._resolve(path, follow)

    def exists(self, path: str) -> bool:
        return os.path.exists(self.path(path))

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(self.path(path))

    def stat(self, path: str, *, follow: bool = True) -> os.stat_result:
        return os.stat(self.path(path, follow=follow), follow_symlinks=follow)

    def read_bytes(self, path: str) -> bytes:
        with open(self.path(path), "rb") as file:
            return file.read()

    def read_text(self, path: str, missing: Optional[str] = None) -> str:
        """The file as UTF-8; undecodable bytes survive a round trip through `write`.

        When `missing` is given, that is the text of a file that does not exist.
        """
        try:
            return self.read_bytes(path).decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            if missing is None:
                raise
            return missing

    def readlink(self, path: str) -> str:
        return os.readlink(self.path(path, follow=False))

    def names(self, path: str) -> list[str]:
        """Names in a directory, sorted; none when it does not exist."""
        try:
            return sorted(os.listdir(self.path(path)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def glob(self, pattern: str) -> Iterator[str]:
        """Guest paths that match, sorted. Each part is matched by fnmatch, hidden names too."""
        from fnmatch import fnmatchcase  # pulls in re, which a QGA session can do without

        found = ["/"]
        for part in pattern.strip("/").split("/"):
            if any(mark in part for mark in "*?["):
                found = [
                    posixpath.join(top, name)
                    for top in found
                    for name in self.names(top)
                    if fnmatchcase(name, part)
                ]
            else:
                found = [posixpath.join(top, part) for top in found]
        return (path for path in found if os.path.lexists(self.path(path, follow=False)))

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        """A descriptor that children do not inherit, and that gives nobody a terminal.

        The umask cuts the mode of a new file, as always.
        """
        return os.open(self.path(path), flags | os.O_CLOEXEC | os.O_NOCTTY, mode)

    def write(
        self,
        path: str,
        data: Union[str, bytes],
        *,
        mode: Optional[int] = None,
        owner: Optional[tuple[int, int]] = None,
    ) -> None:
        """Replace or create a file, whole or not at all, also when the power goes.

        A file that exists keeps its mode, owner, ACL and SELinux label where no other is asked
        for; a new one gets `mode` (0644) whatever the umask, and `owner` (uid, gid) or ours.
        A symbolic link is followed, and its target replaced. The directory must exist.
        """
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        target = self.path(path)
        if self.live and os.path.islink(target):
            target = os.path.realpath(target)
        try:
            _replace(target, data, mode, owner)
        except OSError as error:
            error.filename = target  # not the temporary file's name, nor none
            raise

    def make_directory(
        self, path: str, mode: int = 0o755, owner: Optional[tuple[int, int]] = None
    ) -> None:
        """Create a directory and its parents; one that exists is left as it is."""
        if self.is_directory(path):
            return
        parent = posixpath.dirname(path.rstrip("/"))
        if parent and not self.is_directory(parent):
            self.make_directory(parent)
        real = self.path(path)
        try:
            os.mkdir(real, mode)
        except FileExistsError:
            if os.path.isdir(real):  # another thread was faster
                return
            raise
        if owner is not None:
            os.chown(real, *owner)
        os.chmod(real, mode)  # mkdir's mode was cut by the umask
        sync_directory(os.path.dirname(real))

    def remove(self, path: str) -> bool:
        """Remove a file or a symbolic link; False when there was none."""
        return _unlink(self.path(path, follow=False))

    def symlink(self, target: str, path: str) -> None:
        """Make `path` a link to `target`, in place of any file that was there."""
        real = self.path(path, follow=False)
        directory, name = os.path.split(real)
        temporary = os.path.join(directory, f".{name[:200]}.guestwire-new")
        _unlink(temporary)
        os.symlink(target, temporary)
        try:
            os.rename(temporary, real)
        except BaseException:
            _unlink(temporary)
            raise
        sync_directory(directory)

    def _resolve(self, path: str, follow: bool) -> str:
        """Walk the path as chroot would: `..` stops at the top, links start there again."""
        done: list[str] = []
        todo = path.split("/")[::-1]
        links = 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                del done[-1:]
                continue
            here = os.path.join(self.top, *done, part)
            last = not any(rest not in ("", ".") for rest in todo)
            if os.path.islink(here) and (follow or not last):
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                link = os.readlink(here)
                if link.startswith("/"):
                    done.clear()
                todo.extend(link.split("/")[::-1])
            else:
                done.append(part)
        return os.path.join(self.top, *done)


def _replace(
    target: str, data: bytes, mode: Optional[int], owner: Optional[tuple[int, int]]
) -> None:
    directory, name = os.path.split(target)
    # Not random: a file that a power cut leaves behind is taken up by the next write.
    temporary = os.path.join(directory, f".{name[:200]}.guestwire-new")
    _unlink(temporary)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            dress(fd, target, mode, owner)
            _write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, target)
    except BaseException:
        _unlink(temporary)
        raise
    sync_directory(directory)


def dress(fd: int, model: str, mode: Optional[int], owner: Optional[tuple[int, int]]) -> None:
    """Give a new file the owner, mode and attributes of the file that it will replace.

    The mode comes last: chown takes set-id bits away, and an ACL brings its own group bits.
    """
    new = os.fstat(fd)
    try:
        old = os.stat(model)
    except FileNotFoundError:
        old = None
    if old is not None and owner is None:
        owner = (old.st_uid, old.st_gid)
    if owner is not None and owner != (new.st_uid, new.st_gid):
        os.fchown(fd, *owner)  # not ours alone: a set-gid directory gives its group
    if old is not None:
        for name in KEPT_XATTRS:
            _copy_xattr(model, fd, name)
        mode = stat.S_IMODE(old.st_mode) if mode is None else mode
    os.fchmod(fd, 0o644 if mode is None else mode)


def _copy_xattr(source: str, fd: int, name: str) -> None:
    try:
        os.setxattr(fd, name, os.getxattr(source, name))
    except OSError as error:
        if error.errno == errno.ENODATA and name == ACL:
            _remove_xattr(fd, name)  # the directory's default ACL, which the old file was without
        elif error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise


def _remove_xattr(fd: int, name: str) -> None:
    try:
        os.removexattr(fd, name)
    except OSError as error:
        if error.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def sync_directory(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
