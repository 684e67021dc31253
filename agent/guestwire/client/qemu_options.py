"""QEMU's command line, read for what leads to a guest: sockets of its ports and monitors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Optional

PORTS = {"virtserialport", "virtconsole", "isa-serial", "pci-serial"}


class Chardev(NamedTuple):
    """A character device: "socket", "pty" and so on; `path` is a socket on which QEMU listens."""

    kind: str
    path: Optional[str]


class Machine(NamedTuple):
    """What a command line tells. `ports` are chardev ids by the port's name in the guest."""

    name: str
    uuid: str
    chardevs: Mapping[str, Chardev]
    ports: Mapping[str, str]
    monitors: tuple[str, ...]
    cid: Optional[int]


def read(argv: Sequence[str], directory: str = "/") -> Machine:
    """`directory` is the process's own, where relative paths begin."""
    name = uuid = ""
    cid = None
    chardevs: dict[str, Chardev] = {}
    ports: dict[str, str] = {}
    control: list[str] = []  # chardevs that are monitors in JSON
    monitors: list[str] = []
    for option, value in _options(argv):
        words = _words(value)
        if option == "name":
            name = words.get("guest", words.get("", ""))
        elif option == "uuid":
            uuid = value
        elif option == "chardev":
            chardevs[words.get("id", "")] = _chardev(words, directory)
        elif option == "device" and words.get("driver", words.get("")) in PORTS:
            kind = words.get("driver", words.get("", ""))
            if "chardev" in words:
                ports.setdefault(words.get("name", kind), words["chardev"])
        elif option == "device" and "guest-cid" in words:
            cid = int(words["guest-cid"]) if words["guest-cid"].isdigit() else None
        elif option in ("qmp", "qmp-pretty") and value.startswith("unix:"):
            monitors.append(os.path.join(directory, words[""][len("unix:") :]))
        elif option == "mon" and words.get("mode") == "control":
            control.append(words.get("chardev", words.get("", "")))
    sockets = (chardevs[one].path for one in control if one in chardevs)
    return Machine(
        name, uuid, chardevs, ports, (*monitors, *(path for path in sockets if path)), cid
    )


def _options(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options with their values, whichever of the two dashes they have."""
    for here, after in zip(argv, [*argv[1:], ""]):
        if here.startswith("-"):
            yield here.lstrip("-"), after


def _words(value: str) -> dict[str, str]:
    """`key=value,...` or JSON; the first word may lack a key, and has "" then. `,,` is a comma."""
    if value.startswith("{"):
        try:
            body = json.loads(value)
        except (ValueError, RecursionError):
            return {}
        return {str(key): str(one) for key, one in body.items()}
    words: dict[str, str] = {}
    for part in value.replace(",,", "\0").split(","):
        key, equals, rest = part.replace("\0", ",").partition("=")
        if equals and not (key.startswith("unix:") and not words):
            words[key] = rest
        elif not words:
            words[""] = part.replace("\0", ",")
        else:
            words[part] = "on"
    return words


def _chardev(words: Mapping[str, str], directory: str) -> Chardev:
    kind = words.get("backend", words.get("", ""))
    path = words.get("path")
    if (
        not path
        or words.get("server") not in ("on", "yes", "true")
        or words.get("abstract") == "on"
    ):
        return Chardev(kind, None)
    return Chardev(kind, os.path.join(directory, path))
