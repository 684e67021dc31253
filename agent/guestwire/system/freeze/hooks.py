"""Hooks: the administrator's programs that make databases ready for a freeze, and undo it."""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

from ...errors import CommandError
from ..root import Root
from ..run import Run

log = logging.getLogger(__name__)

OUTPUT_KEPT = 4096  # characters of what a hook says; it goes into answers and error texts
LEFT_BEHIND = (".bak", ".orig", ".sample", ".rpmnew", ".rpmorig", ".rpmsave", "~")
LEFT_BY_DPKG = ".dpkg-"


class Outcome(NamedTuple):
    """How a hook ended. `code` is None when it could not be started or was killed at its limit."""

    hook: str
    phase: str  # "freeze" or "thaw"
    code: Optional[int]
    output: str
    seconds: float

    @property
    def failed(self) -> bool:
        return self.code != 0

    def report(self) -> dict[str, object]:
        found = {**self._asdict(), "seconds": round(self.seconds, 3)}
        return {name: value for name, value in found.items() if value is not None}


def configured(root: Root, single: str, directory: str) -> list[str]:
    """The hooks in the order of freezing: the one qemu-ga would call, then our directory's."""
    named = [single] if single not in ("", "/dev/null") else []
    return named + list(_in_directory(root, directory))


def call(root: Root, run: Run, hook: str, phase: str, limit: float) -> Outcome:
    """Call one hook, as `hook freeze` or `hook thaw`; at the limit its process group is killed.

    Never raises for what the hook does: the outcome tells.
    """
    began = time.monotonic()
    code: Optional[int] = None
    try:
        done = run([root.path(hook), phase], deadline=began + limit)
        code = done.code
        output = (done.out + done.err).decode("utf-8", "replace").strip()[-OUTPUT_KEPT:]
    except (CommandError, OSError) as error:
        output = str(error)
    return Outcome(hook, phase, code, output, time.monotonic() - began)


def thaw(root: Root, run: Run, hooks: Sequence[str], limit: float) -> Iterator[Outcome]:
    """Undo what the hooks have done, the last one first; one that fails stops no other."""
    for hook in reversed(hooks):
        outcome = call(root, run, hook, "thaw", limit)
        if outcome.failed:
            log.warning("%s thaw failed: %s", hook, outcome.output)
        yield outcome


def _in_directory(root: Root, directory: str) -> Iterator[str]:
    for name in root.names(directory):
        path = f"{directory.rstrip('/')}/{name}"
        if name.startswith(".") or name.endswith(LEFT_BEHIND) or LEFT_BY_DPKG in name:
            continue
        try:
            status = root.stat(path)
        except FileNotFoundError:  # a link to a hook that was removed
            continue
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
            continue
        if _anyone_may_change(status):
            log.warning("%s: not called, since others than root may change it", path)
            continue
        yield path


def _anyone_may_change(status: os.stat_result) -> bool:
    """Ours counts as root's: it is the same in a guest, and lets a test run as any user."""
    return status.st_uid not in (0, os.geteuid()) or bool(status.st_mode & stat.S_IWOTH)
