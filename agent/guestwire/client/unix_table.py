"""The kernel's list of unix sockets: whether a connection was ever accepted.

connect() to a listening socket succeeds as soon as there is room in its queue. QEMU stops
listening while it has a client, so the next one waits there, and only the kernel knows.
"""

from __future__ import annotations

import os

CONNECTING = b"02"  # SS_CONNECTING, in the column St: connected, but not accepted


def waiting(path: str, table: str = "/proc/net/unix") -> int:
    """Connections to the socket at `path` that nobody has accepted yet; 0 without a /proc.

    The path is as the listener bound it, which getpeername() tells.
    """
    wanted = os.fsencode(path)
    count = 0
    try:
        with open(table, "rb") as file:
            for line in file:
                words = line.rstrip(b"\n").split(None, 7)
                if len(words) == 8 and words[7] == wanted and words[5] == CONNECTING:
                    count += 1
    except OSError:
        return 0
    return count
