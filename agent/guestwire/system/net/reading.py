"""Reading nested JSON into records, with the path of everything that is wrong in it.

A `Read` never raises for what a host sent: it files a fault under its path and goes on, so that
one answer names them all. What it returns then is of no use, and is not used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple, TypeVar

from ...errors import InvalidArgument, Unsupported

SHOWN = 20  # faults that one answer names; the rest are counted
T = TypeVar("T")


class Faults:
    """What is wrong, and what is right but cannot be done here."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.unsupported: list[str] = []

    def settle(self) -> None:
        """Raise for what was filed: InvalidArgument before Unsupported, all in one text."""
        if self.wrong:
            raise InvalidArgument(_listed(self.wrong))
        if self.unsupported:
            raise Unsupported(_listed(self.unsupported))


Read = Callable[[object, str, Faults], Any]


class Key(NamedTuple):
    """Where the value of a key goes, "" for nowhere, and how it is read."""

    field: str
    read: Read


def leaf(convert: Callable[[Any], object]) -> Read:
    """A value without parts; `convert` raises ValueError with what is wrong about it."""

    def read(value: object, path: str, faults: Faults) -> object:
        try:
            return convert(value)
        except ValueError as error:
            faults.wrong.append(f"{path}: {error}")
            return None

    return read


def refused(reason: str) -> Read:
    """A key that is known, and that no back end can do yet."""

    def read(value: object, path: str, faults: Faults) -> None:
        faults.unsupported.append(f"{path}: {reason}")

    return read


def several(read_one: Read) -> Read:
    """A list, read into a tuple."""

    def read(value: object, path: str, faults: Faults) -> tuple[object, ...]:
        if not isinstance(value, list):
            faults.wrong.append(f"{path}: {show(value)} is not a list")
            return ()
        return tuple(read_one(one, f"{path}[{i}]", faults) for i, one in enumerate(value))

    return read


def each(read_one: Callable[[str, object, str, Faults], T]) -> Read:
    """An object whose keys are names, read into a tuple; `read_one` gets the name, too."""

    def read(value: object, path: str, faults: Faults) -> tuple[T, ...]:
        if not isinstance(value, dict):
            faults.wrong.append(f"{path}: {show(value)} is not an object")
            return ()
        return tuple(read_one(name, one, f"{path}.{name}", faults) for name, one in value.items())

    return read


def fields(keys: Mapping[str, Key], value: object, path: str, faults: Faults) -> dict[str, Any]:
    """The fields of an object that knows these keys and no others; only those that it has."""
    if not isinstance(value, dict):
        faults.wrong.append(f"{path or 'config'}: {show(value)} is not an object")
        return {}
    found = {}
    for name, one in value.items():
        here = f"{path}.{name}" if path else name
        if name in keys:
            field, read = keys[name]
            found[field] = read(one, here, faults)
        else:
            faults.wrong.append(f"{here}: there is no such key")
    found.pop("", None)
    return found


def keys(**reads: Read) -> dict[str, Key]:
    """Keys that differ from their fields in the hyphen only."""
    return {name.replace("_", "-"): Key(name, read) for name, read in reads.items()}


def show(value: object) -> str:
    """A value as it may stand in an error: short, and with quotes when it is a string."""
    text = repr(value) if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _listed(faults: list[str]) -> str:
    more = len(faults) - SHOWN
    return "; ".join(faults[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
