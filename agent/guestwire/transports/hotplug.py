"""News of devices, so that a port which is plugged in is found without looking again and again.

The kernel multicasts an event for each change of a device (NETLINK_KOBJECT_UEVENT, group 1; Linux
lib/kobject_uevent.c). A container may see none: then `open` gives None, and the caller must poll.
"""

from __future__ import annotations

import socket
from typing import Optional

NETLINK_KOBJECT_UEVENT = 15
KERNEL_GROUP = 1
PORT_SUBSYSTEMS = (b"SUBSYSTEM=virtio-ports", b"SUBSYSTEM=tty", b"SUBSYSTEM=xen")


def open() -> Optional[socket.socket]:
    """A non-blocking socket that is readable when a device has changed."""
    try:
        news = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            NETLINK_KOBJECT_UEVENT,
        )
        news.bind((0, KERNEL_GROUP))
    except OSError:
        return None
    return news


def is_about_ports(news: socket.socket) -> bool:
    """Read all that has come in; whether a device that can be a port was among it."""
    found = False
    while True:
        try:
            event = news.recv(8192)
        except BlockingIOError:
            return found
        except OSError:  # ENOBUFS: some were lost, and one of them may have been ours
            found = True
            continue
        found = found or any(name in event for name in PORT_SUBSYSTEMS)
