"""`exec`: a program with its input, output and signals streamed while it runs."""

from __future__ import annotations

import threading
import time
from typing import Optional, TypedDict

from ..dispatch.command import Context
from ..dispatch.streams import Control, Data, Stream, StreamCancelled
from ..errors import CommandError, InvalidArgument
from ..system import program as programs
from ..system.accounts import Account, find
from ..system.program import Program

STDOUT, STDERR = 0, 1  # channels of the stream, towards the host; its input comes on 0


class Terminal(TypedDict):
    rows: int
    columns: int


def execute(
    context: Context,
    argv: list[str],
    env: Optional[dict[str, object]] = None,
    cwd: Optional[str] = None,
    user: Optional[str] = None,
    terminal: Optional[Terminal] = None,
    timeout: Optional[float] = None,
) -> dict[str, object]:
    """Run a program; the result is {"exit": code} or {"signal": number}.

    The host may say {"signal": number} and {"resize": [rows, columns]} meanwhile. When it leaves,
    or after `timeout` seconds, the program's process group gets SIGHUP, and then SIGKILL.
    """
    stream = context.stream
    assert stream is not None  # the row says `streams`
    account = _account(context, user)
    words = programs.command_line(context.root, argv, account, cwd)
    try:
        child = Program(words, programs.environment(_texts(env), account), terminal is not None)
    except OSError as error:
        raise programs.failed_to_start(argv[0], error) from error
    except ValueError as error:  # a NUL in a word
        raise InvalidArgument(f"cannot run {argv[0]!r}: {error}") from error
    try:
        if terminal is not None:
            child.resize(terminal["rows"], terminal["columns"])
        stream.accept({"pid": child.pid})
        threading.Thread(target=_listen, args=(stream, child), name="exec", daemon=True).start()
        deadline = None if timeout is None else time.monotonic() + timeout
        for error_, data in child.outputs(deadline):
            channel = STDERR if error_ else STDOUT
            if data:
                stream.write(data, channel)
            else:
                stream.end(channel)
        return {"exit": child.code} if child.code >= 0 else {"signal": -child.code}
    except TimeoutError:
        return {"timeout": timeout}
    finally:
        child.close()


def _listen(stream: Stream, child: Program) -> None:
    """Hand on what the host says, until the stream is over."""
    try:
        for incoming in stream:
            if isinstance(incoming, Data):
                child.feed(incoming.data)
            elif isinstance(incoming, Control):
                _obey(child, incoming.body)
            else:
                child.end_input()
    except StreamCancelled:
        child.hang_up()


def _obey(child: Program, body: object) -> None:
    """What makes no sense is passed over: there is nobody to answer."""
    if not isinstance(body, dict):
        return
    number, size = body.get("signal"), body.get("resize")
    if type(number) is int and 0 < number < 65:
        child.signal(number)
    if isinstance(size, list) and len(size) == 2 and all(type(one) is int for one in size):
        child.resize(*(max(0, min(one, 0xFFFF)) for one in size))


def _account(context: Context, user: Optional[str]) -> Optional[Account]:
    if user is None:
        return None
    account = find(context.root, user)
    if account is None:
        raise CommandError(f"there is no user {user!r}")
    return account


def _texts(env: Optional[dict[str, object]]) -> dict[str, str]:
    for name, value in (env or {}).items():
        if not isinstance(value, str) or not name or "=" in name:
            raise InvalidArgument(f"env: {name!r} must have a name and a text")
    return {name: str(value) for name, value in (env or {}).items()}
