"""shell: a terminal in the guest, at ours."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import time
import tty
from collections.abc import Iterator
from types import FrameType
from typing import Callable, Optional

import click

from ...client import Guest, parse
from ...client.errors import ClientError
from ...client.native_programs import ended
from ...wire.native.events import Data
from . import many
from .talking import CHUNK, feed, forwarding, size, write

# The user's own, as login would start it.
LOGIN = 'cd; shell=$(getent passwd "$(id -u)" | cut -d: -f7); exec "${shell:-/bin/sh}" -l'
LEAVE = b"\x1d"  # Ctrl-], as of telnet and virsh
TIMES = 3
WITHIN = 1.0  # second
FATAL = (signal.SIGTERM, signal.SIGHUP)
# Cursor shown, attributes off, no mouse, no bracketed paste, cursor keys and keypad as usual:
# a program that was cut off, or a hostile one, does not put them back.
RESET = b"\x1b[?25h\x1b[0m\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>"


class NoOwnPort(ClientError):
    """The guest is reached over the QEMU guest agent's protocol alone."""

    code = "no-own-port"


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("-u", "--user", metavar="NAME", help="Who it runs as; else root.")
@click.argument("guest", shell_complete=many.complete)
@click.argument("program", nargs=-1, metavar="[PROGRAM [ARGUMENT]...]")
def shell(user: Optional[str], guest: str, program: tuple[str, ...]) -> int:
    """Open a shell in the guest, or run a program there, on a terminal.

    Ctrl-] three times within a second leaves it, whatever it does. It needs guestwire's agent on
    a port of its own, org.guestwire.agent.0. The exit code is the program's.
    """
    if not (os.isatty(0) and os.isatty(1)):
        raise click.UsageError("a shell needs a terminal; 'guestwire exec' does without")
    argv = list(program[1:] if program[:1] == ("--",) else program) or ["/bin/sh", "-c", LOGIN]
    with Guest(parse(guest)) as one:
        env = {"TERM": os.environ.get("TERM", "xterm")}
        stream = one.stream(argv, env, user=user, terminal=size())
        if stream is None:
            raise NoOwnPort(
                f"{guest}: a shell needs guestwire's agent on the port org.guestwire.agent.0",
                "add the port to the VM and run guestwire-agent in it, or use 'guestwire exec'",
            )
        with stream, _raw_terminal(), forwarding(stream, (signal.SIGWINCH,)):
            feed(stream, _typed(stream.close))
            try:
                for said in stream:
                    if isinstance(said, Data):
                        write(1, said.data)
            except ClientError as error:
                left = getattr(error, "error_class", "") == "cancelled"
                if not left:
                    raise
                stream.result = {"signal": int(signal.SIGHUP)}
        code, number = ended(stream)
    return 128 + (number or 0) if code is None else code


COMMANDS = (shell,)


def _typed(leave: Callable[[], None]) -> Iterator[bytes]:
    """What is typed, until the keys that leave."""
    pressed: list[float] = []
    with contextlib.suppress(OSError):
        while data := os.read(0, CHUNK):
            now = time.monotonic()
            pressed = [one for one in pressed if one > now - WITHIN] if LEAVE in data else []
            pressed += [now] * data.count(LEAVE)
            if len(pressed) >= TIMES:
                leave()
                return
            yield data


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Every key goes to the guest; afterwards the terminal is as it was, whatever happens."""
    before = termios.tcgetattr(0)
    handlers = {number: signal.signal(number, _leave) for number in FATAL}
    try:
        tty.setraw(0, termios.TCSADRAIN)  # what was typed meanwhile is kept
        yield
    finally:
        with contextlib.suppress(OSError):
            write(1, RESET)
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(0, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _leave(number: int, _: Optional[FrameType]) -> None:
    raise SystemExit(128 + number)
