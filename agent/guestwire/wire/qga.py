"""QEMU guest agent dialect: JSON objects, one a line. No I/O happens here.

An object is acted upon when its outermost brace closes; hosts may, but need not, end it with a
newline. See `json_reader` for what is taken as JSON, and for 0xFF.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Callable, Optional

from ..errors import PeerError
from .events import ABSENT, Answer, Reply, Request
from .json_reader import NOTHING, RESET, JsonReader
from .json_writer import write_line

CLASSES = {"unknown-command": "CommandNotFound", "not-permitted": "CommandNotFound"}
OTHER_CLASS = "GenericError"
HASTY = 1 << 16  # longer lines are left to the reader, which needs less memory for them
UNENDED = 1 << 12  # the same where no newline follows, since then each look is at all that is left

# What a host says first, with its members in either order (libvirt writes one, Perl's JSON both).
GREETING = re.compile(
    rb'\{\s*(?:"arguments"\s*:\s*\{\s*"id"\s*:\s*-?[0-9]+\s*\}\s*,\s*)?'
    rb'"execute"\s*:\s*"guest-sync(?:-delimited)?"'
)


# A command without arguments, as monitors send it every few seconds, is told without a parser.
BARE = re.compile(rb'\{"execute": ?"([a-z-]{1,64})"(?:, ?"arguments": ?\{\})?\}\r?\n')


class BadRequest(PeerError):
    """The bytes are JSON, but no request; the answer carries the `id` they hold."""

    def __init__(self, text: str, body: Mapping[str, object]) -> None:
        super().__init__(text)
        self.id = body.get("id", ABSENT)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("duplicate key")
    return made


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


# The C function in the decoder; raw_decode only gives its StopIteration another name.
_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
_scan: Callable[[str, int], tuple[object, int]] = _decoder.scan_once  # type: ignore[attr-defined]


class QgaDialect:
    """`receive` bytes, take `next_request`s, and `send` turns answers into bytes.

    The limits hold for each request: bytes and number of its tokens, and nesting.

    0xFF goes before the reply of guest-sync-delimited and nowhere else. (qemu-ga keeps a flag
    instead, and puts it before whatever it sends next; that is the same as long as commands run
    one by one, and survives neither a second thread nor a client that left.)

    A host that comes quickly after another is not told from it by any kernel: its bytes follow
    those of a request that will never be whole. But it has a chunk of its own, and it begins with
    a sync, which is what no request that goes on after a cut begins with.
    """

    def __init__(
        self, token_bytes: int = 64 << 20, tokens: int = 2 << 20, nesting: int = 1024
    ) -> None:
        self._reader = JsonReader(token_bytes, tokens, nesting)
        self._nesting = nesting
        self._hasty = min(HASTY, token_bytes, tokens)
        self._fresh = b""  # received while the reader was idle, and not looked at yet
        self._at = 0
        self._reading = False  # the reader may hold something
        self._cut = False  # all that was received is taken, and a request is half received

    def receive(self, data: bytes) -> None:
        """Take what one read has given; where it was cut from the rest tells a new host."""
        if self._fresh:
            self._give_up_haste()
        if self._cut and GREETING.match(data):
            self.reset()
        self._cut = False
        if self._reading:
            self._reader.feed(data)
        else:
            self._fresh = data.lstrip(RESET)

    def next_request(self) -> Optional[Request]:
        """The next whole request, or None until more bytes are received.

        Raises PeerError for what is none; `refuse` makes the answer, and the next call goes on
        behind it.
        """
        if self._fresh:
            bare = BARE.match(self._fresh, self._at, self._at + self._hasty)
            if bare:
                self._advance(bare.end())
                return Request(bare[1].decode(), {})
            body = self._glance()
            if body is not NOTHING:
                return _request(body)
            self._give_up_haste()
        elif not self._reading:
            return None
        value = self._reader.next_value()
        if value is NOTHING:
            self._cut = self._reading = not self._reader.idle
            return None
        self._fresh = self._reader.unread(HASTY)
        return _request(value)

    def refuse(self, error: PeerError) -> bytes:
        """The answer to what `next_request` raised."""
        number = error.id if isinstance(error, BadRequest) else ABSENT
        return write_line(b"", "error", _failure(OTHER_CLASS, error), number)

    def send(self, answer: Answer) -> bytes:
        """One line, or nothing for a silent reply."""
        request = answer.request
        number = ABSENT if request is None else request.id
        if not isinstance(answer, Reply):
            kind = CLASSES.get(answer.error.code, OTHER_CLASS)
            return write_line(b"", "error", _failure(kind, answer.error), number)
        if answer.silent:
            return b""
        start = RESET if answer.request.command == "guest-sync-delimited" else b""
        try:
            return write_line(start, "return", answer.value, number)
        except (TypeError, ValueError) as error:
            return write_line(b"", "error", _failure(OTHER_CLASS, error), number)

    def reset(self) -> None:
        """The host left: nothing of what it sent half can be part of what the next one sends."""
        self._fresh = b""
        self._at = 0
        self._reading = False
        self._reader.reset()

    def _advance(self, end: int) -> None:
        """What is fresh has been taken up to `end`."""
        if end == len(self._fresh):
            self._fresh = b""
            end = 0
        self._at = end

    def _give_up_haste(self) -> None:
        self._reader.feed(self._fresh[self._at :])
        self._reading = True
        self._fresh = b""
        self._at = 0

    def _glance(self) -> object:
        """The object at the front, if json's C code finds one there that leaves no doubt.

        It takes less than the reader does: no single quotes, no lone surrogates. What it takes
        beyond that (NaN, duplicate keys, any nesting) is kept out here.
        """
        fresh, start = self._fresh, self._at
        end = fresh.find(b"\n", start, start + self._hasty) + 1
        if not end:
            end = len(fresh)
            if end - start > min(UNENDED, self._hasty):
                return NOTHING
        line = fresh[start:end]
        if b"\\u" in line:
            return NOTHING
        if len(line) > self._nesting < line.count(b"[") + line.count(b"{"):
            return NOTHING
        try:
            text = line.decode()
            body, stop = _scan(text, 0)
        except (ValueError, StopIteration, RecursionError):
            return NOTHING
        if type(body) is not dict:
            return NOTHING
        if text[stop:] not in ("\n", "", "\r\n"):
            end = start + len(text[:stop].encode())
        self._advance(end)
        return body


def _request(body: object) -> Request:
    if not isinstance(body, dict):
        raise PeerError("QMP input must be a JSON object")
    for name, member in body.items():
        if name == "execute":
            if type(member) is not str:
                raise BadRequest("QMP input member 'execute' must be a string", body)
        elif name == "arguments":
            if type(member) is not dict:
                raise BadRequest("QMP input member 'arguments' must be an object", body)
        elif name != "id":
            raise BadRequest(f"QMP input member '{name}' is unexpected", body)
    if "execute" not in body:
        raise BadRequest("QMP input lacks member 'execute'", body)
    return Request(body["execute"], body.get("arguments", {}), body.get("id", ABSENT))


def _failure(kind: str, error: Exception) -> dict[str, object]:
    return {"class": kind, "desc": str(error)}
