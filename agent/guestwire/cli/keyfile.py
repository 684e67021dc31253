"""GLib's key files, the syntax of qemu-ga.conf: groups of `key=value`.

It is close to INI, but configparser would misread it: groups and keys may come twice, an
indented line continues nothing, keys are case-sensitive, and values have escapes (Desktop Entry
Specification, "Basic format of the file").
"""

from __future__ import annotations

from ..errors import ConfigError

SPACE = " \t\n\v\f\r"
UNESCAPED = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
ESCAPED = {"\n": "\\n", "\r": "\\r", "\\": "\\\\"}
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

Groups = dict[str, dict[str, str]]


def parse(data: bytes) -> Groups:
    """The values as they stand, by group and key. Raises ConfigError with the line's number."""
    groups: Groups = {}
    current = None
    for number, raw in enumerate(data.split(b"\n"), 1):
        # GLib's locale of a key file is UTF-8; whether a value is, is asked when it is used
        line = raw.decode("utf-8", "surrogateescape").lstrip(SPACE)
        if line.endswith("\r"):
            line = line[:-1]
        if not line or line.startswith("#"):
            continue
        name = line.rstrip(SPACE)
        key, equals, value = line.partition("=")
        if name.startswith("[") and name.endswith("]"):
            current = groups.setdefault(name[1:-1], {})
        elif not key or not equals:
            raise ConfigError(f"line {number}: {line!r} is no group, no key=value and no comment")
        elif current is None:
            raise ConfigError(f"line {number}: {key.strip(SPACE)!r} stands before the first group")
        else:
            current[key.rstrip(SPACE)] = value.lstrip(SPACE)
    return groups


def text(value: str) -> str:
    """A value with its escapes undone."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("is not UTF-8") from error
    first, *rest = value.split("\\")
    parts = iter(rest)
    done = [first]
    for part in parts:
        if not part:  # two backslashes: what follows the second is as it stands
            done.append("\\" + next(parts, "\0"))
        else:
            done.append(UNESCAPED.get(part[0], "\0") + part[1:])
    if "\0" in "".join(done):
        raise ConfigError(f"{value!r} has a backslash that escapes nothing")
    return "".join(done)


def boolean(value: str) -> bool:
    found = BOOLEANS.get(value.rstrip(SPACE))
    if found is None:
        raise ConfigError(f"{value!r} is none of {', '.join(BOOLEANS)}")
    return found


def escape(value: str) -> str:
    """A text as the value that `text` turns into it."""
    bare = value.lstrip(" \t")
    margin = value[: len(value) - len(bare)].replace(" ", "\\s").replace("\t", "\\t")
    return margin + "".join(ESCAPED.get(letter, letter) for letter in bare)
