"""Attributes of sysfs: small, read and written in one system call."""

from __future__ import annotations

import os
import posixpath
from typing import Optional

from .root import Root

PAGE = 4096  # no attribute of text is longer


def attribute(root: Root, path: str, missing: Optional[str] = None) -> str:
    """The text of an attribute without its newline; `missing` when it cannot be read.

    A device that is going away answers ENODEV rather than ENOENT. Raises OSError without `missing`.
    """
    try:
        fd = os.open(root.path(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(fd, PAGE)
        finally:
            os.close(fd)
    except OSError:
        if missing is None:
            raise
        return missing
    return data.decode("utf-8", "surrogateescape").rstrip("\n")


def set_attribute(root: Root, path: str, value: str) -> None:
    """Write a value in one system call, as sysfs needs it: never a new file. Raises OSError."""
    real = root.path(path)
    fd = os.open(real, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    except OSError as error:
        error.filename = path  # write(2) does not know it, and the host should
        raise
    finally:
        os.close(fd)


def link(root: Root, path: str, missing: Optional[str] = None) -> str:
    """Where a link of sysfs leads, as a path below /sys; `missing` when there is none."""
    try:
        target = root.readlink(path)
    except OSError:
        if missing is None:
            raise
        return missing
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def numbered(root: Root, directory: str, prefix: str) -> list[int]:
    """The numbers n of the entries named `prefix`n, rising."""
    size = len(prefix)
    names = root.names(directory)
    return sorted(int(n[size:]) for n in names if n.startswith(prefix) and n[size:].isdecimal())
