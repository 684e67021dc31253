"""A host's side of the QGA dialect: it sends any bytes, and takes each answer strictly."""

from __future__ import annotations

import json

from guestwire.errors import InvalidArgument, PeerError, UnknownCommand
from guestwire.wire.events import Failure, Reply


def answers(dialect, *chunks):
    """The lines that come back for chunks of bytes, from an agent that knows ping and sync."""
    lines = []
    for chunk in chunks:
        dialect.receive(chunk)
        while True:
            try:
                request = dialect.next_request()
            except PeerError as error:
                lines.append(dialect.refuse(error))
                continue
            if request is None:
                break
            lines.append(dialect.send(answer(request)))
    return lines


def answer(request):
    if request.command == "guest-ping":
        return Reply({}, request)
    if request.command not in ("guest-sync", "guest-sync-delimited"):
        return Failure(UnknownCommand(f"The command {request.command} has not been found"), request)
    number = request.arguments.get("id")
    if type(number) is not int or not -(2**63) <= number < 2**63:
        text = "Invalid parameter type for 'id', expected: integer"
        return Failure(InvalidArgument(text), request)
    return Reply(number, request)


def parsed(line):
    """What a line says, if it is a line as libvirt and Proxmox need it."""
    assert line.endswith(b"}\n")
    text = line.removeprefix(b"\xff")
    assert text.isascii()
    assert text.count(b"\n") == 1
    return json.loads(text, parse_constant=_no_constant)


def error(text, kind="GenericError", **members):
    return {"error": {"class": kind, "desc": text}, **members}


def bytewise(data):
    return [data[at : at + 1] for at in range(len(data))]


def _no_constant(name):
    raise AssertionError(f"{name} is not JSON")
