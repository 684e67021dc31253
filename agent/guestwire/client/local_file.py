"""A file of the host that comes from a guest: whole, or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO, Union


@contextlib.contextmanager
def arriving(target: Union[str, os.PathLike[str]]) -> Iterator[BinaryIO]:
    """A file to write to; it takes the target's name when the block ends without an error.

    Until then nobody else may read it. Its mode is a new file's, unless the block sets another.
    """
    real = os.path.realpath(target)
    directory, name = os.path.split(real)
    fd, temporary = tempfile.mkstemp(prefix=f".{name[:200]}.", dir=directory)
    try:
        with open(fd, "wb") as file:
            yield file
            file.flush()
            if os.fstat(fd).st_mode & 0o7777 == 0o600:
                os.fchmod(fd, 0o666 & ~_umask())
            os.fsync(fd)
        os.rename(temporary, real)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    """The kernel tells it only to who sets it; /proc does not disturb other threads."""
    with contextlib.suppress(OSError):
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    return 0o077
