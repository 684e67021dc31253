"""What the kernel has counted of its disks and processors, and its load averages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import CommandError
from .root import Root


class DiskActivity(NamedTuple):
    """`counters` are the columns of Linux's admin-guide/iostats.rst; older kernels have fewer."""

    name: str
    major: int
    minor: int
    counters: list[int]


class CpuActivity(NamedTuple):
    """`milliseconds` in user, nice, system ..., as in proc_stat(5); older kernels have fewer."""

    number: int
    milliseconds: list[int]


def disks(root: Root) -> Iterator[DiskActivity]:
    """Every block device, idle loop devices and partitions included. Raises OSError."""
    for line in root.read_text("/proc/diskstats").split("\n"):
        fields = line.split()
        if len(fields) >= 14:
            yield DiskActivity(
                fields[2], int(fields[0]), int(fields[1]), [int(field) for field in fields[3:]]
            )


def cpus(root: Root) -> Iterator[CpuActivity]:
    """The processors that are online; not the line that sums them up. Raises OSError."""
    hertz = os.sysconf("SC_CLK_TCK")
    for line in root.read_text("/proc/stat").split("\n"):
        fields = line.split()
        if fields and fields[0].startswith("cpu") and fields[0] != "cpu":
            yield CpuActivity(
                int(fields[0][3:]), [int(field) * 1000 // hertz for field in fields[1:]]
            )


def load(root: Root) -> tuple[float, float, float]:
    """The averages of one, five and fifteen minutes."""
    try:
        one, five, fifteen = root.read_text("/proc/loadavg").split()[:3]
    except OSError as error:
        raise CommandError(f"cannot query load average: {error.strerror}") from error
    return float(one), float(five), float(fifteen)
