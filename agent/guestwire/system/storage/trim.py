"""Telling disks which blocks the file systems on them no longer use."""

from __future__ import annotations

import errno
import os
from typing import Callable, NamedTuple, Optional

from ..root import Root
from . import ioctls
from .mounts import file_systems

Trim = Callable[[int, int], tuple[int, int]]

# ENOTTY is what devices without any such thing say, such as CD-ROMs.
UNSUPPORTED = (errno.ENOTTY, errno.EOPNOTSUPP)


class Trimmed(NamedTuple):
    """`bytes` were given back, in pieces of at least `minimum`; or `error` says why not."""

    path: str
    bytes: int = 0
    minimum: int = 0
    error: Optional[str] = None


def trim_all(root: Root, minimum: int, trim: Trim = ioctls.trim) -> list[Trimmed]:
    """Trim each file system on a disk; one that cannot be trimmed does not stop the others."""
    return [_trim(root, mount.mountpoint, minimum, trim) for mount in file_systems(root)]


def _trim(root: Root, path: str, minimum: int, trim: Trim) -> Trimmed:
    try:
        fd = root.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return Trimmed(path, error=f"failed to open: {error.strerror}")
    try:
        return Trimmed(path, *trim(fd, minimum))
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return Trimmed(path, error="trim not supported")
        return Trimmed(path, error=f"failed to trim: {error.strerror}")
    finally:
        os.close(fd)
