"""The benchmark runs, and leaves nothing out; its figures are no matter of a test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import agents

RUN = Path(__file__).resolve().parents[1] / "bench/run.py"
TALKS = (
    "guest-ping", "guest-info", "guest-get-fsinfo", "exec /bin/true",
    "read 4 KiB", "read 64 KiB", "read 1 MiB", "read 8 MiB",
    "write 4 KiB", "write 64 KiB", "write 1 MiB", "write 8 MiB",
    "reconnect p50", "reconnect p95", "wake-ups, host absent", "wake-ups, host present",
)  # fmt: skip
PROCESS = ("start to first reply", "memory idle", "peak, read 48 MiB", "peak, write 47 MiB")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    agents.require_qemu_ga()
    path = tmp_path_factory.mktemp("bench") / "results.json"
    argv = [sys.executable, str(RUN), "--quick", "--json", str(path)]
    subprocess.run(argv, check=True, timeout=120)
    return json.loads(path.read_text())


def test_a_quick_run_has_every_row(results):
    found = {(row["place"], row["what"]) for row in results["rows"]}
    assert found == {*(("unix socket", what) for what in TALKS), *(("process", p) for p in PROCESS)}


def test_every_row_has_figures_of_both_agents(results):
    for row in results["rows"]:
        if not row["what"].startswith("wake-ups"):
            assert row["ours"] > 0 and row["theirs"] > 0
            assert row["ratio"] > 0


def test_what_was_compared_is_told(results):
    assert results["versions"].keys() == {"Guestwire", "qemu-ga", "Python"}
    assert results["date"] and results["machine"]


def test_rows_with_a_target_say_whether_it_is_met(results):
    judged = [row for row in results["rows"] if row["target"]]
    assert judged
    assert all(row["met"] in (True, False) for row in judged)
