"""/etc/hosts, as far as it holds the guest's own name. Text in, text out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple, Optional

OWN_ADDRESS = "127.0.1.1"  # Debian's, for a host name without an address of its own
LOCALHOST = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
ADDRESS = re.compile(r"\s*([^\s#]+)\s+(?=[^\s#])")


class Names(NamedTuple):
    """What a host is called: its whole name and its first label, which may be the same."""

    fqdn: str
    short: str

    @classmethod
    def of(cls, name: str) -> Names:
        return cls(name, name.partition(".")[0])


def canonical(text: str, name: str) -> Optional[str]:
    """The first name of the line that `name` is on: what `hostname -f` prints."""
    for line in text.split("\n"):
        words = line.partition("#")[0].split()
        if name in words[1:]:
            return words[1]
    return None


def has_own_line(text: str) -> bool:
    return any(line.split()[:1] == [OWN_ADDRESS] for line in text.split("\n"))


def rename(text: str, old: Iterable[str], new: Names, *, own_line: bool) -> str:
    """The file with the guest's old names replaced on its loopback lines.

    With `own_line` the new ones are on the line of 127.0.1.1, and on no other. All other lines
    stay byte for byte: an old name at another address may be that of a machine which this one
    was cloned from.
    """
    if new.short in LOCALHOST:
        return text
    wanted = list(dict.fromkeys(new))
    gone = {name for name in old if name} - {*LOCALHOST, *wanted}
    lines: list[str] = []
    missing = own_line
    for line in text.split("\n"):
        match = ADDRESS.match(line)
        address = match.group(1) if match else ""
        if match and address == OWN_ADDRESS and missing:
            lines += _renamed(line, match, gone | set(wanted), wanted, always=True)
            missing = False
        elif match and (address.startswith("127.") or address == "::1"):
            lines += _renamed(line, match, gone, [] if own_line else wanted)
        else:
            lines.append(line)
    if missing:
        lines.insert(_place(lines), f"{OWN_ADDRESS}\t{' '.join(wanted)}")
    if missing and lines[-1]:
        lines.append("")
    return "\n".join(lines)


def _renamed(
    line: str, address: re.Match[str], gone: Collection[str], new: list[str], always: bool = False
) -> list[str]:
    """The line with the names that are gone made new ones, or no line when none are left."""
    body, mark, comment = line.partition("#")
    names = body[address.end() :].split()
    places = [index for index, name in enumerate(names) if name in gone]
    if not places and not always:
        return [line]
    first = places[0] if places else 0
    kept = [name for name in names[first:] if name not in gone]
    made = [*names[:first], *(name for name in new if name not in names[:first]), *kept]
    tail = body[len(body.rstrip()) :] + mark + comment
    return [address.group() + " ".join(made) + tail] if made else []


def _place(lines: list[str]) -> int:
    """Where a line for 127.0.1.1 belongs: below 127.0.0.1, or on top."""
    for index, line in enumerate(lines):
        if line.split()[:1] == ["127.0.0.1"]:
            return index + 1
    return 0
