"""HELLO, HELLO_ACK and RESET: how a session begins in whatever the line still holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional

from . import frames
from .bodies import member, pack, unpack_map
from .errors import Violation
from .frames import CRC, LARGEST_GREETING, OVERHEAD, SYNC, U32, encode
from .limits import Limits, announce, announced

PROTOCOL = 1  # the highest version spoken, and the lowest
REPEAT = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0)  # seconds between HELLOs; the last one from then on
NONCE = 16  # bytes
EPOCH = 8


class Peer(NamedTuple):
    """What the other end said of itself."""

    nonce: bytes
    tag: int  # of the frames that it is sent
    first: int  # lowest number for streams that are opened to it
    epoch: bytes  # as long as the process lives
    limits: Limits
    identity: Mapping[str, object]
    capabilities: tuple[str, ...]
    versions: tuple[int, int]


def draw_tag(random: bytes) -> int:
    """Four random bytes as a tag, other than what all sessions share."""
    (tag,) = U32.unpack(random)
    return tag if tag not in (0, SYNC) else SYNC ^ 0x5A5A5A5A


def about_us(
    nonce: object, tag: int, first: int, epoch: bytes, limits: Limits,
    identity: Mapping[str, object], capabilities: tuple[str, ...], protocol: object,
) -> dict[str, object]:  # fmt: skip
    return {
        "nonce": nonce,
        "protocol": protocol,
        "tag": tag,
        "first": first,
        "epoch": epoch,
        "limits": announce(limits),
        "capabilities": list(capabilities),
        "identity": dict(identity),
    }


def greeting(kind: int, body: Mapping[str, object]) -> bytes:
    packed = pack(dict(body), LARGEST_GREETING - OVERHEAD)
    return encode(SYNC, kind, CRC, 0, (packed,))


def farewell(nonce: bytes, code: str, text: str) -> bytes:
    """A RESET; without a nonce it means: I have no session."""
    body = {"nonce": nonce, "code": code, "text": text[:512]}
    return encode(SYNC, frames.RESET, CRC, 0, (pack(body, LARGEST_GREETING - OVERHEAD),))


def parse_hello(payload: bytes) -> Peer:
    body = unpack_map(payload)
    try:
        nonce = bytes.fromhex(member(body, "nonce", str))
    except ValueError as error:
        raise Violation("a nonce must be hexadecimal") from error
    protocol = member(body, "protocol", list)
    if len(protocol) != 2 or not all(type(one) is int for one in protocol):
        raise Violation("'protocol' must be the lowest and the highest version")
    return _peer(body, nonce, (protocol[0], protocol[1]))


def parse_hello_ack(payload: bytes) -> Peer:
    body = unpack_map(payload)
    version = member(body, "protocol", int)
    return _peer(body, member(body, "nonce", bytes), (version, version))


def parse_farewell(payload: bytes) -> tuple[bytes, str]:
    """The nonce and the reason."""
    body = unpack_map(payload)
    return member(body, "nonce", bytes), member(body, "text", str)


def _peer(body: dict[str, object], nonce: bytes, versions: tuple[int, int]) -> Peer:
    tag, first = member(body, "tag", int), member(body, "first", int)
    epoch = member(body, "epoch", bytes)
    if len(nonce) != NONCE or len(epoch) != EPOCH:
        raise Violation("a nonce must be 16 bytes, an epoch 8")
    if not 0 < tag < 1 << 32 or tag == SYNC or first < 1:
        raise Violation("'tag' or 'first' is out of range")
    names = member(body, "capabilities", list)
    capabilities = tuple(one for one in names if isinstance(one, str))
    limits = announced(member(body, "limits", dict))
    return Peer(nonce, tag, first, epoch, limits, member(body, "identity", dict),
                capabilities, versions)  # fmt: skip


class Greeter:
    """The host's part: when to say HELLO, and whether it comes back to us."""

    def __init__(self) -> None:
        self.nonce = b""
        self.due: Optional[float] = None
        self._step = 0
        self._tail = b""
        self._needle = b""

    def start(self, nonce: bytes, now: float) -> None:
        self.nonce = nonce
        self._needle = nonce.hex().encode()
        self._tail = b""
        self.due = now + REPEAT[0]
        self._step = 1

    def stop(self) -> None:
        self.due = None

    def is_due(self, now: float) -> bool:
        """Whether to say HELLO (again); from then on, the next one is awaited."""
        if self.due is None or now < self.due:
            return False
        self.due = now + REPEAT[min(self._step, len(REPEAT) - 1)]
        self._step += 1
        return True

    def echoed(self, data: bytes) -> bool:
        """Whether these bytes complete our nonce as HELLO spells it; HELLO_ACK does not.

        A terminal that echoes may write control characters as ^X, but leaves this text alone.
        """
        if not self._needle:
            return False
        seen = self._tail + data
        if self._needle in seen:
            self._needle = b""
            return True
        self._tail = seen[-len(self._needle) + 1 :]
        return False
