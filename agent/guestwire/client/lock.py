"""One host program at a time on a channel.

QEMU's socket serves one client. A second one's connect() succeeds, too, and what it sends is
carried out later, when the first has left. So programs of ours take a lock before they connect.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import sys
import time
from typing import Optional

from .errors import ChannelBusy


class Lock:
    """Held until `close`, or until this process ends."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def take(path: str, name: str, deadline: float) -> Optional[Lock]:
    """The lock of the socket at `path`; None where there is no place for the lock's file.

    Raises ChannelBusy, with the holder, when it is not free by the deadline.
    """
    fd = _open(path)
    if fd is None:
        return None
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = _holder(fd)
                os.close(fd)
                raise ChannelBusy(
                    f"{name}: {holder} talks to this guest",
                    "wait until it has ended, or end it",
                ) from None
            time.sleep(0.02)
        else:
            break
    with contextlib.suppress(OSError):  # opened for reading only, or a full disk
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()} {os.path.basename(sys.argv[0] or 'python')}\n".encode(), 0)
    return Lock(fd)


def _open(path: str) -> Optional[int]:
    """Next to the socket, so that everybody who may connect meets there; else in our own."""
    directory, name = os.path.split(os.path.abspath(path))
    places = [os.path.join(directory, f".{name}.guestwire-lock")]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        unique = hashlib.sha256(os.path.realpath(path).encode()).hexdigest()[:16]
        places.append(os.path.join(runtime, f"guestwire-{unique}.lock"))
    flags = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    for place in places:
        for mode in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
            try:
                return os.open(place, mode | flags, 0o644)
            except OSError:
                continue
    return None


def _holder(fd: int) -> str:
    """Who wrote himself down, if he still lives and wrote what he should have."""
    words = os.pread(fd, 200, 0).decode("ascii", "replace").split()
    if len(words) == 2 and words[0].isdigit() and words[1].isprintable():
        return f"process {words[0]} ({words[1]})"
    return "another program"
