"""Frames: 16 bytes of header, a payload, an end mark; and a reader that finds its way in any bytes.

The header has a CRC of its own, so a length is only believed where it was written. The end mark
tells a frame that was cut off, and went on with another session's bytes, from a whole one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple, Optional, Union
from zlib import crc32

HEAD = Struct("<IBBHI")  # sync, kind, flags, length of the payload, stream
HEADER = Struct("<IBBHII")  # the same and its CRC-32
U32 = Struct("<I")
U64 = Struct("<Q")

LARGEST = 32768  # what one write to a virtio-serial port takes (Linux virtio_console.c)
OVERHEAD = HEADER.size + U32.size
LARGEST_GREETING = 4096  # of HELLO, HELLO_ACK and RESET, which any reader must take

# In place of a session's tag in what begins and ends sessions: F7 'G' 'W' 1A on the line. F7 is
# never part of UTF-8 text.
SYNC = 0x1A5747F7

HELLO = 1
HELLO_ACK = 2
RESET = 3
PING = 4
PONG = 5
OPEN = 6
ACCEPT = 7
REJECT = 8
DATA = 9
CREDIT = 10
CTRL = 11
CLOSE = 12
CANCEL = 13
EVENT = 14
RESUME = 15
GOAWAY = 16
GREETINGS = (HELLO, HELLO_ACK, RESET)

FIN = 0x01
CRC = 0x02  # the end mark is the payload's CRC-32, not the sync
OFFSET = 0x04  # the payload of DATA begins with its 64-bit offset
URGENT = 0x08
MUST_UNDERSTAND = 0x10
MORE = 0x20  # of the same body follows
CHANNEL_SHIFT = 6  # the two highest bits: 0 to 3

STALL = 0.2  # seconds without a new byte, after which an incomplete frame is looked into

Piece = Union[bytes, memoryview]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes


def encode(
    sync: int, kind: int, flags: int = 0, stream: int = 0, pieces: Sequence[Piece] = ()
) -> bytes:
    """One bytes object, since writev() to a virtio-serial port makes a queue entry per piece."""
    length = sum(map(len, pieces))
    head = HEAD.pack(sync, kind, flags, length, stream)
    if not length:
        return head + U32.pack(crc32(head))
    mark = sync
    if flags & CRC:
        mark = 0
        for piece in pieces:
            mark = crc32(piece, mark)
    return b"".join((head, U32.pack(crc32(head)), *pieces, U32.pack(mark)))


class FrameReader:
    """`feed` bytes and take the `next` frame; what is none is skipped.

    Only greetings and frames that begin with `tag` are frames. `skipped` counts what was dropped
    since it was last set to 0: within a session, frames may have been among it.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self.tag: Optional[int] = None
        self.skipped = 0
        self._longest = largest - OVERHEAD
        self._buffer = bytearray()
        self._need = HEADER.size
        self._fed = 0.0
        self._looked = False
        self._start = re.compile(re.escape(U32.pack(SYNC)))

    def expect(self, tag: Optional[int]) -> None:
        """From here on, frames begin with this tag: a session has begun, or ended (None)."""
        self.tag = tag
        self.skipped = 0
        starts = [SYNC] if tag is None else [SYNC, tag]
        self._start = re.compile(b"|".join(re.escape(U32.pack(one)) for one in starts))

    def feed(self, data: Piece, now: float) -> None:
        self._buffer += data
        self._fed = now
        self._looked = False

    def clear(self) -> None:
        self._buffer.clear()
        self._need = HEADER.size

    def next(self) -> Optional[Frame]:
        buffer = self._buffer
        while len(buffer) >= self._need:
            sync, kind, flags, length, stream, crc = HEADER.unpack_from(buffer)
            if not self._begins(sync, kind, length) or crc32(buffer[:12]) != crc:
                self._skip()
                continue
            end = 16 + length + 4 if length else 16
            if len(buffer) < end:
                self._need = end
                break
            payload = _payload(buffer, end, flags, sync)
            if payload is None:
                self._skip()
                continue
            del buffer[:end]
            self._need = 16
            return Frame(kind, flags, stream, payload)
        return None

    def stalls_at(self) -> Optional[float]:
        """When `look_inside` is due, unless more is received before."""
        return None if self._need == HEADER.size or self._looked else self._fed + STALL

    def look_inside(self) -> bool:
        """Whether an incomplete frame was cut off by a greeting behind it; then that is next.

        Its rest may also be late, since a paused guest writes nothing. So without a greeting
        nothing is given up.
        """
        self._looked = True
        buffer = self._buffer
        at = buffer.find(U32.pack(SYNC), 1)
        while at >= 0:
            if _is_whole_greeting(bytes(buffer[at : at + LARGEST_GREETING])):
                self._drop(at)
                return True
            at = buffer.find(U32.pack(SYNC), at + 1)
        return False

    def _begins(self, sync: int, kind: int, length: int) -> bool:
        if sync == SYNC:
            return kind in GREETINGS and 0 < length <= LARGEST_GREETING - OVERHEAD
        return sync == self.tag and kind > RESET and length <= self._longest

    def _skip(self) -> None:
        """Go on at the next place where a frame may begin."""
        found = self._start.search(self._buffer, 1)
        self._drop(found.start() if found else max(1, len(self._buffer) - 3))

    def _drop(self, count: int) -> None:
        self.skipped += count
        del self._buffer[:count]
        self._need = HEADER.size


def _payload(buffer: bytearray, end: int, flags: int, sync: int) -> Optional[bytes]:
    """What is between header and end mark, or None where the mark is another."""
    if end == 16:
        return b""
    (mark,) = U32.unpack_from(buffer, end - 4)
    if not (flags & CRC or mark == sync != SYNC):
        return None
    with memoryview(buffer) as view:
        payload = bytes(view[16 : end - 4])
    return None if flags & CRC and crc32(payload) != mark else payload


def _is_whole_greeting(data: bytes) -> bool:
    reader = FrameReader()
    if len(data) < HEADER.size:
        return False
    sync, kind, _, length, _, crc = HEADER.unpack_from(data)
    if not reader._begins(sync, kind, length) or crc32(data[:12]) != crc:
        return False
    reader.feed(data[: length + OVERHEAD], 0)
    return reader.next() is not None
