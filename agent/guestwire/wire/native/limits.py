"""What one end is ready to hold for the other: announced in the handshake, then held by both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .errors import Violation
from .frames import LARGEST, OVERHEAD


class Limits(NamedTuple):
    """Sizes are bytes. What an end announces is what it takes in; the other end must obey it."""

    frame: int = LARGEST  # header, payload and end mark of one frame
    stream_window: int = 256 << 10  # sent on one stream, and not yet consumed
    session_window: int = 1 << 20  # the same over all streams of a session
    streams: int = 256  # that the other end may have open at once
    control: int = 64 << 10  # one control body, put together
    answer: int = 1 << 20  # the value of one ACCEPT or CLOSE
    checksum: bool = False  # payloads carry a CRC, both ways, if either end wants it
    # What follows is not announced.
    parked: int = 16  # streams kept for a session that may come
    park_seconds: float = 60.0
    queued: int = 4 << 20  # control bodies that wait to be sent


# A UART at 115,200 baud moves 11 kB/s, and loses bytes. A ping then waits for 1 KiB at most.
SLOW = Limits(
    frame=1024,
    stream_window=4 << 10,
    session_window=8 << 10,
    streams=32,
    checksum=True,
    queued=256 << 10,
)

# Below these, nothing useful fits.
LEAST = {
    "frame": 64 + OVERHEAD,
    "stream_window": 1024,
    "session_window": 1024,
    "streams": 0,
    "control": 1024,
    "answer": 1024,
}


def announce(limits: Limits) -> dict[str, object]:
    body: dict[str, object] = {name: getattr(limits, name) for name in LEAST}
    body["checksum"] = limits.checksum
    return body


def announced(body: Mapping[str, object]) -> Limits:
    """What the other end takes in. Raises Violation."""
    found = {name: _at_least(body.get(name), name, least) for name, least in LEAST.items()}
    return Limits(checksum=body.get("checksum") is True, **found)


def agree(ours: Limits, theirs: Limits) -> Limits:
    """What holds for what we send. Windows are the smaller ones, in both directions.

    An end must neither hold more for resuming than it likes, nor wait for credit that is only
    renewed at half of a window which it does not use.
    """
    return theirs._replace(
        frame=min(ours.frame, theirs.frame),
        stream_window=min(ours.stream_window, theirs.stream_window),
        session_window=min(ours.session_window, theirs.session_window),
        checksum=ours.checksum or theirs.checksum,
    )


def _at_least(value: object, name: str, least: int) -> int:
    if type(value) is not int or value < least:
        raise Violation(f"limit {name!r} must be an integer of at least {least}")
    return value
