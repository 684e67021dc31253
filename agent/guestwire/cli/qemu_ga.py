"""qemu-ga's command line: called with its options, the agent is put in its place.

The order of things is qemu-ga's: the configuration file is read before -V and -h are obeyed, and
of these the first wins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Callable, NamedTuple, Optional

from ..errors import ConfigError
from ..signals import Signals
from . import activation, daemon, getopt_long, qemu_ga_options
from .getopt_long import NONE, OPTIONAL, REQUIRED, Found
from .qemu_ga_options import Options

HELP = ("help", "?")
VALUES = {NONE: "", REQUIRED: "=VALUE", OPTIONAL: "[=VALUE]"}


class CommandLine(NamedTuple):
    """What was found, and what was wrong with the first word that was not understood."""

    found: Sequence[Found]
    wrong: Optional[ConfigError]


def main(argv: list[str]) -> int:
    """Run qemu-ga's command line; the exit code: 0, or 1 for whatever goes wrong."""
    program = sys.argv[0]
    try:
        return _run(program, _read(argv))
    except ConfigError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1


def _read(argv: list[str]) -> CommandLine:
    found: list[Found] = []
    try:
        for one in getopt_long.parse(qemu_ga_options.TABLE, argv):
            found.append(one)
    except ConfigError as error:
        return CommandLine(found, error)
    return CommandLine(found, None)


def _run(program: str, line: CommandLine) -> int:
    load = _loader(line.found)
    options = load()
    for letter, value in line.found:
        text = _answer(program, letter, value)
        if text is not None:
            print(text)
            return 0
    if line.wrong is not None:
        print(f"{program}: {line.wrong}", file=sys.stderr)
        print(f"Unknown option, try '{program} --help' for more information.")
        return 1
    listener = activation.passed_socket(os.environ)
    activated = activation.method(listener) if listener is not None else None
    options = qemu_ga_options.with_channel(options, activated)
    if ("D", None) in line.found:
        os.write(1, os.fsencode(qemu_ga_options.dump(options)))  # whatever the locale is
        return 0
    here = os.getcwd()
    started = daemon.detach() if options.daemon else _nothing
    signals = Signals()
    from . import qemu_ga_service  # what is above does without the agent

    return qemu_ga_service.serve(
        options,
        lambda: qemu_ga_options.with_channel(load(), activated),
        listener=listener,
        here=here,
        started=started,
        signals=signals,
    )


def _loader(found: Sequence[Found]) -> Callable[[], Options]:
    """A function that reads the configuration, now and when it may have changed."""
    given = [value or "" for letter, value in found if letter == "c"]
    name = given[-1] if given else os.environ.get("QGA_CONF", qemu_ga_options.CONFIG_FILE)
    path = name and os.path.abspath(name)  # a daemon has left the directory when it reads it again

    def load() -> Options:
        options = qemu_ga_options.from_file(path, required=bool(given))
        return qemu_ga_options.from_command_line(found, options)

    return load


def _answer(program: str, letter: str, value: Optional[str]) -> Optional[str]:
    """What an option prints that asks for nothing but a text."""
    if letter == "h":
        return _usage(program)
    if letter == "V":
        return f"QEMU Guest Agent {_version()}"
    if letter in "ab" and value in HELP:
        from ..commands.table import COMMANDS

        return "\n".join(one.name for one in COMMANDS if one.name.startswith("guest-"))
    return None


def _usage(program: str) -> str:
    from .. import __version__

    lines = [
        f"Usage: {program} [-m METHOD -p PATH] [OPTION]...",
        f"guestwire-agent {__version__}, in place of QEMU Guest Agent {_version()}",
        "",
    ]
    for option in qemu_ga_options.TABLE:
        lines += [f"  -{option.letter}, --{option.name}{VALUES[option.argument]}"]
        lines += [f"                    {option.help}"]
    return "\n".join(lines)


def _version() -> str:
    from ..commands.protocol import OWN_VERSION

    return OWN_VERSION


def _nothing() -> None:
    pass
