"""What is printed: for people without anything a guest could do to a terminal, or as JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence

import click

from ...client.errors import ClientError
from ...client.printable import printable


def as_json(value: object) -> None:
    """ASCII alone, so that no terminal acts upon it. Bytes are base64, as in the QGA dialect."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


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
    """Columns, on a terminal with colours for the words that have one.

    Never folded nor cut, so that a word can be copied whole, and found by grep and awk.
    """
    lines = [list(heads), *([printable(one) for one in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for number, line in enumerate(lines):
        words = [
            click.style(word, fg=colours.get(word), bold=number == 0 or None)
            + " " * (width - len(word))
            for word, width in zip(line, widths)
        ]
        click.echo("  ".join(words).rstrip())


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    for name, value in pairs:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        click.echo(f"  {name + ':':<11} {printable(text)}")
