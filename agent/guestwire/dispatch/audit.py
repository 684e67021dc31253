"""One line in the log for each request: who asked what, and how it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Optional

from ..wire.events import ABSENT, Answer, Failure
from .command import Command

log = logging.getLogger("guestwire.audit")
SHOWN = 60  # characters of one argument
SHOWN_OF_ERROR = 300


def record(channel: str, command: Optional[Command], answer: Answer, started: float) -> None:
    """Log a request at level info; at debug when its command is a monitor's daily bread.

    Failures are always at info. Arguments that the row calls secret, and all those of a
    command that nobody knows, are left out.
    """
    failure = answer.error if isinstance(answer, Failure) else None
    routine = command is not None and command.quiet and failure is None
    level = logging.DEBUG if routine else logging.INFO
    request = answer.request
    if request is None or not log.isEnabledFor(level):
        return
    name = _plain(request.command)
    identity = "" if request.id is ABSENT else f" id={_short(request.id)}"
    shown = "" if command is None else _arguments(command, request.arguments)
    outcome = "ok" if failure is None else f"{failure.code}: {_one_line(str(failure))}"
    elapsed = (time.monotonic() - started) * 1000
    log.log(level, "%s%s %s%s: %s (%.0f ms)", channel, identity, name, shown, outcome, elapsed)


def _arguments(command: Command, arguments: Mapping[str, object]) -> str:
    return "".join(
        f" {_plain(name)}={'<hidden>' if name in command.secrets else _short(value)}"
        for name, value in arguments.items()
    )


def _short(value: object) -> str:
    """A value on one line and of bounded length, whatever a host put into it."""
    if isinstance(value, (list, dict)):
        value = f"<{len(value)} items>"
    text = repr(value[: SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN + 4 else text[:SHOWN] + "..."


def _one_line(text: str) -> str:
    """An error's text, which may quote a program, or what a host put into a path."""
    text = " ".join(text[: SHOWN_OF_ERROR + 1].split())
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= SHOWN_OF_ERROR else text[:SHOWN_OF_ERROR] + "..."


def _plain(name: str) -> str:
    return name if name.isprintable() and len(name) <= SHOWN else repr(name[:SHOWN])
