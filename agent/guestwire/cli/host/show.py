"""What is printed: for people without anything a guest could do to a terminal, or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

import click

from ...client.errors import ClientError
from ...client.printable import printable


def as_json(value: object) -> None:
    """ASCII alone, so that no terminal acts upon it."""
    click.echo(json.dumps(value, indent=2, default=str))


def failure(error: ClientError) -> dict[str, object]:
    """An error, for programs: `code` is one of docs/host.md's."""
    return {"code": error.code, "text": error.text, "advice": error.advice}


def complain(guest: str, error: ClientError) -> None:
    """Two lines on stderr: what is wrong, and what to do next."""
    about = "" if not guest or error.text.startswith(f"{guest}:") else f"{printable(guest)}: "
    click.echo(f"guestwire: {about}{printable(error.text)}", err=True)
    if error.advice:
        click.echo(f"  next: {printable(error.advice)}", err=True)


def remark(text: str) -> None:
    click.echo(f"guestwire: {printable(text)}", err=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], colours: Mapping[str, str]) -> None:
    """Columns; on a terminal with colours for the words that have one."""
    if not sys.stdout.isatty():
        _plain(heads, rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        made.add_column(head, overflow="fold")
    for row in rows:
        made.add_row(*(Text(printable(one), style=colours.get(one, "")) for one in row))
    Console(highlight=False).print(made)


def _plain(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Never wrapped nor cut, so that grep and awk find what they look for."""
    lines = [list(heads), *([printable(one) for one in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        text = "  ".join(word.ljust(width) for word, width in zip(line, widths))
        click.echo(text.rstrip())


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    for name, value in pairs:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        click.echo(f"  {name + ':':<11} {printable(text)}")
