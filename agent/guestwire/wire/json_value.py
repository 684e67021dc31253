"""A JSON value that grows token by token, as deep as it is allowed to, without recursion.

The json module builds values by recursion and stops at Python's limit, which lies below the
1,024 levels that hosts may use, and moves with the depth of our own stack.
"""

from __future__ import annotations

from ..errors import PeerError

VALUE, FIRST_ITEM, KEY, FIRST_KEY, COLON, AFTER_ITEM, AFTER_MEMBER, LOST = range(8)

COMPLAINTS = {
    VALUE: "expecting value",
    FIRST_ITEM: "expecting value",
    KEY: "expecting value",
    FIRST_KEY: "expecting value",
    COLON: "missing : in object pair",
    AFTER_ITEM: "expected separator in list",
    AFTER_MEMBER: "expected separator in dict",
}
AFTER_MARK = {
    (COLON, ":"): VALUE,
    (AFTER_ITEM, ","): VALUE,
    (AFTER_MEMBER, ","): KEY,
}
CLOSING = {"]": (FIRST_ITEM, AFTER_ITEM), "}": (FIRST_KEY, AFTER_MEMBER)}


class JsonValue:
    """Give it tokens until it is `whole`, then `take` the value.

    Braces and brackets are counted each on their own, and the value is whole when both are even
    or one of them went below zero: as qemu-ga counts, so that both find the same end of garbage.
    A mistake is kept until then, for each value gets one answer.
    """

    def __init__(self) -> None:
        self.braces = self.brackets = 0
        self.whole = False
        self._mistake = ""
        self._expects = VALUE
        self._result: object = None
        self._open: list[tuple[object, object]] = []  # containers, each with the key it waits for

    @property
    def depth(self) -> int:
        return self.braces + self.brackets

    def scalar(self, value: object) -> None:
        """A string, a number, or what a keyword stands for."""
        if self._expects in (KEY, FIRST_KEY):
            self._key(value)
        elif self._expects in (VALUE, FIRST_ITEM):
            self._put(value)
        else:
            self._complain()
        self._count()

    def invalid(self, text: str) -> None:
        """A token that has the form of a scalar, but no value."""
        if self._expects in (COLON, AFTER_ITEM, AFTER_MEMBER):
            self._complain()
        else:
            self._complain(text)
        self._count()

    def mark(self, mark: str) -> None:
        """One of `{}[]:,`."""
        if mark in "{[":
            self._begin(mark)
        elif mark in "}]":
            self._end(mark)
        else:
            state = AFTER_MARK.get((self._expects, mark))
            if state is None:
                self._complain()
            else:
                self._expects = state
        self._count()

    def take(self) -> object:
        """The value; PeerError says the first mistake in it."""
        if self._mistake:
            raise PeerError(f"JSON parse error, {self._mistake}")
        return self._result

    def _begin(self, mark: str) -> None:
        container: object
        if mark == "{":
            self.braces += 1
            container, state = {}, FIRST_KEY
        else:
            self.brackets += 1
            container, state = [], FIRST_ITEM
        if self._expects in (VALUE, FIRST_ITEM):
            self._put(container)
            self._open.append((container, None))
            self._expects = state
        elif self._expects in (KEY, FIRST_KEY):
            self._key(container)
        else:
            self._complain()

    def _end(self, mark: str) -> None:
        if mark == "}":
            self.braces -= 1
        else:
            self.brackets -= 1
        if self._expects in CLOSING[mark]:
            self._open.pop()
            self._settle()
        else:
            self._complain()

    def _key(self, value: object) -> None:
        if isinstance(value, str):
            self._open[-1] = (self._open[-1][0], value)
            self._expects = COLON
        else:
            self._complain("key is not a string in object")

    def _put(self, value: object) -> None:
        if not self._open:
            self._result = value
            return
        container, key = self._open[-1]
        if isinstance(container, list):
            container.append(value)
        elif isinstance(container, dict):
            if key in container:
                self._complain("duplicate key")
            else:
                container[key] = value
        self._settle()

    def _settle(self) -> None:
        """A value ended: what may follow depends on what it is in."""
        if self._open and not self._mistake:
            inside = isinstance(self._open[-1][0], list)
            self._expects = AFTER_ITEM if inside else AFTER_MEMBER

    def _complain(self, text: str = "") -> None:
        if not self._mistake:
            self._mistake = text or COMPLAINTS[self._expects]
            self._expects = LOST  # for good: from here on only the brackets count
            self._result = None
            self._open.clear()

    def _count(self) -> None:
        self.whole = self.braces < 0 or self.brackets < 0 or not (self.braces or self.brackets)
