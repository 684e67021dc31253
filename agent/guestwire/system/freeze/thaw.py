"""Thawing file systems, those that somebody else has frozen as well."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from typing import Protocol

from ..root import Root
from .plan import FROZEN, Volume, plan

log = logging.getLogger(__name__)


class Kernel(Protocol):
    """What is asked of the kernel, so that a test can let it answer otherwise."""

    def freeze(self, fd: int) -> None: ...

    def thaw(self, fd: int) -> None: ...


def thaw(kernel: Kernel, volume: Volume) -> bool:
    """Thaw as often as the file system was frozen; False when it was not frozen at all."""
    thawed = False
    while True:
        try:
            kernel.thaw(volume.fd)
        except OSError:
            return thawed
        thawed = True


def thaw_all_but(root: Root, kernel: Kernel, hanging: Collection[str]) -> int:
    """Thaw what is mounted, except at the `hanging` mount points; how many were frozen.

    While a file system is being frozen, the kernel would let its thaw wait for that.
    """
    count = 0
    for volume in reversed(plan(root)):
        if volume.mountpoint not in hanging and _open(root, volume):
            count += thaw(kernel, volume)
            volume.close()
    return count


def presumably_frozen(root: Root) -> Iterator[Volume]:
    """Every file system, opened, as an agent that was killed may have frozen it."""
    for volume in plan(root):
        if _open(root, volume):
            volume.end(FROZEN, "maybe: frozen by an agent that was killed")
            yield volume


def _open(root: Root, volume: Volume) -> bool:
    try:
        volume.open(root)
    except OSError as error:
        log.warning("%s cannot be thawed: %s", volume.mountpoint, os.strerror(error.errno or 0))
    return volume.fd >= 0
