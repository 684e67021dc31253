"""Freezing: the guest's file systems stand still while the host takes a snapshot."""

from __future__ import annotations

from typing import Optional

from ..dispatch.command import Context
from ..system.freeze.freezer import Freezer
from ..system.freeze.plan import FROZEN


def qga_status(context: Context) -> str:
    return "frozen" if _freezer(context).frozen else "thawed"


def qga_freeze(context: Context) -> int:
    return qga_freeze_list(context)


def qga_freeze_list(context: Context, mountpoints: Optional[list[str]] = None) -> int:
    return len(_freezer(context).freeze("qga", mountpoints).with_result(FROZEN))


def qga_thaw(context: Context) -> int:
    """A thaw hook that fails is no failure to thaw; it is logged, and fs.status tells of it."""
    return _freezer(context).thaw().file_systems


def freeze(
    context: Context,
    mountpoints: Optional[list[str]] = None,
    timeout: Optional[int] = None,
    best_effort: bool = False,
) -> dict[str, object]:
    """`timeout` is in seconds; with `best_effort`, what fails does not undo the rest."""
    done = _freezer(context).freeze("own", mountpoints, timeout, best_effort)
    left = done.left() if not done.ended else None
    return {"frozen": len(done.with_result(FROZEN)), "left": _rounded(left), **done.report()}


def thaw(context: Context) -> dict[str, object]:
    thawed = _freezer(context).thaw()
    return {
        "thawed": thawed.file_systems,
        "hooks": [outcome.report() for outcome in thawed.outcomes],
    }


def extend(context: Context, timeout: int) -> dict[str, object]:
    """The freeze ends `timeout` seconds from now, whoever began it."""
    return {"left": _rounded(_freezer(context).extend(timeout))}


def status(context: Context) -> dict[str, object]:
    return _freezer(context).status()


def _rounded(seconds: Optional[float]) -> Optional[float]:
    """To milliseconds, as fs.status has them."""
    return None if seconds is None else round(seconds, 3)


def _freezer(context: Context) -> Freezer:
    freezer = context.jobs.get(
        Freezer, lambda: Freezer(context.root, context.run, context.settings)
    )
    freezer.settings = context.settings
    return freezer
