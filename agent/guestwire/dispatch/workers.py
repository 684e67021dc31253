"""Threads for commands that may block past their deadline, or that run side by side."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Callable, NamedTuple, Optional, TypeVar

from ..errors import CommandError, DeadlinePassed

T = TypeVar("T")

GRACE = 2.0  # seconds that a handler gets to notice its deadline by itself, and to undo


class _Outcome(NamedTuple):
    value: object
    error: Optional[BaseException]


class _Task(NamedTuple):
    work: Callable[[], object]
    outcome: SimpleQueue[_Outcome]


class Workers:
    """At most `limit` commands run at once, those that were given up included.

    One idle thread is kept: starting another takes longer than most of these commands.
    """

    def __init__(self, limit: int = 8) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._running = 0
        self._idle: Optional[SimpleQueue[_Task]] = None

    def run(self, work: Callable[[], T], deadline: float, what: str, *, always: bool = False) -> T:
        """Do the work in another thread, and wait for it until its deadline and a little more.

        `always` goes past the limit: eight commands that hang must not keep a guest frozen.
        Raises what the work raises, and DeadlinePassed when it goes on in the background.
        """
        outcome = self.post(work, always=always)
        try:
            value, error = outcome.get(timeout=max(0.0, deadline - time.monotonic()) + GRACE)
        except Empty:
            text = f"{what} is not done yet; it goes on, but its result will be lost"
            raise DeadlinePassed(text) from None
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # it is work's, and work returns a T

    def post(self, work: Callable[[], object], *, always: bool = False) -> SimpleQueue[_Outcome]:
        """Have the work done, and go on; how it ended is put into the queue that is returned."""
        outcome: SimpleQueue[_Outcome] = SimpleQueue()
        self._take_worker(always).put(_Task(work, outcome))
        return outcome

    def _take_worker(self, always: bool) -> SimpleQueue[_Task]:
        """The inbox of a thread that has nothing to do."""
        with self._lock:
            if self._running >= self._limit and not always:
                text = f"{self._limit} commands are running already; try again later"
                raise CommandError(text)
            self._running += 1
            inbox, self._idle = self._idle, None
        if inbox is None:
            inbox = SimpleQueue()
            threading.Thread(target=self._work, args=(inbox,), name="worker", daemon=True).start()
        return inbox

    def _work(self, inbox: SimpleQueue[_Task]) -> None:
        while True:
            work, outcome = inbox.get()
            try:
                result = _Outcome(work(), None)
            except BaseException as error:  # whoever waits for it decides what it means
                result = _Outcome(None, error)
            with self._lock:
                self._running -= 1
                stays = self._idle is None
                if stays:
                    self._idle = inbox
            outcome.put(result)
            del work, outcome, result  # an idle thread must not keep what it worked on
            if not stays:
                return
