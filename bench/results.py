"""What was measured: rows, what they should be, and their JSON."""

from __future__ import annotations

import statistics
from typing import Callable, NamedTuple, Optional

UNIX = "unix socket"
VIRTIO = "virtio-serial"
PROCESS = "process"


class Row(NamedTuple):
    """One figure of both agents, measured side by side.

    `ratio` is ours / theirs, None where one of them is 0. `bare` is the same figure of a Python
    interpreter that does nothing, where that is a fair ground to stand on.
    """

    place: str
    what: str
    unit: str
    ours: float
    theirs: float
    ratio: Optional[float]
    more_is_better: bool = False
    bare: Optional[float] = None

    @property
    def target(self) -> Optional[Target]:
        return TARGETS.get((self.place, self.what))

    @property
    def met(self) -> Optional[bool]:
        return None if self.target is None else self.target.holds(self)


class Target(NamedTuple):
    """What a row should be."""

    text: str
    holds: Callable[[Row], bool]


def paired(
    place: str, what: str, unit: str, rounds: list[tuple[float, float]], speed: bool = False
) -> Row:
    """A row of (ours, theirs) from rounds that followed each other.

    The ratio is the median of the rounds' ratios: two figures of one round were taken under the
    same load, so what else the machine does falls out of it. The figures are medians, too.
    """
    ours = statistics.median(one for one, _ in rounds)
    theirs = statistics.median(other for _, other in rounds)
    ratio = statistics.median(one / other for one, other in rounds)
    return Row(place, what, unit, ours, theirs, ratio, speed)


def single(place: str, what: str, unit: str, ours: float, theirs: float) -> Row:
    """A row of two figures that were taken once."""
    return Row(place, what, unit, ours, theirs, ours / theirs if theirs and ours else None)


def as_json(row: Row) -> dict[str, object]:
    """The row as plain data, figures to three places that count."""
    members = {
        name: _rounded(value) if isinstance(value, float) else value
        for name, value in row._asdict().items()
    }
    target = row.target
    return {**members, "target": target and target.text, "met": row.met}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _ratio_at_most(most: float, text: str) -> Target:
    return Target(text, lambda row: row.ratio is not None and row.ratio <= most)


def _ratio_at_least(least: float) -> Target:
    return Target(
        f"at least {least:g} x qemu-ga", lambda row: row.ratio is not None and row.ratio >= least
    )


def _above_bare(most: float, text: str) -> Target:
    return Target(text, lambda row: row.bare is not None and row.ours - row.bare <= most)


def _at_most(most: float, text: str) -> Target:
    return Target(text, lambda row: row.ours <= most)


TARGETS = {
    (UNIX, "guest-ping"): _ratio_at_most(1.3, "at most 1.3 x qemu-ga"),
    (VIRTIO, "guest-ping"): _ratio_at_most(1.0, "no slower than qemu-ga"),
    (UNIX, "read 1 MiB"): _ratio_at_least(3),
    (VIRTIO, "read 1 MiB"): _ratio_at_least(3),
    (UNIX, "write 1 MiB"): _ratio_at_least(3),
    (VIRTIO, "write 1 MiB"): _ratio_at_least(3),
    (VIRTIO, "reconnect p95"): _at_most(10, "under 10 ms"),
    (PROCESS, "start to first reply"): _above_bare(40, "bare + 40 ms"),
    (PROCESS, "memory idle"): _above_bare(7, "bare + 7 MiB"),
    (PROCESS, "peak, read 48 MiB"): _at_most(3 * 64, "3 x the message"),  # which is base64
    (PROCESS, "peak, write 47 MiB"): _at_most(3 * 62.7, "3 x the message"),
    (UNIX, "wake-ups, host absent"): _at_most(0, "0"),
    (UNIX, "wake-ups, host present"): _at_most(0, "0"),
    (VIRTIO, "wake-ups, host absent"): _at_most(0, "0"),
    (VIRTIO, "wake-ups, host present"): _at_most(0, "0"),
}
