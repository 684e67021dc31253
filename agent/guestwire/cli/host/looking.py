"""ls, ping, wait, info: which guests there are, and how they are."""

from __future__ import annotations

import sys
import time

import click

from ...client import Guest
from ...client.errors import CannotReach, ClientError
from ...client.found import OFF, PAUSED, RUNNING, Found
from ...client.locate import census
from ...client.plans.facts import Summary
from ...client.printable import printable
from . import many, show
from .many import Outcome

COLOURS = {RUNNING: "green", "agent": "green", "silent": "red", "no channel": "red"}


@click.command()
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print names alone.")
def ls(json_: bool, quiet: bool) -> int:
    """List this machine's guests: libvirt's, and QEMU's processes.

    AGENT is what the host knows without asking: "agent" when a program in the guest holds the
    agent's channel open, "silent" when none does, "no channel" when the VM lacks one.
    """
    everything = census()
    if json_:
        show.as_json(
            {
                "guests": [_as_json(one) for one in everything.guests],
                "remarks": list(everything.remarks),
            }
        )
        return 0
    for text in everything.remarks:
        show.remark(text)
    if quiet:
        for one in everything.guests:
            click.echo(printable(one.name))
    elif everything.guests:
        rows = [(one.name, _state(one), _agent(one), one.address) for one in everything.guests]
        show.table(("NAME", "STATE", "AGENT", "ADDRESS"), rows, COLOURS)
    else:
        show.remark("no guests found; those of other users, and qemu:///system, may need sudo")
    return 0


@click.command()
@many.guests
@click.option(
    "--timeout", default=5.0, show_default=True, metavar="SECONDS", help="For each guest."
)
def ping(guests: tuple[str, ...], all_: bool, jobs: int, json_: bool, timeout: float) -> int:
    """Ask whether the agent answers, and say why when it does not."""

    def work(guest: Guest) -> object:
        guest.ping()  # connects, too
        begun = time.monotonic()
        guest.ask("guest-ping", timeout=timeout)
        return time.monotonic() - begun

    def line(outcome: Outcome) -> None:
        assert isinstance(outcome.value, float)
        name = printable(outcome.target.name)
        click.echo(f"{name}: answers in {outcome.value * 1000:.1f} ms")

    return many.report(
        many.targets(guests, all_), jobs, work, json_=json_, line=line, timeout=timeout,
        result=lambda seconds: {"seconds": seconds},
    )  # fmt: skip


@click.command()
@many.guests
@click.option(
    "--timeout", default=300.0, show_default=True, metavar="SECONDS", help="Give up after these."
)
def wait(guests: tuple[str, ...], all_: bool, jobs: int, json_: bool, timeout: float) -> int:
    """Wait until the agent answers.

    Meanwhile the VM may start, boot, or be resumed; what is being waited for is told on stderr.
    A guest that does not exist is no reason to wait.
    """

    def work(guest: Guest) -> object:
        name = printable(str(guest.address))
        begun = time.monotonic()
        last = [""]

        def waiting(error: ClientError) -> None:
            if error.code != last[0] and time.monotonic() - begun > 0.5 and not json_:
                last[0] = error.code
                about = "" if error.text.startswith(name) else f"{name}: "
                click.echo(f"waiting: {about}{printable(error.text)}", err=True)

        try:
            guest.wait(timeout, waiting)
        except CannotReach:
            if not json_ and time.monotonic() - begun > timeout / 2:
                show.remark(f"{name}: gave up after {timeout:g} s")
            raise
        return time.monotonic() - begun

    def line(outcome: Outcome) -> None:
        name = printable(outcome.target.name)
        click.echo(f"{name}: the agent answers, after {outcome.seconds:.1f} s")

    return many.report(
        many.targets(guests, all_), jobs, work, json_=json_, line=line, timeout=timeout,
        result=lambda seconds: {"seconds": seconds},
    )  # fmt: skip


@click.command()
@many.guests
def info(guests: tuple[str, ...], all_: bool, jobs: int, json_: bool) -> int:
    """What the guest tells of itself: system, addresses, agent."""

    def result(value: object) -> object:
        assert isinstance(value, Summary)
        return value._asdict()

    return many.report(
        many.targets(guests, all_), jobs, Guest.summary, json_=json_, line=_page, result=result
    )


COMMANDS = (ls, ping, wait, info)


def _page(outcome: Outcome) -> None:
    """A guest on a few lines."""
    told = outcome.value
    assert isinstance(told, Summary)
    click.echo(printable(outcome.target.name))
    pairs: list[tuple[str, object]] = [
        ("hostname", told.hostname or "not told"),
        ("system", told.os or "not told"),
        ("kernel", told.kernel or "not told"),
        ("addresses", told.addresses or "none"),
        ("agent", f"speaks QGA {told.version}"),
    ]
    if told.frozen:
        thaw = f"FROZEN: 'guestwire thaw {outcome.target.name}' thaws them"
        pairs.append(("disks", thaw))
    elif told.disabled:
        pairs.append(("disabled", told.disabled))
    show.facts(pairs)
    sys.stdout.flush()


def _state(guest: Found) -> str:
    return f"{guest.state} ({guest.why})" if guest.why else guest.state


def _agent(guest: Found) -> str:
    """What the ports tell without a word to the agent."""
    if guest.state == OFF:
        return "-"
    ports = {name: one for name, one in guest.channels.items() if "agent" in name}
    if not ports:
        return "no channel"
    known = [one.connected for one in ports.values() if one.connected is not None]
    if not known:
        return "?"
    if guest.state == PAUSED:
        return "paused"
    return "agent" if any(known) else "silent"


def _as_json(guest: Found) -> dict[str, object]:
    return {
        "name": guest.name,
        "state": guest.state,
        "why": guest.why,
        "address": guest.address,
        "uri": guest.uri,
        "uuid": guest.uuid,
        "pid": guest.pid,
        "cid": guest.cid,
        "channels": {
            name: {"path": one.path, "connected": one.connected}
            for name, one in guest.channels.items()
        },
    }
