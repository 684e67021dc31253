"""JSON values out of bytes that arrive in any pieces, read as QEMU's own lexer reads them.

Beyond RFC 8259 it takes single-quoted strings and the escape \\'. What it refuses, and where it
goes on after that, follows what a running qemu-ga 7.2 does with the same bytes. It differs where
a host gains from it:

- 0xFF silently drops the value that is half received. qemu-ga answers it with an error line, which
  a client cannot tell from the answer to its next request.
- A value that is too large (not: too deep) is dropped up to the end of its line, with one error,
  instead of reading the rest of a string of base64 as if values began in it.
- A number or a keyword ends at 4,096 bytes, since no more of them mean anything.
- Noncharacters such as U+FFFF are taken, as RFC 8259 asks; the overlong NUL (C0 80) is not.
"""

from __future__ import annotations

import re
from typing import Optional

from ..errors import PeerError
from .json_escapes import unescaped
from .json_value import JsonValue

NOTHING = object()  # no value can be this: None is JSON's null
RESET = b"\xff"  # never part of UTF-8, so it can only mean "forget what I sent"

TOKEN = re.compile(
    rb"[ \t\r\n]*(?:"
    rb"([{}\[\]:,])"
    rb'|"([^"\\\x00-\x1f\xfe\xff]{0,4096})"'
    rb"|(-?(?:0|[1-9][0-9]{0,4095}))(?=[^0-9.eE])"
    rb"|([a-z]{1,4096})(?=[^a-z]))"
)
MARK, STRING, INTEGER, KEYWORD = range(1, 5)
SPACE = re.compile(rb"[ \t\r\n]*")
NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
NUMBER_SO_FAR = re.compile(
    rb"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:(?<=[0-9])[eE](?:[-+]?[0-9]*))?)?"
)
KEYWORD_SO_FAR = re.compile(rb"[a-z]+")
KEYWORDS = {b"true": True, b"false": False, b"null": None}
LONGEST_SCALAR = 4096

STRING_STOP = {
    0x22: re.compile(rb'["\\\x00-\x1f\xfe\xff]'),
    0x27: re.compile(rb"['\\\x00-\x1f\xfe\xff]"),
}
# What a chunk may hold and leave us inside of the string, whichever quote began it.
STRING_INSIDE = bytes(set(range(0x20, 0xFE)) - set(b"\"'\\"))
BACKSLASH = 0x5C

AFTER_STRAY = re.compile(rb"[\x00-\x08\x0a-\x1f{}\[\]:,\xfe\xff]")
AFTER_LINE = re.compile(rb"[\x00-\x08\x0a-\x1f\xfe\xff]")
SHOWN = 40  # bytes of a stray token that the error shows: the token may have millions


class JsonReader:
    """`feed` bytes, take the `next_value`s.

    The limits hold for each outermost value: bytes and number of its tokens, and nesting.
    """

    def __init__(self, token_bytes: int, tokens: int, nesting: int) -> None:
        self._limits = (token_bytes, tokens, nesting)
        self.reset()

    def reset(self) -> None:
        """Forget everything that was fed."""
        self._buffer = bytearray()
        self._at = 0  # where the next token begins, or the string that we are in
        self._skip: Optional[re.Pattern[bytes]] = None  # a mistake was made: go on at this
        self._begin()

    def _begin(self) -> None:
        """What lies ahead is a new outermost value."""
        self._value = JsonValue()
        self._size = self._count = 0
        self._quote = 0  # of the string that we are in
        self._seen = 0  # up to here in the buffer the string is known to go on

    @property
    def idle(self) -> bool:
        """Nothing is half received."""
        return not (self._buffer or self._count or self._skip or self._quote)

    def feed(self, data: bytes) -> None:
        # A large string arrives in thousands of small chunks: each is looked at once, in C. With
        # escapes alone left of it, and none cut at its end, it is the middle of the string.
        inside = self._quote and self._seen == len(self._buffer)
        self._buffer += data
        if inside and not (
            data.translate(None, STRING_INSIDE).strip(b"\\") or data.endswith(b"\\")
        ):
            self._seen = len(self._buffer)

    def unread(self, most: int) -> bytes:
        """Take back what was fed and not read, when that is where a value begins.

        Nothing when it is more than `most` bytes.
        """
        rest = len(self._buffer) - self._at
        if self._count or self._skip or self._quote or rest > most:
            return b""
        data = bytes(self._buffer[self._at :])
        self._buffer.clear()
        self._at = 0
        return data

    def next_value(self) -> object:
        """The next whole value, or NOTHING until more is fed. Raises PeerError once a mistake."""
        while True:
            if self._skip and not self._skipped(self._skip):
                break
            if self._quote:
                more = self._string()
            else:
                match = TOKEN.match(self._buffer, self._at)
                more = self._token(match) if match else self._odd()
            if not more:
                break
            if self._value.whole:
                value = self._value
                self._begin()
                return value.take()
        del self._buffer[: self._at]
        self._seen = max(self._seen - self._at, 0)
        self._at = 0
        return NOTHING

    def _token(self, match: re.Match[bytes]) -> bool:
        kind = match.lastindex or 0
        text = match[kind]
        self._at = match.end()
        self._admit(len(text) + (2 if kind == STRING else 0))
        if kind == MARK:
            self._value.mark(chr(text[0]))
            if self._value.depth > self._limits[2]:
                self._refuse("JSON nesting depth limit exceeded", None)
        elif kind == STRING:
            self._plain(text)
        elif kind == INTEGER:
            self._value.scalar(int(text))
        elif text in KEYWORDS:
            self._value.scalar(KEYWORDS[text])
        else:
            self._value.invalid(f"invalid keyword '{text[:SHOWN].decode()}'")
        return True

    def _plain(self, text: bytes) -> None:
        try:
            self._value.scalar(text.decode())
        except UnicodeDecodeError:
            self._value.invalid("invalid UTF-8 sequence in string")

    def _odd(self) -> bool:
        """Everything that is rare: a token that is cut, a float, a single quote, a mistake."""
        space = SPACE.match(self._buffer, self._at)
        self._at = start = space.end() if space else self._at
        if start == len(self._buffer):
            return False
        first = self._buffer[start]
        if first in STRING_STOP:
            self._quote = first
            self._seen = start + 1
            return True
        if first in b"-0123456789":
            return self._number()
        if chr(first) in "abcdefghijklmnopqrstuvwxyz":
            return self._cut(KEYWORD_SO_FAR)
        return self._stray(start, start)

    def _number(self) -> bool:
        match = NUMBER_SO_FAR.match(self._buffer, self._at)
        text = match[0] if match else b""
        end = self._at + len(text)
        if end == len(self._buffer) or len(text) > LONGEST_SCALAR:
            return self._cut(NUMBER_SO_FAR)
        if not NUMBER.fullmatch(text) or self._buffer[end] in b"0123456789":
            return self._stray(self._at, end)
        self._at = end
        self._admit(len(text))
        self._value.scalar(float(text))  # an integer would have been a TOKEN
        return True

    def _cut(self, form: re.Pattern[bytes]) -> bool:
        """A number or keyword that reaches the end of the buffer, if it is not too long."""
        match = form.match(self._buffer, self._at)
        length = len(match[0]) if match else 0
        if length > LONGEST_SCALAR:
            self._at += length
            self._refuse("JSON token size limit exceeded", AFTER_LINE)
        return False

    def _string(self) -> bool:
        """The string that we are in, if it ends in the buffer."""
        start, end = self._at + 1, self._string_end()
        if end is None:
            if self._size + len(self._buffer) - self._at > self._limits[0]:
                self._at = len(self._buffer)
                self._refuse("JSON token size limit exceeded", AFTER_LINE)
            return False
        if self._buffer[end] != self._quote:
            return self._stray(self._at, end)
        self._quote = 0
        self._at = end + 1
        self._admit(end - start + 2)
        try:
            self._value.scalar(unescaped(self._cut_out(start, end)))
        except ValueError as error:
            self._value.invalid(str(error))
        return True

    def _string_end(self) -> Optional[int]:
        """Where the string's quote is, or the byte that cannot be in it; None while it goes on."""
        stop, buffer, at = STRING_STOP[self._quote], self._buffer, self._seen
        while True:
            match = stop.search(buffer, at)
            if match is None:
                self._seen = len(buffer)
                return None
            at = match.start()
            if buffer[at] != BACKSLASH:
                return at
            if at + 1 == len(buffer):
                self._seen = at
                return None
            if not 0x20 <= buffer[at + 1] < 0xFE:
                return at + 1
            at += 2

    def _cut_out(self, start: int, end: int) -> str:
        """The string that was there; its bytes go at once, for they may be many."""
        try:
            with memoryview(self._buffer) as whole, whole[start:end] as part:
                return str(part, "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError("invalid UTF-8 sequence in string") from error
        finally:
            del self._buffer[: self._at]
            self._at = 0

    def _stray(self, start: int, end: int) -> bool:
        """The byte at `end` cannot be there; `start` is where its token began."""
        wrong = self._buffer[end]
        shown = bytes(self._buffer[start : min(end + 1, start + SHOWN)])
        self._at = end + 1
        if wrong == RESET[0]:
            self._begin()
            return True
        return self._refuse(f"JSON parse error, stray '{shown.decode(errors='replace')}'")

    def _admit(self, size: int) -> None:
        """Count a token against the limits."""
        self._size += size
        self._count += 1
        if self._size > self._limits[0]:
            self._refuse("JSON token size limit exceeded", AFTER_LINE)
        if self._count > self._limits[1]:
            self._refuse("JSON token count limit exceeded", AFTER_LINE)

    def _refuse(self, text: str, skip: Optional[re.Pattern[bytes]] = AFTER_STRAY) -> bool:
        self._begin()
        self._skip = skip
        raise PeerError(text)

    def _skipped(self, skip: re.Pattern[bytes]) -> bool:
        match = skip.search(self._buffer, self._at)
        self._at = match.start() if match else len(self._buffer)
        if match:
            self._skip = None
        return match is not None
