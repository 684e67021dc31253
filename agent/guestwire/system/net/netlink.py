"""rtnetlink: what the kernel knows of its network, asked once for all of it.

Layouts are those of linux/netlink.h and rtnetlink(7), in the machine's byte order.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from struct import Struct

from ...errors import CommandError

MESSAGE = Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
ATTRIBUTE = Struct("=HH")  # struct rtattr: length, type
ERROR = Struct("=i")

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST_DUMP = 0x001 | 0x100 | 0x200
NLM_F_DUMP_INTR = 0x10
TYPE_MASK = 0x3FFF  # the two bits above it say "nested" and "big endian"

BUFFER = 65536  # the kernel fills at most 32 KiB of it at a time
SECONDS = 5.0  # the kernel answers at once, or while another task holds the rtnl lock, later
ATTEMPTS = 4


def dump(kind: int, header: bytes) -> list[bytes]:
    """Everything of a kind (RTM_GETLINK ...): the bytes after the header of each message.

    A dump during which something changed is asked for again, as it may lack an entry. Raises
    CommandError when the kernel, or what confines the agent, will not have it.
    """
    request = MESSAGE.pack(MESSAGE.size + len(header), kind, NLM_F_REQUEST_DUMP, 1, 0) + header
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
            kernel.settimeout(SECONDS)
            for _ in range(ATTEMPTS):
                kernel.send(request)
                found, interrupted = _receive(kernel)
                if not interrupted:
                    break
    except OSError as error:
        reason = error.strerror or error  # a timeout has no strerror
        raise CommandError(f"cannot ask the kernel for its network: {reason}") from error
    return found


def attributes(data: bytes, at: int) -> dict[int, bytes]:
    """The attributes from an offset on, by type; of a type that comes twice, the last."""
    found = {}
    end = len(data) - 3
    unpack = ATTRIBUTE.unpack_from
    while at < end:
        length, kind = unpack(data, at)
        if length < 4:
            break
        found[kind & TYPE_MASK] = data[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def _receive(kernel: socket.socket) -> tuple[list[bytes], bool]:
    found: list[bytes] = []
    interrupted = False
    while True:
        for kind, flags, body in _messages(kernel.recv(BUFFER)):
            interrupted |= bool(flags & NLM_F_DUMP_INTR)
            if kind == NLMSG_DONE:
                return found, interrupted
            if kind == NLMSG_ERROR:
                _raise(-ERROR.unpack_from(body)[0])
            found.append(body)


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + MESSAGE.size <= len(data):
        length, kind, flags, _, _ = MESSAGE.unpack_from(data, at)
        if length < MESSAGE.size:
            break
        yield kind, flags, data[at + MESSAGE.size : at + length]
        at += (length + 3) & ~3


def _raise(code: int) -> None:
    raise OSError(code or errno.EPROTO, os.strerror(code or errno.EPROTO))
