"""How often agents wake up while nobody asks them anything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from cheap_client import connect
from results import Row, single
from talks import Pair

CALM = 1.0  # seconds until an agent has got over the coming or going of its host


def rows(pairs: Sequence[Pair], seconds: float) -> Iterator[Row]:
    """Rows of all places, which are idle at the same time."""
    yield from _rows(pairs, seconds, "wake-ups, host absent")
    hosts = [connect(path) for pair in pairs for path in (pair.ours, pair.theirs)]
    yield from _rows(pairs, seconds, "wake-ups, host present")
    for host in hosts:
        host.close()


def _rows(pairs: Sequence[Pair], seconds: float, what: str) -> Iterator[Row]:
    time.sleep(CALM)
    before = [pair.wake_ups() for pair in pairs]
    time.sleep(seconds)
    after = [pair.wake_ups() for pair in pairs]
    for pair, first, last in zip(pairs, before, after):
        ours, theirs = (end - start for start, end in zip(first, last))
        yield single(pair.place, what, f"in {seconds:g} s", ours, theirs)
