"""Files that a host holds open by a number.

Nothing is buffered here: what a host writes is seen by the guest at once.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import Union

from ...errors import CommandError, InvalidArgument
from ..root import Root

PLAIN_MODES = {
    "r": os.O_RDONLY,
    "w": os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    "a": os.O_WRONLY | os.O_CREAT | os.O_APPEND,
    "r+": os.O_RDWR,
    "w+": os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    "a+": os.O_RDWR | os.O_CREAT | os.O_APPEND,
}
MODES = {
    spelling: flags
    for mode, flags in PLAIN_MODES.items()
    for spelling in (mode, mode[0] + "b" + mode[1:], mode + "b")
}
NEW_FILE_MODE = 0o666  # whatever the umask: hosts rely on qemu-ga's choice
FIRST_HANDLE = 1000
LAST_HANDLE = (1 << 63) - 2
LIMIT = 512  # half the descriptors that a service usually may have
IDLE = 3600.0  # seconds after which a handle gives way when there is no room for another
CHUNK = 1 << 20


class OpenFile:
    """One file. The lock keeps a close from giving the descriptor away under a reader."""

    def __init__(self, fd: int) -> None:
        self.used = time.monotonic()
        self._fd = fd
        self._lock = threading.Lock()

    def read(self, count: int) -> tuple[bytes, bool]:
        """Up to `count` bytes, and whether the end was met, as fread and feof tell it.

        Where nothing more is there yet (a FIFO with a writer), it is what came until now;
        when that is nothing, BlockingIOError is raised.
        """
        if not count:
            return b"", False
        with self._lock:
            self.used = time.monotonic()
            data = os.read(self._fd, count)
            if not data or len(data) == count:
                return data, not data
            return self._fill(data, count)

    def _fill(self, data: bytes, count: int) -> tuple[bytes, bool]:
        pieces, rest = [data], count - len(data)
        while rest:
            try:
                data = os.read(self._fd, min(rest, CHUNK))
            except BlockingIOError:
                break
            if not data:
                return b"".join(pieces), True
            pieces.append(data)
            rest -= len(data)
        return b"".join(pieces), False

    def write(self, data: Union[bytes, memoryview]) -> int:
        """Write all, or what a full pipe takes; BlockingIOError when that is nothing."""
        rest = memoryview(data)
        with self._lock:
            self.used = time.monotonic()
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                except BlockingIOError:
                    if len(rest) == len(data):
                        raise
                    break
        return len(data) - len(rest)

    def seek(self, offset: int, whence: int) -> int:
        with self._lock:
            self.used = time.monotonic()
            return os.lseek(self._fd, offset, whence)

    def close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, -1  # whoever waits for the lock then gets EBADF
            if fd >= 0:
                os.close(fd)


class OpenFiles:
    """All handles of this agent. A number is never given twice, not even after a restart.

    The next one is kept in `qga.state`, in qemu-ga's place and format, so that either agent can
    take over from the other.
    """

    def __init__(self, root: Root, state_directory: str, limit: int = LIMIT) -> None:
        self._root = root
        self._directory = state_directory
        self._limit = limit
        self._files: dict[int, OpenFile] = {}
        self._next = 0
        self._lock = threading.Lock()

    def open(self, path: str, mode: str) -> int:
        """Open as fopen does, without waiting for a FIFO's other end; the answer is the handle.

        A relative path starts at the agent's working directory. Raises OSError as `open` does.
        """
        if mode not in MODES:
            raise InvalidArgument(f"invalid file open mode '{mode}'")
        with self._lock:
            self._make_room()
        file = OpenFile(self._descriptor(path, MODES[mode]))  # unlocked: a dead NFS may hold it
        try:
            with self._lock:
                handle = self._new_handle()
        except BaseException:
            file.close()
            raise
        self._files[handle] = file
        return handle

    def get(self, handle: int) -> OpenFile:
        file = self._files.get(handle)
        if file is None:
            raise CommandError(f"handle '{handle}' has not been found")
        return file

    def close_handle(self, handle: int) -> None:
        """Close one; it is gone even when closing reports that earlier writes were lost."""
        file = self.get(handle)
        self._files.pop(handle, None)
        file.close()

    def close(self) -> None:
        with self._lock:
            while self._files:
                self._files.popitem()[1].close()

    def _make_room(self) -> None:
        if len(self._files) < self._limit:
            return
        handle, file = min(self._files.items(), key=lambda item: item[1].used)
        if time.monotonic() - file.used < IDLE:
            raise CommandError(f"{self._limit} files are open, which is the limit; close one first")
        self.close_handle(handle)

    def _descriptor(self, path: str, flags: int) -> int:
        if not path:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        path = os.path.join(os.getcwd() if self._root.live else "/", path)
        flags |= os.O_NONBLOCK
        if flags & os.O_CREAT:
            try:
                return self._create(path, flags)
            except FileExistsError:
                flags &= ~os.O_CREAT
        return self._root.open(path, flags)

    def _create(self, path: str, flags: int) -> int:
        fd = self._root.open(path, flags | os.O_EXCL, NEW_FILE_MODE)
        try:
            os.fchmod(fd, NEW_FILE_MODE)
        except PermissionError:
            pass  # a FAT file system keeps no modes; the file is there, and empty
        return fd

    def _new_handle(self) -> int:
        handle = self._next or self._stored()
        self._root.make_directory(self._directory, 0o700)
        following = handle + 1 if handle < LAST_HANDLE else FIRST_HANDLE
        text = f"[global]\nfd_counter={following}\n"
        try:
            self._root.write(self._state_file, text, mode=0o600)
        except OSError as error:
            raise CommandError(f"failed to commit {self._state_file}: {error.strerror}") from error
        self._next = following
        return handle

    def _stored(self) -> int:
        for line in self._root.read_text(self._state_file, "").splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "fd_counter" and value.strip().isdecimal():
                return min(int(value), LAST_HANDLE) or FIRST_HANDLE
        return FIRST_HANDLE

    @property
    def _state_file(self) -> str:
        return self._directory + "/qga.state"
