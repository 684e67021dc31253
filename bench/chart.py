"""The results as bars in an SVG that can be read on white and on black."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from results import UNIX, VIRTIO, Row

WIDTH, LEFT, RIGHT, TOP = 760, 150, 60, 70
BAR, GAP = 10, 10
SERIES = ((VIRTIO, "virtio"), (UNIX, "unix"))
STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #6b7280 }
.title { font-weight: 600; font-size: 14px }
.small { font-size: 11px }
.axis { stroke: #888; stroke-opacity: .35 }
.one { stroke: #666; stroke-width: 1.5 }
.virtio { fill: #0b7285 }
.unix { fill: #74b8c4 }
@media (prefers-color-scheme: dark) {
  text { fill: #c9d1d9 } .one { stroke: #aaa }
  .virtio { fill: #3bc9db } .unix { fill: #277d8a }
}
"""


class Scale(NamedTuple):
    """A logarithmic axis: powers of two from `low` to `high`."""

    low: int
    high: int

    def x(self, factor: float) -> float:
        share = (math.log2(factor) - self.low) / (self.high - self.low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def draw(rows: Sequence[Row]) -> str:
    """How many times as fast as qemu-ga we are, in each place."""
    shown = [row for row in rows if row.ratio and row.place in (UNIX, VIRTIO) and row.unit != "MiB"]
    names = list(dict.fromkeys(row.what for row in shown))
    scale = _scale(map(_factor, shown))
    height = TOP + len(names) * (2 * BAR + GAP) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Guestwire beside qemu-ga: how many times as fast</title>",
        f"<style>\n{STYLE}</style>",
        _text(10, 20, "How many times as fast as qemu-ga", "title"),
        *_legend(),
        *_axis(scale, height),
        *_bars(shown, names, scale),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _factor(row: Row) -> float:
    assert row.ratio
    return row.ratio if row.more_is_better else 1 / row.ratio


def _scale(factors: Iterable[float]) -> Scale:
    logs = [math.log2(factor) for factor in factors]
    return Scale(min(-1, math.floor(min(logs))), max(1, math.ceil(max(logs))))


def _legend() -> Iterator[str]:
    x = LEFT
    for place, style in SERIES:
        yield f'<rect class="{style}" x="{x}" y="32" width="{BAR}" height="{BAR}"/>'
        yield _text(x + 16, 41, place, "small")
        x += 110


def _axis(scale: Scale, height: int) -> Iterator[str]:
    for power in range(scale.low, scale.high + 1):
        x = scale.x(2.0**power)
        style = "one" if power == 0 else "axis"
        yield f'<line class="{style}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{height - 6}"/>'
        yield _text(x, TOP - 11, f"{2.0**power:g}", "small", "middle")


def _bars(rows: Sequence[Row], names: Sequence[str], scale: Scale) -> Iterator[str]:
    for number, name in enumerate(names):
        top = TOP + number * (2 * BAR + GAP)
        yield _text(LEFT - 10, top + BAR + 4, name.removeprefix("guest-"), "", "end")
        for place, style in SERIES:
            for row in rows:
                if (row.place, row.what) == (place, name):
                    yield from _bar(scale, top, style, _factor(row))
            top += BAR


def _bar(scale: Scale, top: int, style: str, factor: float) -> Iterator[str]:
    start, end = sorted((scale.x(1), scale.x(factor)))
    yield (
        f'<rect class="{style}" x="{start:.1f}" y="{top}" '
        f'width="{max(1.0, end - start):.1f}" height="{BAR - 1}"/>'
    )
    yield _text(end + 4, top + BAR - 1, f"{factor:.3g}", "small")


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{text}</text>'
