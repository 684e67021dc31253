"""What a run has found, as JSON, and as the table and the chart of the documentation."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import NamedTuple

import chart
from results import PROCESS, UNIX, VIRTIO, Row, as_json

BEGIN, END = (
    "<!-- begin of what `make bench` writes -->",
    "<!-- end of what `make bench` writes -->",
)
PLACES = {
    VIRTIO: "Over virtio-serial, both agents in one guest",
    UNIX: "Over a unix socket, without a guest",
    PROCESS: "The process",
}


class Report(NamedTuple):
    """A run."""

    rows: list[Row]
    versions: dict[str, str]
    machine: str
    date: str


def versions(qemu_ga: str) -> dict[str, str]:
    """What was compared, and with what."""
    from guestwire import __version__

    theirs = _said(qemu_ga, "-V").split()[-1]
    return {"Guestwire": __version__, "qemu-ga": theirs, "Python": platform.python_version()}


def machine() -> str:
    """Its class, not its name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{os.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, Linux {kernel}"


def line(row: Row) -> str:
    """A row for people who watch."""
    cells = [row.place, row.what, *_figures(row), row.unit, _verdict(row)]
    return "{:<14} {:<24} {:>8} {:>10} {:>10} {:>8} {:<9} {}".format(*cells)


def write_json(report: Report, path: Path) -> None:
    body = {
        "date": report.date,
        "machine": report.machine,
        "versions": report.versions,
        "rows": [as_json(row) for row in report.rows],
    }
    path.write_text(json.dumps(body, indent=1) + "\n")


def write_docs(report: Report, directory: Path) -> None:
    """Put the table between its marks, and draw the chart."""
    page = directory / "performance.md"
    head, _, rest = page.read_text().partition(BEGIN)
    tail = rest.partition(END)[2]
    page.write_text(f"{head}{BEGIN}\n\n{_tables(report)}\n{END}{tail}")
    (directory / "performance.svg").write_text(chart.draw(report.rows))


def _tables(report: Report) -> str:
    found = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    parts = [f"Measured on {report.date} with `make bench`: {report.machine}; {found}."]
    for place, title in PLACES.items():
        rows = [row for row in report.rows if row.place == place]
        if rows:
            parts += [f"### {title}", _table(rows)]
    return "\n\n".join(parts) + "\n"


def _table(rows: list[Row]) -> str:
    lines = [
        "| | ratio | Guestwire | qemu-ga | bare Python | | target |",
        "|---|--:|--:|--:|--:|---|---|",
    ]
    for row in rows:
        ratio, ours, theirs, bare = _figures(row)
        cells = [row.what, ratio and f"**{ratio}**", ours, theirs, bare, row.unit, _verdict(row)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _figures(row: Row) -> tuple[str, str, str, str]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return ratio, _short(row.ours), _short(row.theirs), "" if row.bare is None else _short(row.bare)


def _short(figure: float) -> str:
    return f"{figure:.0f}" if figure >= 100 or figure == int(figure) else f"{figure:.3g}"


def _verdict(row: Row) -> str:
    if row.target is None:
        return ""
    return f"{row.target.text}: {'met' if row.met else 'missed'}"


def _processor() -> str:
    for text in Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            return text.partition(":")[2].strip()
    return platform.machine()


def _said(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
