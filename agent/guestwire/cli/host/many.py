"""One thing done with many guests at once, and what became of each."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Sequence
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Callable, NamedTuple, Optional, TypeVar

import click
from click.shell_completion import CompletionItem

from ...client import Guest, parse
from ...client.errors import ClientError, NoSuchGuest
from ...client.found import OFF
from ...client.locate import census
from . import show

F = TypeVar("F", bound=Callable[..., object])
WILD = "*?["


class HostFailed(ClientError):
    """Something of the host, and not of the guest: a file, a full disk."""

    code = "host-failed"


class Target(NamedTuple):
    """A guest as it is called in the output, and where it is."""

    name: str
    address: str


class Outcome(NamedTuple):
    target: Target
    value: object
    error: Optional[ClientError]
    seconds: float

    def as_json(self, result: Callable[[object], object]) -> dict[str, object]:
        if self.error is not None:
            return {"guest": self.target.name, "ok": False, "error": show.failure(self.error)}
        return {"guest": self.target.name, "ok": True, "result": result(self.value)}


def complete(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Names of guests, for the shell, in the time that a keystroke has."""
    names = {one.name for one in census(seconds=0.3, ask_monitors=False).guests}
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def guests(function: F) -> F:
    """GUEST..., --all, -j and --json, as nearly every subcommand has them."""
    argument = click.argument("guests", nargs=-1, metavar="GUEST...", shell_complete=complete)
    return argument(every(function))


def every(function: F) -> F:
    """--all, -j and --json alone."""
    function = click.option("--json", "json_", is_flag=True, help="Print JSON.")(function)
    function = click.option(
        "-j",
        "jobs",
        metavar="N",
        type=click.IntRange(1, 256),
        default=16,
        help="Talk to so many guests at once, 16 unless told.",
    )(function)
    return click.option("--all", "all_", is_flag=True, help="Every guest that is not off.")(
        function
    )


def targets(names: Sequence[str], all_: bool) -> list[Target]:
    """Patterns and --all become the guests that are not off. Raises NoSuchGuest for nothing."""
    if all_ and names:
        raise click.UsageError("name guests, or say --all, and not both")
    if not all_ and not names:
        raise click.UsageError("which guest? 'guestwire ls' lists them, --all takes every one")
    found = []
    for pattern in ["*"] if all_ else names:
        if all_ or (any(one in pattern for one in WILD) and ":" not in pattern):
            found += _fitting(pattern)
        else:
            found.append(Target(pattern, pattern))
    return list(dict.fromkeys(found))


def each(
    chosen: Sequence[Target],
    jobs: int,
    work: Callable[[Guest], object],
    timeout: float = 5.0,
    done: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """The outcomes in the order of the targets; `done` is called as they come."""
    if len(chosen) == 1:  # in this thread, where Ctrl-C arrives
        outcome = _one(chosen[0], work, timeout)
        done(outcome)
        return [outcome]
    todo = iter(chosen)
    ready: SimpleQueue[Outcome] = SimpleQueue()
    turn = Lock()

    def run() -> None:
        while True:
            with turn:
                target = next(todo, None)
            if target is None:
                return
            ready.put(_one(target, work, timeout))

    for _ in range(min(jobs, len(chosen))):
        Thread(target=run, daemon=True).start()  # Ctrl-C does not wait for what they wait for
    outcomes = {}
    for _ in chosen:
        outcome = ready.get()
        outcomes[outcome.target] = outcome
        done(outcome)
    return [outcomes[target] for target in chosen]


def report(
    chosen: Sequence[Target],
    jobs: int,
    work: Callable[[Guest], object],
    *,
    json_: bool,
    line: Callable[[Outcome], None],
    result: Callable[[object], object] = lambda value: value,
    timeout: float = 5.0,
) -> int:
    """Do it with each, print what became of it, and give the exit code: 1 if any failed."""

    def done(outcome: Outcome) -> None:
        if json_:
            return
        if outcome.error is not None:
            show.complain(outcome.target.name, outcome.error)
        else:
            line(outcome)

    outcomes = each(chosen, jobs, work, timeout, done)
    if json_:
        show.as_json({"guests": [one.as_json(result) for one in outcomes]})
    failed = sum(one.error is not None for one in outcomes)
    if failed and len(outcomes) > 1 and not json_:
        show.remark(f"{failed} of {len(outcomes)} guests failed")
    return 1 if failed else 0


def _one(target: Target, work: Callable[[Guest], object], timeout: float) -> Outcome:
    begun = time.monotonic()
    try:
        with Guest(parse(target.address), timeout) as guest:
            value = work(guest)
    except ClientError as error:
        return Outcome(target, None, error, time.monotonic() - begun)
    except OSError as error:  # a file of the host
        where = f"{error.filename}: " if error.filename else ""
        failed = HostFailed(f"{where}{error.strerror or error}")
        return Outcome(target, None, failed, time.monotonic() - begun)
    return Outcome(target, value, None, time.monotonic() - begun)


def _fitting(pattern: str) -> list[Target]:
    everything = census(ask_monitors=False)
    for text in everything.remarks:
        show.remark(text)
    fitting = [
        one
        for one in everything.guests
        if one.state != OFF and fnmatch.fnmatchcase(one.name, pattern)
    ]
    names = [one.name for one in fitting]
    if not fitting:
        raise NoSuchGuest(
            "no guest that runs fits" + (f" {pattern!r}" if pattern != "*" else ""),
            "see 'guestwire ls'",
        )
    return [
        Target(one.name if names.count(one.name) == 1 else one.address, one.address)
        for one in fitting
    ]
