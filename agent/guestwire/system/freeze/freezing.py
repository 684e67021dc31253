"""The steps of a freeze that may fail, each with the words that qemu-ga has for it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from ...errors import CommandError
from ..root import Root
from ..run import Run
from . import hooks
from .plan import FAILED, FROZEN, SKIPPED, WAITING, Volume
from .state import Freeze
from .thaw import Kernel, thaw

NOT_NOW = (errno.EOPNOTSUPP, errno.EBUSY)  # cannot be frozen; somebody else has frozen it


def call_hooks(root: Root, run: Run, freeze: Freeze, planned: Iterable[str]) -> None:
    for hook in planned:
        freeze.begin_hook(hook)
        outcome = hooks.call(root, run, hook, "freeze", freeze.settings.hook_limit)
        freeze.outcomes.append(outcome)
        if outcome.failed:
            said = outcome.output or f"{hook}: exit code {outcome.code}"
            raise CommandError(f"child process has failed to execute fsfreeze hook: {said}")


def open_volumes(root: Root, freeze: Freeze, best_effort: bool) -> None:
    for volume in freeze.with_result(WAITING):
        try:
            volume.open(root)
        except OSError as error:
            _fail(freeze, volume, "open", error, best_effort)


def freeze_volume(kernel: Kernel, freeze: Freeze, volume: Volume, best_effort: bool) -> None:
    freeze.begin_volume(volume)
    try:
        kernel.freeze(volume.fd)
    except OSError as error:
        if error.errno in NOT_NOW:
            freeze.end_volume(volume, SKIPPED, _text(error))
        else:
            _fail(freeze, volume, "freeze", error, best_effort)
        return
    if not freeze.end_volume(volume, FROZEN):
        thaw(kernel, volume)
        volume.end(FAILED, "the freeze had ended before this was frozen")
        freeze.check_not_ended()


def _fail(freeze: Freeze, volume: Volume, what: str, error: OSError, best_effort: bool) -> None:
    text = f"failed to {what} {volume.mountpoint}: {_text(error)}"
    freeze.end_volume(volume, FAILED, text)
    if not best_effort:
        raise CommandError(text) from error


def _text(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
