"""Memory in blocks that can be taken away and given back: /sys/devices/system/memory."""

from __future__ import annotations

import errno
import logging
import os
from typing import NamedTuple

from ..errors import Unsupported
from . import sysfs
from .root import Root

DIRECTORY = "/sys/devices/system/memory"

log = logging.getLogger(__name__)


class Block(NamedTuple):
    number: int
    online: bool
    can_offline: bool


def present(root: Root) -> bool:
    """Whether the kernel was built to handle memory in blocks."""
    return root.is_directory(DIRECTORY)


def exists(root: Root, number: int) -> bool:
    return root.is_directory(_directory(number))


def blocks(root: Root) -> list[Block]:
    """By number; none where the kernel handles memory as a whole."""
    return [_block(root, number) for number in sysfs.numbered(root, DIRECTORY, "memory")]


def size(root: Root) -> int:
    """Bytes in each block."""
    if not present(root):
        raise Unsupported(f'open("{DIRECTORY}/"): No such file or directory')
    return int(sysfs.attribute(root, f"{DIRECTORY}/block_size_bytes"), 16)


def set_online(root: Root, number: int, online: bool) -> None:
    """Raises FileNotFoundError when there is no such block or switch, OSError when it fails."""
    if not exists(root, number):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), _directory(number))
    if _block(root, number).online == online:
        return
    state = "online" if online else "offline"
    sysfs.set_attribute(root, f"{_directory(number)}/state", state)
    log.info("memory block %d is %s", number, state)


def _directory(number: int) -> str:
    return f"{DIRECTORY}/memory{number}"


def _block(root: Root, number: int) -> Block:
    """A block without a switch is online; `removable` is missing before Linux 2.6.28."""
    state = sysfs.attribute(root, f"{_directory(number)}/state", missing="")
    if not state:
        return Block(number, online=True, can_offline=False)
    removable = sysfs.attribute(root, f"{_directory(number)}/removable", missing="0")
    return Block(number, state == "online", removable != "0")
