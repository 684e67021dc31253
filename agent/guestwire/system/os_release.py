"""os-release(5): what distribution this is."""

from __future__ import annotations

from .root import Root

PATHS = ("/etc/os-release", "/usr/lib/os-release")
ESCAPABLE = "$'\"\\`"


def read(root: Root, path: str = "") -> dict[str, str]:
    """The file's assignments, or those of the file named; {} when there is none."""
    for place in [path] if path else PATHS:
        try:
            return parse(root.read_text(place))
        except OSError:
            continue
    return {}


def parse(text: str) -> dict[str, str]:
    found = {}
    for line in text.split("\n"):
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            found[key.strip()] = _value(value.strip())
    return found


def _value(text: str) -> str:
    """A value as the shell reads it: in double quotes, in single ones, or up to a space or ;"""
    if text.startswith('"'):
        return _double_quoted(text)
    if text.startswith("'"):
        return text[1:].partition("'")[0]
    return text.partition(";")[0].partition(" ")[0]


def _double_quoted(text: str) -> str:
    if "\\" not in text:
        return text[1:].partition('"')[0]
    value = []
    rest = iter(text[1:])
    for char in rest:
        if char == '"':
            break
        following = next(rest, "") if char == "\\" else ""
        value.append(following if following and following in ESCAPABLE else char + following)
    return "".join(value)
