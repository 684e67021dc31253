"""Freezing the guest's file systems for a snapshot, and thawing them whatever happens.

One freeze is under way at a time. It ends when a host thaws, when it fails, or at its deadline,
by a thread that is started before the first file system is frozen. That thread calls ioctl on
descriptors that are open already, so it needs no disk. Its memory is not locked: what the kernel
has taken away is read back, and a freeze stops nothing but writing.

A thaw never waits for a freeze that hangs in one file system: it thaws the others, which may be
what that one waits for, and the hanging thread thaws its own as soon as it can.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Callable, NamedTuple, Optional

from ...errors import CommandError
from ..root import Root
from ..run import Run
from ..storage import ioctls
from . import freezing, hooks, mark
from .mark import Marker
from .plan import FREEZING, FROZEN, WAITING, plan
from .settings import Settings, read_settings
from .state import Freeze
from .thaw import Kernel, presumably_frozen, thaw, thaw_all_but

log = logging.getLogger(__name__)

NOBODY = ""  # a thaw of what this agent has not frozen
ENDED = "thawed %d file systems after %.1f seconds (%s)"
TICK = 1.0  # seconds: a wait in Python does not count the time that the guest is suspended


class Thawed(NamedTuple):
    """How many file systems were thawed, and how their hooks ended."""

    file_systems: int
    outcomes: Sequence[hooks.Outcome]


class Freezer:
    """The one that freezes this guest.

    `frozen` is true from before the first file system is frozen until all are thawed; it is a
    plain attribute, since it is asked for on each request. `on_change` is called with it at both
    moments. `settings` may be replaced at any time; a freeze keeps those it began with.
    """

    def __init__(
        self, root: Root, run: Run, settings: Mapping[str, str], kernel: Kernel = ioctls
    ) -> None:
        self.settings = settings
        self.frozen = False
        self.on_change: Callable[[bool], None] = lambda frozen: None
        self._root = root
        self._run = run
        self._kernel = kernel
        self._lock = threading.Lock()
        self._changing = threading.Lock()
        self._current: Optional[Freeze] = None
        self._last: dict[str, object] = {}

    def freeze(
        self,
        by: str,
        wanted: Optional[Collection[str]] = None,
        timeout: Optional[int] = None,
        best_effort: bool = False,
    ) -> Freeze:
        """Freeze all file systems, or those mounted at `wanted`; thaw after `timeout` seconds.

        When one fails all are thawed again, unless `best_effort` lets the others stay frozen.
        """
        settings = read_settings(self.settings)
        freeze = Freeze(by, settings.deadline(timeout), settings)
        if self._take_turn(freeze) is not freeze:
            raise CommandError("another freeze is under way; fs.status tells more")
        try:
            self._prepare(freeze, wanted, best_effort)
            freeze.deadline = settings.deadline(timeout)  # hooks have limits of their own
            self._freeze_volumes(freeze, best_effort)
            if not freeze.with_result(FROZEN):
                self._end(freeze, "nothing", within=True)
        except BaseException:
            self._end(freeze, "error", within=True)
            raise
        finally:
            freeze.busy = False
            self._leave(freeze)
        return freeze

    def thaw(self) -> Thawed:
        """Thaw everything, also what somebody else has frozen, as qemu-ga does.

        That nothing is frozen is no error. Hooks are called when they are owed it, or when
        something was thawed that we know nothing of.
        """
        nobodys = Freeze(NOBODY, None, read_settings(self.settings))
        nobodys.begin_volumes()
        nobodys.busy = False
        freeze = self._take_turn(nobodys)
        count = self._end(freeze, "thaw")
        return Thawed(count, [outcome for outcome in freeze.outcomes if outcome.phase == "thaw"])

    def extend(self, timeout: Optional[int]) -> Optional[float]:
        """Let the freeze last `timeout` seconds from now; the seconds left, None for ever."""
        freeze = self._current
        if freeze is None or freeze.ended or not self.frozen:
            raise CommandError("nothing is frozen")
        freeze.deadline = freeze.settings.deadline(timeout)
        if self._marker_is_free(freeze):
            self._mark(freeze, mark.FROZEN, freeze.hooks)
            if freeze.left_behind:  # it was thawed meanwhile, and its marker removed
                mark.remove(self._root, freeze.settings.statedir)
        return freeze.left()

    def status(self) -> dict[str, object]:
        """Waits for nothing, so that it also tells what a freeze hangs in."""
        freeze = self._current
        found: dict[str, object] = {"status": "frozen" if self.frozen else "thawed"}
        if freeze is not None:
            found.update(freeze.report())
            if self.frozen and freeze.deadline is not None:
                found["left"] = round(freeze.left() or 0.0, 3)
        if self._last:
            found["last"] = self._last
        return found

    def resume(self) -> None:
        """Take over from an agent that was killed: what it has frozen is ours to thaw.

        A freeze that no host was told of is undone at once, as is one past its deadline.
        """
        settings = read_settings(self.settings)
        marker = mark.read(self._root, settings.statedir, settings.timeout)
        if marker is None:
            return
        if marker.boot != mark.boot_id(self._root):
            mark.remove(self._root, settings.statedir)
            return
        self._set_frozen(True)
        freeze = Freeze(marker.by, marker.deadline, settings)
        freeze.hooks = list(marker.hooks)
        freeze.volumes = list(presumably_frozen(self._root))
        freeze.begin_volumes()
        freeze.busy = False
        self._take_turn(freeze)
        if marker.phase == mark.FROZEN:
            self._watch(freeze)
        else:
            freeze.deadline = mark.now()
            self._watch(freeze, "restart")

    # A freeze, step by step

    def _take_turn(self, freeze: Freeze) -> Freeze:
        """The freeze that is under way: this one, if there was none."""
        with self._lock:
            self._current = self._current or freeze
            return self._current

    def _prepare(
        self, freeze: Freeze, wanted: Optional[Collection[str]], best_effort: bool
    ) -> None:
        planned = self._configured(freeze.settings)
        if planned:
            self._mark(freeze, mark.PREPARING, planned)
        freezing.call_hooks(self._root, self._run, freeze, planned)
        freeze.volumes = plan(self._root, wanted, freeze.settings.exclude)
        freezing.open_volumes(self._root, freeze, best_effort)
        freeze.begin_volumes()

    def _freeze_volumes(self, freeze: Freeze, best_effort: bool) -> None:
        volumes = freeze.with_result(WAITING)
        if not volumes:
            return
        log.info("freezing %d file systems for %s", len(volumes), freeze.by)
        self._mark(freeze, mark.FROZEN, freeze.hooks)
        self._set_frozen(True)
        self._watch(freeze)
        for volume in volumes:
            freezing.freeze_volume(self._kernel, freeze, volume, best_effort)

    def _watch(self, freeze: Freeze, why: str = "deadline") -> None:
        threading.Thread(
            target=self._await_deadline, args=(freeze, why), name="thaw", daemon=True
        ).start()

    def _await_deadline(self, freeze: Freeze, why: str) -> None:
        left = freeze.left()
        while not freeze.bell.wait(TICK if left is None else min(TICK, left)):
            if freeze.overdue():
                self._end(freeze, why)
                return
            left = freeze.left()

    # Its end

    def _end(self, freeze: Freeze, why: str, *, within: bool = False) -> int:
        """How many file systems the caller has thawed: 0 when another thread did it."""
        if freeze.claim_end(why, within=within):
            self._undo(freeze)
            return freeze.thawed
        if not within:
            freeze.done.wait()
        return 0

    def _undo(self, freeze: Freeze) -> None:
        last = self._last
        try:
            self._thaw_volumes(freeze)
            after = round(freeze.seconds(), 3)
            self._set_frozen(False)
            self._mark_thawed(freeze)
            limit = freeze.settings.hook_limit
            freeze.outcomes.extend(hooks.thaw(self._root, self._run, freeze.hooks, limit))
            if freeze.by != NOBODY or freeze.thawed:
                level = logging.INFO if freeze.ended in ("thaw", "nothing") else logging.WARNING
                log.log(level, ENDED, freeze.thawed, after, freeze.ended)
                last = {"after": after, "thawed": freeze.thawed, **freeze.report()}
        finally:
            freeze.over = True
            self._leave(freeze)
            self._last = last
            freeze.done.set()

    def _thaw_volumes(self, freeze: Freeze) -> None:
        frozen = freeze.with_result(FROZEN)
        freeze.thawed = sum(thaw(self._kernel, volume) for volume in reversed(frozen))
        if freeze.ended == "thaw":
            hanging = {volume.mountpoint for volume in freeze.with_result(FREEZING)}
            freeze.thawed += thaw_all_but(self._root, self._kernel, hanging)
        if freeze.by == NOBODY and freeze.thawed:
            freeze.hooks = self._configured(freeze.settings)

    def _leave(self, freeze: Freeze) -> None:
        """Tidy up after the last thread that had to do with this freeze."""
        with self._lock:
            if not freeze.over or freeze.busy or freeze.left_behind:
                return
            freeze.left_behind = True
        self._set_frozen(False)
        freeze.close()
        try:
            mark.remove(self._root, freeze.settings.statedir)
        except OSError as error:
            log.error("the marker of the freeze is still there: %s", error)
        with self._lock:
            self._current = None

    def _configured(self, settings: Settings) -> list[str]:
        return hooks.configured(self._root, settings.hook, settings.hook_directory)

    def _set_frozen(self, frozen: bool) -> None:
        with self._changing:  # what is told last is what is so
            if self.frozen != frozen:
                self.frozen = frozen
                self.on_change(frozen)

    def _mark(self, freeze: Freeze, phase: str, hooks: Sequence[str]) -> None:
        marker = Marker(phase, freeze.deadline, freeze.by, tuple(hooks))
        mark.write(self._root, freeze.settings.statedir, marker)

    def _mark_thawed(self, freeze: Freeze) -> None:
        """From here on only hooks are left to do, should we be killed."""
        hanging = freeze.with_result(FREEZING)
        if not (hanging or freeze.hooks) or (hanging and not self._marker_is_free(freeze)):
            return
        try:
            self._mark(freeze, mark.THAWED, freeze.hooks)
        except CommandError as error:
            log.warning("%s", error)

    def _marker_is_free(self, freeze: Freeze) -> bool:
        """Whether the marker is where nothing is ever frozen."""
        return mark.lies_in_memory(self._root, freeze.settings.statedir)
