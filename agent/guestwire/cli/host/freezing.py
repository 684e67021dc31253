"""freeze and thaw: file systems stand still while the host takes a snapshot."""

from __future__ import annotations

from typing import Optional

import click

from ...client import Guest
from ...client.errors import ClientError
from ...client.guest import LOST
from ...client.plans.freezing import Frozen
from ...client.printable import printable
from . import many, show
from .many import Outcome


class NothingFrozen(ClientError):
    code = "nothing-frozen"


@click.command()
@many.guests
@click.option("-m", "--mountpoint", "mountpoints", multiple=True, metavar="DIR",
              help="Freeze this file system alone; repeatable.")  # fmt: skip
@click.option(
    "--deadline",
    type=click.IntRange(1),
    metavar="SECONDS",
    help="The guest thaws by itself then. guestwire-agent alone can.",
)
@click.option(
    "--timeout", default=600.0, show_default=True, metavar="SECONDS", help="For the freeze itself."
)
def freeze(
    guests: tuple[str, ...],
    all_: bool,
    jobs: int,
    json_: bool,
    mountpoints: tuple[str, ...],
    deadline: Optional[int],
    timeout: float,
) -> int:
    """Freeze file systems, and leave them frozen until 'guestwire thaw'.

    A freeze that fails, or whose answer does not come, is undone.
    """

    def work(guest: Guest) -> object:
        try:
            frozen = guest.freeze(list(mountpoints) or None, deadline, timeout)
        except LOST:
            guest.thaw()  # it may have been frozen nevertheless
            raise
        if not frozen.file_systems:
            raise NothingFrozen(
                "no file system was frozen",
                "'guestwire call GUEST guest-get-fsinfo' lists those that can be",
            )
        return frozen

    def line(outcome: Outcome) -> None:
        frozen = outcome.value
        assert isinstance(frozen, Frozen)
        name = printable(outcome.target.name)
        most = f", at most {frozen.seconds:.0f} s" if frozen.seconds else ""
        click.echo(
            f"{name}: {_count(frozen.file_systems)} frozen until 'guestwire thaw {name}'{most}"
        )

    def result(value: object) -> object:
        assert isinstance(value, Frozen)
        return {"file-systems": value.file_systems, "seconds": value.seconds}

    chosen = many.targets(guests, all_)
    try:
        return many.report(chosen, jobs, work, json_=json_, line=line, result=result)
    except KeyboardInterrupt:
        names = " ".join(one.name for one in chosen)
        show.remark(f"interrupted: make sure that nothing stays frozen: 'guestwire thaw {names}'")
        raise


@click.command()
@many.guests
def thaw(guests: tuple[str, ...], all_: bool, jobs: int, json_: bool) -> int:
    """Thaw every file system, and look whether it is so."""

    def line(outcome: Outcome) -> None:
        name = printable(outcome.target.name)
        thawed = f"{_count(outcome.value)} thawed" if outcome.value else "nothing was frozen"
        click.echo(f"{name}: {thawed}")

    chosen = many.targets(guests, all_)
    return many.report(
        chosen, jobs, Guest.thaw, json_=json_, line=line,
        result=lambda count: {"file-systems": count},
    )  # fmt: skip


COMMANDS = (freeze, thaw)


def _count(number: object) -> str:
    return "1 file system" if number == 1 else f"{number} file systems"
