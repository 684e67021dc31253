"""guest-get-diskstats, guest-get-cpustats and guest-get-load."""

from __future__ import annotations

import os

import pytest

from guestwire.commands import statistics
from guestwire.errors import CommandError
from guestwire.system.root import Root

DISKSTATS = """\
   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0
 254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17
 254       1 vda1 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
"""
STAT = """\
cpu  3 0 0 0 0 0 0 0 0 0
cpu0 1 2 3 4 5 6 7 8 9 10
cpu12 1 2 3 4
intr 99 1 2
"""


@pytest.fixture
def proc(tmp_path):
    (tmp_path / "proc").mkdir()
    return tmp_path / "proc"


def test_each_block_device_is_told_with_what_its_kernel_counts(context, proc):
    (proc / "diskstats").write_text(DISKSTATS)
    loop0, vda, vda1 = statistics.get_diskstats(context)
    assert (vda["name"], vda["major"], vda["minor"]) == ("vda", 254, 0)
    assert vda["stats"] == {
        "read-ios": 1,
        "read-merges": 2,
        "read-sectors": 3,
        "read-ticks": 4,
        "write-ios": 5,
        "write-merges": 6,
        "write-sectors": 7,
        "write-ticks": 8,
        "ios-pgr": 9,
        "total-ticks": 10,
        "weight-ticks": 11,
        "discard-ios": 12,
        "discard-merges": 13,
        "discard-sectors": 14,
        "discard-ticks": 15,
        "flush-ios": 16,
        "flush-ticks": 17,
    }
    assert "flush-ios" not in vda1["stats"] and "discard-ticks" in vda1["stats"]
    assert "discard-ios" not in loop0["stats"]


def test_processors_are_told_in_milliseconds_without_their_sum(context, proc):
    (proc / "stat").write_text(STAT)
    tick = 1000 // os.sysconf("SC_CLK_TCK")
    first, other = statistics.get_cpustats(context)
    assert first == {
        "type": "linux",
        "cpu": 0,
        "user": 1 * tick,
        "nice": 2 * tick,
        "system": 3 * tick,
        "idle": 4 * tick,
        "iowait": 5 * tick,
        "irq": 6 * tick,
        "softirq": 7 * tick,
        "steal": 8 * tick,
        "guest": 9 * tick,
        "guestnice": 10 * tick,
    }
    assert other["cpu"] == 12 and "iowait" not in other


def test_the_load_is_three_averages(context, proc):
    (proc / "loadavg").write_text("0.51 1.25 2.00 3/456 7890\n")
    assert statistics.get_load(context) == {"load1m": 0.51, "load5m": 1.25, "load15m": 2.0}


def test_a_guest_without_proc_says_what_is_missing(context):
    with pytest.raises(CommandError, match="load average"):
        statistics.get_load(context)
    with pytest.raises(OSError, match="diskstats"):
        statistics.get_diskstats(context)


def test_this_machines_disks_are_all_told(context):
    told = statistics.get_diskstats(context._replace(root=Root("/")))
    assert {disk["name"] for disk in told} >= set(os.listdir("/sys/block"))
