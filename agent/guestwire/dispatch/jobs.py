"""What outlives a request: open files, processes, a freeze. There is one object of each kind."""

from __future__ import annotations

import threading
from typing import Callable, Optional, TypeVar

T = TypeVar("T")


class Jobs:
    """State by its type, so that a command module keeps its own without a place in any table.

    A kind that has `close()` is closed when the agent ends.
    """

    def __init__(self) -> None:
        self._kept: dict[type, object] = {}
        self._lock = threading.Lock()

    def keep(self, job: object) -> None:
        self._kept[type(job)] = job

    def get(self, kind: type[T], make: Optional[Callable[[], T]] = None) -> T:
        """The one `kind` of this agent, made by `make` (or `kind()`) when there is none yet."""
        job = self._kept.get(kind)
        if job is None:
            with self._lock:
                job = self._kept.get(kind)
                if job is None:
                    job = self._kept[kind] = (make or kind)()
        return job  # type: ignore[return-value]  # keyed by its own type

    def close(self) -> None:
        for job in self._kept.values():
            close = getattr(job, "close", None)
            if close is not None:
                close()
