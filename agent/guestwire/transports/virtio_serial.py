"""virtio-serial ports, the usual channel of QEMU/KVM guests.

The kernel names them in /sys/class/virtio-ports; /dev/virtio-ports/<name> is udev's doing and may
be missing, so sysfs decides. An address that is a path names the device itself.
"""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Iterator

from ..errors import PortAbsent, TransportError
from ..system.root import Root
from .fd import FdTransport

PORTS = "/sys/class/virtio-ports"


def discover(root: Root) -> Iterator[tuple[str, str]]:
    """Yield (port name, device), e.g. ('org.qemu.guest_agent.0', '/dev/vport1p1')."""
    for port in root.names(PORTS):
        name = root.read_text(f"{PORTS}/{port}/name", missing="").strip()
        if name:
            yield name, f"/dev/{port}"


def connect(root: Root, address: str) -> FdTransport:
    """Open the port of that name. A port has one reader: a second open is refused as busy."""
    device = _device(root, address)
    try:
        fd = root.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.EBUSY:
            who = f"another program, such as qemu-ga, has it open; 'fuser {device}' tells which"
            raise TransportError(f"{device}: {who}") from error
        raise TransportError(f"{device}: {error.strerror}") from error
    if not _can_be_waited_for(fd):
        os.close(fd)
        raise TransportError(f"{device}: not a port")
    return FdTransport(fd, f"virtio-serial:{address}", lasting=True)


def _can_be_waited_for(fd: int) -> bool:
    """False for a regular file and /dev/null, of which there is never news (epoll_ctl(2))."""
    with select.epoll(flags=select.EPOLL_CLOEXEC) as trial:
        try:
            trial.register(fd, 0)
        except PermissionError:
            return False
    return True


def _device(root: Root, address: str) -> str:
    name = address
    if address.startswith("/"):
        if not address.startswith("/dev/virtio-ports/") or root.exists(address):
            return address
        name = address.rsplit("/", 1)[-1]
    ports = dict(discover(root))
    if name not in ports:
        known = ", ".join(ports) or "none at all"
        raise PortAbsent(f"no virtio-serial port is named {name!r}; there is {known}")
    return ports[name]
