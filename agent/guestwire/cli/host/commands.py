"""The tree of subcommands, and how each of them ends."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import click

from ... import __version__
from ...client.errors import ClientError
from . import copying, freezing, looking, programs, shell
from .show import complain

OWN_FAILURE = 125  # of exec, whose other codes are the program's; as docker's


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="GUEST is a name from 'guestwire ls', a pattern of names such as 'web*', or an address: "
    "libvirt+URI/NAME, unix:PATH, pty:PATH, tcp:HOST:PORT, vsock:CID:PORT, vsock-mux:PATH:PORT, "
    "serial:DEVICE; native+unix:PATH and so on where guestwire's own protocol is spoken.",
)
@click.version_option(__version__, prog_name="guestwire")
@click.option("-v", "--verbose", is_flag=True, help="Say which way a guest is reached.")
def guestwire(verbose: bool) -> None:
    """Talk to the agents in this host's virtual machines, guestwire's and QEMU's own."""
    if verbose:
        logging.basicConfig(level=logging.INFO, format="guestwire: %(message)s")


for module in (looking, programs, shell, copying, freezing):
    for command in module.COMMANDS:
        guestwire.add_command(command)


def run(argv: Sequence[str]) -> int:
    command = next((one for one in argv if not one.startswith("-")), "")
    own = OWN_FAILURE if command in ("exec", "shell") else 1
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
