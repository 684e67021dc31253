"""A stream of bytes to a guest: any kind ends in a file descriptor, and every wait has an end."""

from __future__ import annotations

import os
import select
import time
from typing import Callable, Optional

from .errors import ChannelLost

READ_SIZE = 1 << 18


class Stream:
    """Owns a descriptor; `closing` is called when it is closed, e.g. to give back a lock."""

    def __init__(self, fd: int, name: str, closing: Optional[Callable[[], None]] = None) -> None:
        os.set_blocking(fd, False)
        self.name = name
        self._fd = fd
        self._closing = closing

    def fileno(self) -> int:
        return self._fd

    def send_now(self, data: memoryview) -> int:
        """How many bytes were taken at once; 0 when none can be now."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error

    def recv_now(self) -> bytes:
        """What there is now; `b""` when that is nothing. ChannelLost when the other end closed."""
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error
        if not data:
            raise self._lost("the other end closed the connection")
        return data

    def send(self, data: bytes, deadline: float) -> bool:
        """Write all of it; False when the deadline came first."""
        view = memoryview(data)
        while view:
            count = self.send_now(view)
            view = view[count:]
            if not count and not self._wait(select.POLLOUT, deadline):
                return False
        return True

    def recv(self, deadline: float) -> bytes:
        """What there is, at least one byte; `b""` when the deadline came first."""
        while not (data := self.recv_now()):
            if not self._wait(select.POLLIN, deadline):
                return b""
        return data

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if self._closing is not None:
                self._closing()

    def _wait(self, events: int, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        poll = select.poll()
        poll.register(self._fd, events)
        return bool(poll.poll(max(1, int(left * 1000))))

    def _lost(self, why: str) -> ChannelLost:
        return ChannelLost(
            f"{self.name}: {why}",
            "the VM was switched off, migrated, or its QEMU ended; see 'guestwire ls'",
        )
