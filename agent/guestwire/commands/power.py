"""Shutting down and suspending."""

from __future__ import annotations

from ..dispatch.command import Context
from ..errors import InvalidArgument
from ..system import power
from ..system.root import Root


def shutdown(context: Context, mode: str = "powerdown") -> None:
    if mode not in power.WAYS_DOWN:
        raise InvalidArgument(
            f"mode is invalid (valid values are: {'|'.join(sorted(power.WAYS_DOWN))})"
        )
    power.shut_down(context.root, context.run, mode, context.deadline)


def suspend_disk(context: Context) -> None:
    power.sleep(context.root, context.run, "disk", context.deadline)


def suspend_ram(context: Context) -> None:
    power.sleep(context.root, context.run, "ram", context.deadline)


def suspend_hybrid(context: Context) -> None:
    power.sleep(context.root, context.run, "hybrid", context.deadline)


def can_suspend_disk(root: Root) -> bool:
    return power.can_sleep(root, "disk")


def can_suspend_ram(root: Root) -> bool:
    return power.can_sleep(root, "ram")


def can_suspend_hybrid(root: Root) -> bool:
    return power.can_sleep(root, "hybrid")
