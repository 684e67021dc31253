"""guestwire-agent: the agent's own command line.

Called as `qemu-ga`, or with an option of qemu-ga's in place of a subcommand, it is qemu-ga.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Optional

from ..errors import AgentError

if TYPE_CHECKING:
    import argparse

    from ..config import Config

OURS = ("-h", "--help", "--version")


def main(argv: Optional[list[str]] = None) -> int:
    """Run the command line; the exit code: 0 done, 1 failed, 2 not understood."""
    sys.dont_write_bytecode = True  # installing does; in a guest left frozen a write would wait
    program = os.path.basename(sys.argv[0])
    arguments = sys.argv[1:] if argv is None else argv
    if program == "qemu-ga" or (arguments and arguments[0][:1] == "-" and arguments[0] not in OURS):
        from . import qemu_ga

        return qemu_ga.main(arguments)
    options = _parser().parse_args(arguments or ["--help"])
    try:
        code: int = options.work(options)
        return code
    except AgentError as error:
        print(f"guestwire-agent: {error}", file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    from ..signals import Signals

    signals = Signals()
    from ..service import Service

    return Service(_config(options), reload=lambda: _config(options)).run(signals)


def check(options: argparse.Namespace) -> int:
    """Say what would be served, or what is wrong: the first thing, by file and line."""
    from .. import transports
    from ..service import Service

    config = _config(options)
    Service(config)
    for channel in config.channels:
        transports.kind(channel.partition(":")[0])
    print("configuration is good; channels:", ", ".join(config.channels) or "none")
    return 0


def ports(options: argparse.Namespace) -> int:
    from .. import transports
    from ..system.root import Root

    found = [
        (f"{name}:{address}", device)
        for name in transports.KINDS
        for address, device in transports.kind(name).discover(Root("/"))
    ]
    for address, device in found:
        print(f"{address:<48} {device}")
    if not found:
        print("no port to a host was found; is this a virtual machine with a virtio-serial port?")
    return 0 if found else 1


def commands(options: argparse.Namespace) -> int:
    from ..commands.table import COMMANDS

    for command in COMMANDS:
        marks = ", while frozen" if command.while_frozen else ""
        print(f"{command.name:<36} {command.handler}{marks}")
    return 0


def _config(options: argparse.Namespace) -> Config:
    """The configuration's files, and over them the command line."""
    from .. import config

    loaded = config.load(options.config)
    given: dict[str, object] = {}
    if options.channel:
        given["channels"] = tuple(options.channel)
    if options.root:
        given["root"] = options.root
    if options.log_level:
        given["log_level"] = options.log_level
    if options.statedir:
        given["statedir"] = options.statedir
        given["settings"] = {**loaded.settings, "statedir": options.statedir}
    return loaded._replace(**given)  # type: ignore[arg-type]


def _parser() -> argparse.ArgumentParser:
    import argparse  # 7 ms that qemu-ga's command line does without

    from .. import __version__
    from ..commands.protocol import OWN_VERSION
    from ..config import DEFAULT_CHANNEL, DEFAULT_PATH, LOG_LEVELS

    parser = argparse.ArgumentParser(
        prog="guestwire-agent",
        description="The agent inside a virtual machine: serves the host over private channels.",
        epilog="With qemu-ga's options (-m, -p, -t ...) in place of a subcommand it is qemu-ga.",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"guestwire-agent {__version__} (commands of QEMU Guest Agent {OWN_VERSION})",
    )
    work = parser.add_subparsers(title="subcommands", metavar="", required=True)

    service = argparse.ArgumentParser(add_help=False)
    service.add_argument("--config", metavar="FILE", help=f"in place of {DEFAULT_PATH}")
    service.add_argument(
        "--channel",
        metavar="KIND:ADDRESS",
        action="append",
        help=f"a port to serve, in place of the configured ones ({DEFAULT_CHANNEL}); repeatable",
    )
    service.add_argument("--root", metavar="DIR", help="the directory that is the guest's /")
    service.add_argument("--statedir", metavar="DIR", help="where state is kept")
    service.add_argument("--log-level", choices=LOG_LEVELS)

    for name, function, parents, text in (
        ("run", run, [service], "serve the host until a signal ends it"),
        ("check", check, [service], "read the configuration and say what is wrong with it"),
        ("ports", ports, [], "list the ports to a host that this machine has"),
        ("commands", commands, [], "list what a host can ask for"),
    ):
        one = work.add_parser(name, help=text, description=text, parents=parents)
        one.set_defaults(work=function)
    return parser
