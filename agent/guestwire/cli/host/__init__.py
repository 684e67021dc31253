"""guestwire: the command on the host. Its modules are imported when they are used."""

from __future__ import annotations

import sys
from typing import Optional


def main(argv: Optional[list[str]] = None) -> int:
    """Run the command line; the exit code, see docs/host.md."""
    try:
        import click  # noqa: F401  # an extra: an agent's installation does without
        import rich  # noqa: F401
    except ImportError as error:
        print(
            f"guestwire: {error.name} is missing: install python3-click and python3-rich (Debian, "
            "Fedora), or 'pip install guestwire[host]'",
            file=sys.stderr,
        )
        return 125
    from .commands import run

    return run(sys.argv[1:] if argv is None else argv)
