"""One freeze: what it is about, how far it is, and which thread may take the next step.

The lock is held for a change of state only, never while the kernel or a hook is waited for.
"""

from __future__ import annotations

import threading
from typing import Optional

from ...errors import CommandError
from .hooks import Outcome
from .mark import now
from .plan import FREEZING, FROZEN, Volume
from .settings import Settings


class Freeze:
    """From its first hook to the last thawed file system.

    `by` is "qga" or "own". `ended` says what ended it: "thaw", "deadline", "error", "nothing"
    (could be frozen), "restart" (of an agent that was killed half-way), and is "" until then.
    """

    def __init__(self, by: str, deadline: Optional[float], settings: Settings) -> None:
        self.by = by
        self.deadline = deadline
        self.settings = settings
        self.volumes: list[Volume] = []
        self.hooks: list[str] = []  # whose freeze has begun: each is owed a thaw
        self.outcomes: list[Outcome] = []
        self.ended = ""
        self.thawed = 0
        self.busy = True  # the thread that freezes is still at it
        self.over = False  # everything is undone, but for what hangs in the kernel
        self.left_behind = False  # nobody has to do with it any more
        self.bell = threading.Event()  # rings when it ends
        self.done = threading.Event()  # it is over: for those who wait
        self._began = now()
        self._hooking = True  # freeze hooks are running
        self._lock = threading.Lock()

    def check_not_ended(self) -> None:
        """Raise CommandError when another thread has ended it."""
        if self.ended:
            raise CommandError(f"the freeze was ended early ({self.ended})")

    def begin_hook(self, hook: str) -> None:
        with self._lock:
            self.check_not_ended()
            self.hooks.append(hook)

    def begin_volumes(self) -> None:
        with self._lock:
            self.check_not_ended()
            self._hooking = False
            self._began = now()

    def begin_volume(self, volume: Volume) -> None:
        with self._lock:
            self.check_not_ended()
            volume.since = now()
            volume.end(FREEZING)

    def end_volume(self, volume: Volume, result: str, reason: str = "") -> bool:
        """False when it was frozen too late: who ended the freeze has left this volume alone."""
        with self._lock:
            late = result == FROZEN and bool(self.ended)
            if not late:
                volume.end(result, reason)
            return not late

    def claim_end(self, why: str, *, within: bool) -> bool:
        """Whether the caller has to undo everything; it is told to one caller only.

        `within` is for the thread that freezes. While hooks run nobody else can do it, since
        a hook's thaw must not overtake its freeze.
        """
        with self._lock:
            first = not self.ended
            mine = within if self._hooking else first
            if first:
                self.ended = why
            if within:
                self._hooking = False
        self.bell.set()
        return mine

    def with_result(self, result: str) -> list[Volume]:
        return [volume for volume in self.volumes if volume.result == result]

    def seconds(self) -> float:
        """Since the hooks were ready."""
        return now() - self._began

    def left(self) -> Optional[float]:
        return None if self.deadline is None else max(0.0, self.deadline - now())

    def overdue(self) -> bool:
        return self.deadline is not None and now() >= self.deadline

    def close(self) -> None:
        for volume in self.volumes:
            volume.close()

    def report(self) -> dict[str, object]:
        """As hosts see it, at any moment."""
        found: dict[str, object] = {
            "by": self.by,
            "mounts": [volume.report() for volume in self.volumes],
            "hooks": [outcome.report() for outcome in self.outcomes],
        }
        if self.ended:
            found["ended"] = self.ended
        for volume in self.with_result(FREEZING):
            waited = round(now() - volume.since, 3)
            found["freezing"] = {"mountpoint": volume.mountpoint, "seconds": waited}
        return found
