"""Counters of disks and processors, and the load averages."""

from __future__ import annotations

from ..dispatch.command import Context
from ..system import activity

# In the kernel's order; see linux/Documentation/admin-guide/iostats.rst and proc_stat(5).
DISK_COUNTERS = (
    "read-ios",
    "read-merges",
    "read-sectors",
    "read-ticks",
    "write-ios",
    "write-merges",
    "write-sectors",
    "write-ticks",
    "ios-pgr",
    "total-ticks",
    "weight-ticks",
    "discard-ios",
    "discard-merges",
    "discard-sectors",
    "discard-ticks",
    "flush-ios",
    "flush-ticks",
)
CPU_COUNTERS = (
    "user",
    "nice",
    "system",
    "idle",
    "iowait",
    "irq",
    "softirq",
    "steal",
    "guest",
    "guestnice",
)


def get_diskstats(context: Context) -> list[dict[str, object]]:
    return [
        {
            "name": disk.name,
            "major": disk.major,
            "minor": disk.minor,
            "stats": dict(zip(DISK_COUNTERS, disk.counters)),
        }
        for disk in activity.disks(context.root)
    ]


def get_cpustats(context: Context) -> list[dict[str, object]]:
    return [
        {"type": "linux", "cpu": cpu.number, **dict(zip(CPU_COUNTERS, cpu.milliseconds))}
        for cpu in activity.cpus(context.root)
    ]


def get_load(context: Context) -> dict[str, float]:
    one, five, fifteen = activity.load(context.root)
    return {"load1m": one, "load5m": five, "load15m": fifteen}
