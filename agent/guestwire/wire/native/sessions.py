"""How sessions begin and end, at either end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable, Optional

from . import frames
from .errors import Violation
from .events import EchoDetected, SessionEnded, SessionStarted
from .frames import Frame, FrameReader
from .handshake import (
    EPOCH,
    NONCE,
    PROTOCOL,
    Greeter,
    Peer,
    about_us,
    draw_tag,
    farewell,
    greeting,
    parse_farewell,
    parse_hello,
    parse_hello_ack,
)
from .limits import agree
from .table import Table


class Sessions:
    """Holds the reader's tag and the table to the session that there is."""

    def __init__(
        self,
        host: bool,
        table: Table,
        reader: FrameReader,
        random: Callable[[int], bytes],
        identity: Mapping[str, object],
        capabilities: tuple[str, ...],
    ) -> None:
        self.peer: Optional[Peer] = None  # of this session
        self.waiting: dict[int, bytes] = {}  # greetings to be sent, by type
        self._host = host
        self._table = table
        self._reader = reader
        self._random = random
        self._identity = identity
        self._capabilities = capabilities
        self._epoch = random(EPOCH)
        self._last_epoch = b""  # of the last session's peer
        self._greeter = Greeter()
        self._tag = 0  # of what we are sent

    def start(self, now: float) -> None:
        self.end("started anew", now)
        if not self._host:
            self.waiting[frames.RESET] = farewell(b"", "started", "the agent has started")
            return
        nonce = self._random(NONCE)
        self._tag = draw_tag(self._random(4))
        self._greeter.start(nonce, now)
        self._greet()

    def stop(self, why: str, code: str, now: float) -> None:
        nonce = self.peer.nonce if self.peer else self._greeter.nonce
        self._greeter.stop()
        self.end(why, now)
        self.waiting = {frames.RESET: farewell(nonce, code, why)}

    def disconnected(self, now: float) -> None:
        self.end("the other end left", now)
        self._reader.clear()
        self.waiting.clear()

    def end(self, why: str, now: float) -> None:
        self._reader.expect(None)
        if self.peer is not None:
            self.peer = None
            self._table.end(now)
            self._table.events.append(SessionEnded(why))

    def fail(self, error: Violation, now: float) -> None:
        """The other end broke a rule."""
        if self._greeter.due is not None:
            self._give_up(str(error))
        self.stop(str(error), error.code, now)

    def greets_at(self) -> Optional[float]:
        return self._greeter.due

    def tick(self, now: float) -> None:
        if self._greeter.is_due(now):
            self._greet()

    def look_for_echo(self, data: bytes) -> None:
        if self._greeter.due is not None and self._greeter.echoed(data):
            self._table.events.append(EchoDetected())

    def on_greeting(self, frame: Frame, now: float) -> None:
        if frame.kind == frames.RESET:
            self._on_reset(frame.payload, now)
        elif frame.kind == frames.HELLO and not self._host:
            self._on_hello(frame.payload, now)
        elif frame.kind == frames.HELLO_ACK and self._host:
            self._on_ack(frame.payload)

    def _on_hello(self, payload: bytes, now: float) -> None:
        peer = parse_hello(payload)
        if self.peer is None or peer.nonce != self.peer.nonce:
            lowest, highest = peer.versions
            if not lowest <= PROTOCOL <= highest:
                text = f"this agent speaks version {PROTOCOL} alone"
                self.waiting[frames.RESET] = farewell(peer.nonce, "version", text)
                return
            self.end("another host session began", now)
            self._tag = draw_tag(self._random(4))
            self._begin(peer)
        self.waiting[frames.HELLO_ACK] = greeting(frames.HELLO_ACK, self._about_us(peer.nonce))

    def _on_ack(self, payload: bytes) -> None:
        peer = parse_hello_ack(payload)
        if self.peer is not None:
            if peer.nonce != self.peer.nonce:
                raise Violation("the guest has begun another session")
        elif self._greeter.due is not None and peer.nonce == self._greeter.nonce:
            if peer.versions[0] != PROTOCOL:
                raise Violation(f"the guest chose version {peer.versions[0]}")
            self._greeter.stop()
            self._begin(peer)

    def _on_reset(self, payload: bytes, now: float) -> None:
        nonce, text = parse_farewell(payload)
        if self.peer is not None:
            if nonce == self.peer.nonce or (self._host and not nonce):
                self.end(text, now)
        elif self._greeter.due is not None:
            if not nonce:
                self._greet()
            elif nonce == self._greeter.nonce:
                self._give_up(text)

    def _begin(self, peer: Peer) -> None:
        table = self._table
        table.begin(peer.tag, agree(table.limits, peer.limits), peer.first)
        self.peer = peer
        self.waiting.clear()
        self._reader.expect(self._tag)
        same, self._last_epoch = peer.epoch == self._last_epoch, peer.epoch
        table.events.append(SessionStarted(peer.identity, peer.nonce, same, peer.capabilities))

    def _give_up(self, why: str) -> None:
        """No session comes of this greeting."""
        self._greeter.stop()
        self.waiting.clear()
        self._table.events.append(SessionEnded(why))

    def _greet(self) -> None:
        self.waiting[frames.HELLO] = greeting(
            frames.HELLO, self._about_us(self._greeter.nonce.hex())
        )

    def _about_us(self, nonce: object) -> dict[str, object]:
        protocol: object = [PROTOCOL, PROTOCOL] if self._host else PROTOCOL
        table = self._table
        return about_us(nonce, self._tag, table.first_of_theirs, self._epoch, table.limits,
                        self._identity, self._capabilities, protocol)  # fmt: skip
