"""cp: files between the host and its guests."""

from __future__ import annotations

import os
import posixpath
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, NamedTuple, Optional

import click

from ...client import Guest
from ...client.errors import BadAddress
from ...client.plans.files import Copied
from ...client.printable import printable
from . import many, show
from .many import Outcome

ADDRESSES = ("libvirt+", "unix:", "pty:", "tcp:", "vsock:", "vsock-mux:", "serial:", "native+")


class Place(NamedTuple):
    """A file: of a guest, or of the host when `guest` is empty."""

    guest: str
    path: str


@click.command()
@click.argument("source")
@click.argument("target")
@many.every
@click.option("--limit", metavar="MIB", type=int, help="Refuse a file of the guest that is longer.")
@click.option("--resume", is_flag=True, help="Keep what a broken copy left, and go on with it.")
def cp(
    source: str,
    target: str,
    all_: bool,
    jobs: int,
    json_: bool,
    limit: Optional[int],
    resume: bool,
) -> int:
    """Copy a file into a guest or out of it.

    One of SOURCE and TARGET is GUEST:/PATH, the other a file of this host. Into many guests at
    once with a pattern, 'web*:/etc/motd', or with --all and ':/etc/motd'. The copy is whole or
    not there, and keeps its mode, where the agent may run programs; it says so where it may not.
    A host file whose name holds ':/' is written ./NAME.
    """
    here, there = place(source), place(target)
    if bool(here.guest or source.startswith(":")) == bool(there.guest or target.startswith(":")):
        raise click.UsageError("one of SOURCE and TARGET is GUEST:/PATH, the other a host's file")
    inward = not (here.guest or source.startswith(":"))
    remote = there if inward else here
    chosen = many.targets([remote.guest] if remote.guest else [], all_)
    if not inward and len(chosen) > 1:
        raise click.UsageError("a file comes out of one guest at a time")
    quiet = json_ or len(chosen) > 1 or not sys.stderr.isatty()

    def work(guest: Guest) -> object:
        with _progress(os.path.basename(here.path), quiet) as progress:
            if inward:
                path = _into(there.path, here.path)
                return guest.copy_to(here.path, path, progress=progress, resume=resume)
            path = _out_of(there.path, here.path)
            most = None if limit is None else limit << 20
            return guest.copy_from(here.path, path, most, progress, resume)

    def line(outcome: Outcome) -> None:
        copied = outcome.value
        assert isinstance(copied, Copied)
        name = printable(outcome.target.name)
        click.echo(f"{name}: {copied.size} bytes copied")
        if not copied.whole:
            show.remark(f"{name}: written in place, since the agent may not run programs")
        if copied.mode is None:
            show.remark(f"{name}: the file's mode is not kept: look at it, and set it")

    def result(value: object) -> object:
        assert isinstance(value, Copied)
        return value._asdict()

    return many.report(chosen, jobs, work, json_=json_, line=line, result=result)


COMMANDS = (cp,)


def place(text: str) -> Place:
    """Split GUEST:/PATH; an address holds colons of its own, so the last ':/' counts in one."""
    if text.startswith(("/", "./", "../")) or ":/" not in text:
        return Place("", text)
    address = text.startswith(ADDRESSES)
    guest, _, path = text.rpartition(":/") if address else text.partition(":/")
    if address and guest + ":" in ADDRESSES:
        raise BadAddress(f"{text!r} names a guest, and no file of it", f"write {text}:/PATH")
    return Place(guest, "/" + path)


def _into(path: str, source: str) -> str:
    return posixpath.join(path, os.path.basename(source)) if path.endswith("/") else path


def _out_of(path: str, source: str) -> str:
    """A directory gets a file of the name that was asked for, never one that the guest tells."""
    return os.path.join(path, posixpath.basename(source)) if os.path.isdir(path) else path


@contextmanager
def _progress(name: str, quiet: bool) -> Iterator[Optional[Callable[[int], None]]]:
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(printable(name)), total=None)
        yield lambda size: bar.update(task, completed=size)
