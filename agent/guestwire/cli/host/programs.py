"""exec and call: programs of the guest, and commands of its agent."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Optional

import click

from ...client import Guest
from ...client.errors import ClientError, GuestCommandFailed, StillRunning
from ...client.plans.programs import Result
from ...client.printable import printable, printable_output
from . import many, show, talking
from .many import Outcome

TIMED_OUT, OWN_FAILURE, NOT_EXECUTABLE, NOT_FOUND = 124, 125, 126, 127
SOME_FAILED = 123  # of many, as xargs
LONGEST_INPUT = 40 << 20  # more does not fit into one request of 64 MiB


@click.command(
    "exec",
    context_settings={"allow_interspersed_args": False},  # what follows GUEST is the program's
)
@many.every
@click.option("-g", "--guest", "chosen", multiple=True, metavar="GUEST",
              help="In place of the first argument; repeatable.")  # fmt: skip
@click.option("-e", "--env", "settings", multiple=True, metavar="NAME=VALUE",
              help="An environment of these, in place of the agent's own.")  # fmt: skip
@click.option("-i/-n", "--stdin/--no-stdin", "stdin", default=None,
              help="Send our standard input, or not.")  # fmt: skip
@click.option("--timeout", type=float, metavar="SECONDS", help="Give up waiting: code 124.")
@click.option("--raw", is_flag=True, help="Do not filter what goes to a terminal.")
@click.argument("words", nargs=-1, metavar="GUEST -- PROGRAM [ARGUMENT]...", required=True)
def exec_(
    all_: bool,
    jobs: int,
    json_: bool,
    chosen: tuple[str, ...],
    settings: tuple[str, ...],
    stdin: Optional[bool],
    timeout: Optional[float],
    raw: bool,
    words: tuple[str, ...],
) -> int:
    """Run a program in the guest, and end as it ended.

    It runs without a shell: exec web1 -- sh -c 'a | b' asks for one.

    Over guestwire's own port its input, output and errors are passed on as they come, our standard
    input unless that is a terminal; interrupts and other signals, too. Over the QEMU guest agent's,
    input is sent with -i alone, and output comes when the program has ended.

    The exit code is the program's; 128 and the number of the signal that killed it; 127 when it
    is not there and 126 when it cannot be run; 124 after --timeout; 125 when the guest or its
    agent cannot do it at all. With many guests: 0, 123 when any program failed, 125.
    """
    names, argv = _split(words, chosen, all_)
    env = dict(_setting(one) for one in settings) if settings else None
    targets = many.targets(names, all_)
    live = len(targets) == 1 and not json_
    data = _input() if stdin and not live else None

    def work(guest: Guest) -> object:
        stream = guest.stream(argv, env, timeout) if live else None
        if stream is not None:
            return talking.talk(stream, not os.isatty(0) if stdin is None else stdin, raw)
        return _run(guest, argv, _input() if stdin and live else data, env, timeout)

    def done(outcome: Outcome) -> None:
        if not json_:
            _show(outcome, len(targets) == 1, raw)

    outcomes = many.each(targets, jobs, work, done=done)
    if json_:
        show.as_json({"guests": [one.as_json(_as_json) for one in outcomes]})
    return _code(outcomes[0]) if len(targets) == 1 else _code_of_many(outcomes, json_)


@click.command()
@click.argument("guest", shell_complete=many.complete)
@click.argument("command")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE... | JSON]")
@click.option("--json", "json_", is_flag=True, help="Print JSON with the guest and the outcome.")
@click.option("--timeout", type=float, metavar="SECONDS", help="For the answer.")
def call(
    guest: str, command: str, arguments: tuple[str, ...], json_: bool, timeout: Optional[float]
) -> int:
    """Ask the agent for any command, and print the answer.

    COMMAND is e.g. guest-get-osinfo; what it returns is printed as JSON. A VALUE that is JSON is
    sent as it is (5, true, ["a"]), any other as a string.
    """
    given = _arguments(arguments)

    def line(outcome: Outcome) -> None:
        show.as_json(outcome.value)

    return many.report(
        many.targets([guest], False), 1, lambda one: one.ask(command, given, timeout),
        json_=json_, line=line,
    )  # fmt: skip


COMMANDS = (exec_, call)


def _run(
    guest: Guest,
    argv: Sequence[str],
    data: Optional[bytes],
    env: Optional[Mapping[str, str]],
    timeout: Optional[float],
) -> Result:
    """To its end; its output is there when it has ended."""
    if guest.has_streams():
        return guest.exec(argv, data, env, timeout)
    pid = guest.start(argv, data, env)
    try:
        return guest.result(pid, timeout)
    except KeyboardInterrupt:
        show.remark(f"interrupted; in the guest the program goes on as process {pid}")
        raise


def _split(
    words: Sequence[str], chosen: Sequence[str], all_: bool
) -> tuple[Sequence[str], Sequence[str]]:
    """Guests, and the program with its arguments; a -- between them is left out."""
    names: Sequence[str] = chosen
    argv = list(words)
    if not chosen and not all_:
        names, argv = argv[:1], argv[1:]
    if argv[:1] == ["--"]:
        argv = argv[1:]
    if not argv:
        raise click.UsageError("which program? guestwire exec GUEST -- PROGRAM [ARGUMENT]...")
    return names, argv


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{text!r} is not NAME=VALUE")
    return name, value


def _input() -> bytes:
    data = sys.stdin.buffer.read(LONGEST_INPUT + 1)
    if len(data) > LONGEST_INPUT:
        raise ClientError(
            f"standard input is longer than {LONGEST_INPUT >> 20} MiB, which is all an agent takes",
            "copy it into the guest with 'guestwire cp', and read it there",
        )
    return data


def _show(outcome: Outcome, alone: bool, raw: bool) -> None:
    if outcome.error is not None:
        show.complain(outcome.target.name, outcome.error)
    elif isinstance(outcome.value, Result):
        _print(outcome.value, "" if alone else outcome.target.name, raw)


def _print(result: Result, name: str, raw: bool) -> None:
    """Both streams. What goes to a terminal is filtered; a file gets each byte as it was."""
    for data, stream, err in ((result.out, sys.stdout, False), (result.err, sys.stderr, True)):
        if name:
            head = f"{printable(name)} | "
            for line in printable_output(data).splitlines():
                click.echo(head + line, err=err)
        elif raw or not stream.isatty():
            click.echo(data, nl=False, err=err)
        else:
            click.echo(printable_output(data), nl=False, err=err)
    if result.truncated:
        where = f"{name}: " if name else ""
        show.remark(f"{where}the output was cut: agents keep 16 MiB of each stream")
    if name and (result.code or result.signal):
        ended = f"signal {result.signal}" if result.signal else f"code {result.code}"
        show.remark(f"{name}: the program ended with {ended}")


def _code(outcome: Outcome) -> int:
    error = outcome.error
    if isinstance(outcome.value, Result):
        if outcome.value.code is not None:
            return outcome.value.code & 0xFF
        return 128 + (outcome.value.signal or 0)
    if isinstance(error, StillRunning):
        return TIMED_OUT
    if isinstance(error, GuestCommandFailed) and error.command in ("guest-exec", "exec"):
        if "No such file" in error.desc:
            return NOT_FOUND
        if "Permission denied" in error.desc or "Exec format" in error.desc:
            return NOT_EXECUTABLE
    return OWN_FAILURE


def _code_of_many(outcomes: Sequence[Outcome], quiet: bool) -> int:
    failed = sum(_code(one) != 0 for one in outcomes)
    if failed and not quiet:
        show.remark(f"{failed} of {len(outcomes)} guests failed")
    if any(one.error is not None for one in outcomes):
        return OWN_FAILURE
    return SOME_FAILED if failed else 0


def _as_json(value: object) -> object:
    """Output as text, and as base64 where it is none."""
    assert isinstance(value, Result)
    told: dict[str, object] = {
        "code": value.code,
        "signal": value.signal,
        "truncated": value.truncated,
    }
    for name, data in (("out", value.out), ("err", value.err)):
        try:
            told[name] = data.decode()
        except UnicodeDecodeError:
            told[f"{name}-b64"] = b64encode(data).decode()
    return told


def _arguments(words: Sequence[str]) -> Mapping[str, object]:
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            body = json.loads(words[0])
        except ValueError as error:
            raise click.UsageError(f"the arguments are not JSON: {error}") from error
        assert isinstance(body, dict)
        return body
    return {name: _value(text) for name, text in map(_setting, words)}


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
