"""Time of day and time zone."""

from __future__ import annotations

import time as clocks
from typing import Optional

from ..dispatch.command import Context
from ..system import clock


def get_time(context: Context) -> int:
    """Nanoseconds since 1970, UTC."""
    return clocks.time_ns()


def set_time(context: Context, time: Optional[int] = None) -> dict[str, object]:
    """Without a time the hardware clock is asked, which the host has kept going meanwhile."""
    if time is None:
        clock.set_from_hardware(context.root, context.run, context.deadline)
    else:
        clock.set_time(context.root, context.run, time, context.deadline)
    return {}


def get_timezone(context: Context) -> dict[str, object]:
    zone, offset = clock.zone()
    return {"zone": zone, "offset": offset}
