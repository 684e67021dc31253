"""The host's half of the QEMU guest agent's dialect. No I/O happens here.

What comes from a guest is not trusted: every size has a limit, and whatever is not the answer
to what was asked is dropped or ends the conversation.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import NamedTuple, Optional, Union

from .errors import BadAnswer, EchoingTty

RESET = b"\xff"  # never part of UTF-8: drops what an earlier host sent half, and marks the sync
SYNC = "guest-sync-delimited"
LONGEST_GREETING = 1 << 16  # bytes of one line while the sync's answer is awaited
MOST_GARBAGE = 256 << 20  # bytes before the sync's answer: more than any late reply can be
MOST_STALE = 10_000  # answers to others, in a row
MOST_MARKS = 500_000  # brackets and commas of one answer; each costs up to 100 bytes of memory
LONGEST_NUMBER = 40  # digits; int() takes quadratic time


class Value(NamedTuple):
    """What a command returned."""

    value: object


class Refusal(NamedTuple):
    """The agent's error object."""

    error_class: str
    desc: str


Answer = Union[Value, Refusal]


class Conversation:
    """`greet`, `receive` until `in_step`; then `ask` and `receive` until there is an `answer`.

    What is to be sent is handed out by `take`, which is asked after each of these. The caller
    owns the channel, the clock and the patience. After BadAnswer the conversation is over.
    """

    def __init__(self) -> None:
        self.in_step = False
        self.refusal: Optional[Refusal] = None  # the agent answered the greeting with an error
        self._ids = True  # agents before QEMU 3.1 refuse the member "id"
        self._greetings: set[int] = set()
        self._buffer = bytearray()
        self._searched = 0  # up to here in the buffer there is no newline
        self._outgoing = bytearray()
        self._limit = LONGEST_GREETING
        self._wanted = self._after = 0  # ids: of the request, of the ping that follows a silent one
        self._garbage = self._stale = 0

    def greet(self) -> None:
        """Ask for a sync; again is no harm, the answer to any greeting will do."""
        number = _number()
        self._greetings.add(number)
        self._outgoing += RESET + self._request(SYNC, {"id": number}, number)

    def ask(
        self, command: str, arguments: Mapping[str, object], limit: int, silent: bool = False
    ) -> None:
        """Send a request; its answer may have `limit` bytes.

        A command that is `silent` when it succeeds is followed by a ping: answers come in order,
        so the ping's tells of the success.
        """
        self._wanted, self._after = _number(), 0
        self._limit, self._stale = limit, 0
        self._outgoing += self._request(command, arguments, self._wanted)
        if silent and self._ids:
            self._after = _number()
            self._outgoing += self._request("guest-ping", {}, self._after)

    def take(self) -> bytes:
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def receive(self, data: bytes) -> None:
        self._buffer += data
        if not self.in_step:
            self._look_for_sync()

    def answer(self) -> Optional[Answer]:
        """The answer to the last `ask`, or None until more bytes are received."""
        while (line := self._line()) is not None:
            found = self._answer_in(line)
            if found is not None:
                return found
            self._stale += 1
            if self._stale > MOST_STALE:
                raise BadAnswer(f"the guest sent {MOST_STALE} answers to nothing that was asked")
        if len(self._buffer) > self._limit:
            raise BadAnswer(f"the guest's answer is longer than {self._limit} bytes")
        return None

    def _look_for_sync(self) -> None:
        while not self.in_step and (line := self._line()) is not None:
            self._garbage += len(line)
            self._greeting_in(line)
        if self.in_step:
            return
        if len(self._buffer) > LONGEST_GREETING:  # an old answer, of any length
            self._garbage += len(self._buffer)
            del self._buffer[: max(self._buffer.rfind(RESET), len(self._buffer) - 4096)]
            self._searched = 0
        if self._garbage > MOST_GARBAGE:
            raise BadAnswer("the guest sends without end and never what a sync is answered with")

    def _greeting_in(self, line: bytes) -> None:
        _, mark, last = line.rpartition(RESET)
        body = _parse(last)
        if body is None:
            return
        mine = _is_one_of(body.get("id"), self._greetings)
        if body.get("execute") == SYNC and (mine or "id" not in body):
            raise EchoingTty(
                "what was sent comes back: this is a terminal, and no agent",
                "is it the agent's port? end what reads it in the guest, e.g. a getty",
            )
        number = body.get("return")
        if mark and type(number) is int and number in self._greetings:
            self.in_step = True
            return
        try:
            error = _refusal(body)
        except BadAnswer:  # somebody's, once
            return
        if error is None:
            return
        if mine:
            self.refusal = error
        elif self._ids and "'id' is unexpected" in error.desc:
            self._ids = False
            self.greet()

    def _answer_in(self, line: bytes) -> Optional[Answer]:
        _, mark, last = line.rpartition(RESET)
        if not last.strip():
            return None
        body = _parse(last)
        if body is None:
            raise BadAnswer("the guest's answer is not JSON, or not an object")
        number = body.get("id")
        if self._ids:
            # An error without an id is about bytes that were no request to the agent.
            mine = number == self._wanted and type(number) is int
            followed = bool(self._after) and number == self._after
            if not mine and not followed and not ("error" in body and "id" not in body):
                return None
            if followed and not mine:
                return Value(None)
        elif mark or not ("return" in body or "error" in body):
            return None
        error = _refusal(body)
        if error is not None:
            return error
        if "return" not in body:
            raise BadAnswer("the guest's answer holds neither 'return' nor 'error'")
        return Value(body["return"])

    def _request(self, command: str, arguments: Mapping[str, object], number: int) -> bytes:
        body: dict[str, object] = {"execute": command}
        if arguments:
            body["arguments"] = arguments
        if self._ids:
            body["id"] = number
        return json.dumps(body).encode() + b"\n"

    def _line(self) -> Optional[bytes]:
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            return None
        if end > self._limit and self.in_step:
            raise BadAnswer(f"the guest's answer is longer than {self._limit} bytes")
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line


def parse_answer(line: bytes) -> Answer:
    """An answer that came whole, without a conversation around it, as from libvirt."""
    body = _parse(line)
    if body is None:
        raise BadAnswer("the guest's answer is not JSON, or not an object")
    error = _refusal(body)
    if error is not None:
        return error
    if "return" not in body:
        raise BadAnswer("the guest's answer holds neither 'return' nor 'error'")
    return Value(body["return"])


def _number() -> int:
    """Random, so that no answer to an earlier host fits; below 2^53, which every JSON keeps."""
    return secrets.randbelow((1 << 52) - 1) + 1


def _parse(line: bytes) -> Optional[dict[str, object]]:
    if sum(map(line.count, (b",", b"[", b"{"))) > MOST_MARKS:
        return None
    try:
        body = json.loads(line, parse_int=_integer)
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _integer(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError("a number of too many digits")
    return int(digits)


def _is_one_of(number: object, numbers: set[int]) -> bool:
    return type(number) is int and number in numbers


def _refusal(body: Mapping[str, object]) -> Optional[Refusal]:
    if "error" not in body:
        return None
    error = body["error"]
    if not isinstance(error, dict):
        raise BadAnswer("the guest's error is not an object")
    kind, desc = error.get("class"), error.get("desc")
    if not isinstance(kind, str) or not isinstance(desc, str):
        raise BadAnswer("the guest's error lacks 'class' or 'desc'")
    return Refusal(kind, desc)
