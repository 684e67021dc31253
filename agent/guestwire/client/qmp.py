"""QEMU's own monitor, asked what it knows of a VM whose agent is silent. Nothing is changed."""

from __future__ import annotations

import json
import socket
import time
from typing import NamedTuple, Optional

LONGEST = 1 << 20


class Answers(NamedTuple):
    """`status` is QEMU's RunState; `open` tells, by chardev, whether the guest's end is open."""

    status: str
    open: dict[str, bool]


def look(path: str, seconds: float = 0.5) -> Optional[Answers]:
    """What QMP tells, or None when somebody else is connected to it or it is not there."""
    deadline = time.monotonic() + seconds
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    try:
        with connection:
            connection.connect(path)
            return _look(connection, deadline)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # it is no monitor of QEMU
        return None


def _look(connection: socket.socket, deadline: float) -> Answers:
    with connection.makefile("rb") as lines:
        _next(connection, lines, "QMP", deadline)
        _ask(connection, lines, "qmp_capabilities", deadline)
        status = _ask(connection, lines, "query-status", deadline)
        devices = _ask(connection, lines, "query-chardev", deadline)
    assert isinstance(status, dict) and isinstance(devices, list)
    opened = {str(one["label"]): one["frontend-open"] is True for one in devices}
    return Answers(str(status["status"]), opened)


def _ask(connection: socket.socket, lines: object, command: str, deadline: float) -> object:
    connection.sendall(json.dumps({"execute": command}).encode() + b"\n")
    return _next(connection, lines, "return", deadline)


def _next(connection: socket.socket, lines: object, member: str, deadline: float) -> object:
    """The member of the next object that has it; events pass by."""
    while True:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        line = lines.readline(LONGEST)  # type: ignore[attr-defined]
        if not line:
            raise OSError("the monitor closed the connection")
        body = json.loads(line)
        if member in body:
            return body[member]
        if "error" in body:
            raise ValueError(body["error"])
