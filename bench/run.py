"""Guestwire and qemu-ga side by side, in one run: `make bench`.

A whole run writes bench/results.json, and from it docs/performance.md and docs/performance.svg.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import here
import idle
import report
import talks
from results import Row
from talks import Amount

if TYPE_CHECKING:
    from guest import TwoAgents

TREE = Path(__file__).resolve().parents[1]
RESULTS = TREE / "bench/results.json"
SHARED_MEMORY = "/dev/shm"  # files in memory: disks are no matter of an agent


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # agents and guest shall end as well
    start = time.monotonic()
    rows: list[Row] = []
    versions = report.versions(here.QEMU_GA)
    with contextlib.ExitStack() as stack:
        for row in _measure(options, versions, stack):
            print(f"{time.monotonic() - start:5.0f} s  {report.line(row)}", flush=True)
            rows.append(row)
    found = report.Report(rows, versions, report.machine(), time.strftime("%Y-%m-%d"))
    if options.json:
        report.write_json(found, options.json)
    elif options.vm:
        report.write_json(found, RESULTS)
        report.write_docs(found, TREE / "docs")


def _measure(
    options: argparse.Namespace, versions: dict[str, str], stack: contextlib.ExitStack
) -> Iterator[Row]:
    amount = talks.QUICK if options.quick else Amount()
    here.compile_ours()
    directory = Path(stack.enter_context(_directory()))
    yield here.start_row(directory, amount.starts)
    yield from here.memory_rows(directory)
    pairs = [stack.enter_context(here.pair(directory))]
    yield from talks.rows(pairs[0], amount)
    if options.vm:
        two = stack.enter_context(_guest(directory))
        versions.update(two.versions())
        yield two.memory_row()
        yield from talks.rows(two.pair, amount)
        pairs.append(two.pair)
    yield from idle.rows(pairs, amount.idle)


def _guest(directory: Path) -> contextlib.AbstractContextManager[TwoAgents]:
    import guest  # it needs what boots guests

    return guest.both(directory)


def _directory() -> tempfile.TemporaryDirectory[str]:
    place = SHARED_MEMORY if os.path.isdir(SHARED_MEMORY) else None
    return tempfile.TemporaryDirectory(prefix="guestwire-bench-", dir=place)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds, no guest; to try it")
    parser.add_argument("--no-vm", dest="vm", action="store_false", help="unix socket only")
    parser.add_argument("--json", type=Path, help="a file for the results, in place of the tree's")
    options = parser.parse_args()
    options.vm = options.vm and not options.quick
    return options


if __name__ == "__main__":
    main()
