"""Threads for the commands that may block past their deadline, so that a host is told in time."""

from __future__ import annotations

import threading
import time
from typing import Callable, Optional, TypeVar

from ..errors import CommandError, DeadlinePassed

T = TypeVar("T")

GRACE = 2.0  # seconds that a handler gets to notice its deadline by itself, and to undo


class Workers:
    """A thread lives as long as its command; at most `limit` run at once, abandoned ones too."""

    def __init__(self, limit: int = 8) -> None:
        self._free = threading.BoundedSemaphore(limit)
        self._limit = limit

    def run(self, work: Callable[[], T], deadline: float, what: str) -> T:
        """Do the work in another thread, and wait for it until its deadline and a little more.

        Raises what the work raises, and DeadlinePassed when it goes on in the background.
        """
        if not self._free.acquire(blocking=False):
            raise CommandError(f"{self._limit} long commands are running already; try again later")
        outcome = _Outcome(work, self._free)
        threading.Thread(target=outcome.run, name=what, daemon=True).start()
        if not outcome.done.wait(max(0.0, deadline - time.monotonic()) + GRACE):
            raise DeadlinePassed(f"{what} is not done yet; it goes on, but its result will be lost")
        if outcome.error is not None:
            raise outcome.error
        return outcome.value  # type: ignore[return-value]  # there is one when there is no error


class _Outcome:
    def __init__(self, work: Callable[[], object], free: threading.Semaphore) -> None:
        self.done = threading.Event()
        self.value: object = None
        self.error: Optional[BaseException] = None
        self._work = work
        self._free = free

    def run(self) -> None:
        try:
            self.value = self._work()
        except BaseException as error:
            self.error = error
        finally:
            self._free.release()
            self.done.set()
