"""The tree of subcommands, and how each of them ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from ... import __version__
from ...client.errors import ClientError
from . import copying, freezing, looking, programs
from .show import complain

OWN_FAILURE = 125  # of exec, whose other codes are the program's; as docker's


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="GUEST is a name from 'guestwire ls', a pattern of names such as 'web*', or an address: "
    "libvirt+URI/NAME, unix:PATH, pty:PATH, tcp:HOST:PORT, vsock:CID:PORT, vsock-mux:PATH:PORT, "
    "serial:DEVICE.",
)
@click.version_option(__version__, prog_name="guestwire")
def guestwire() -> None:
    """Talk to the agents in this host's virtual machines, guestwire's and QEMU's own."""


for module in (looking, programs, copying, freezing):
    for command in module.COMMANDS:
        guestwire.add_command(command)


def run(argv: Sequence[str]) -> int:
    own = OWN_FAILURE if argv[:1] == ["exec"] else 1
    try:
        code = guestwire.main(list(argv), prog_name="guestwire", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return OWN_FAILURE if own == OWN_FAILURE else error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("guestwire: interrupted", file=sys.stderr)
        return 130
    except ClientError as error:
        complain("", error)
        return own
    except BrokenPipeError:  # head had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return own
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"guestwire: {where}{error.strerror or error}", file=sys.stderr)
        return own
    return code if isinstance(code, int) else 0
