"""guestwire-agent: the agent's own command line.

Called as `qemu-ga`, or with an option of qemu-ga's in place of a subcommand, it is qemu-ga.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple, Optional

from ..errors import AgentError, ConfigError

if TYPE_CHECKING:
    import argparse

    from ..config import Config

OURS = ("-h", "--help", "--version")
PLAIN = ("--config", "--channel", "--root", "--statedir")


class Asked(NamedTuple):
    """What a command line says of the service; None where it leaves that to the configuration."""

    config: Optional[str] = None
    channel: Optional[list[str]] = None
    root: Optional[str] = None
    statedir: Optional[str] = None
    log_level: Optional[str] = None


def main(argv: Optional[list[str]] = None) -> int:
    """Run the command line; the exit code: 0 done, 1 failed, 2 not understood."""
    sys.dont_write_bytecode = True  # installing does; in a guest left frozen a write would wait
    program = os.path.basename(sys.argv[0])
    arguments = sys.argv[1:] if argv is None else argv
    if program == "qemu-ga" or (arguments and arguments[0][:1] == "-" and arguments[0] not in OURS):
        from . import qemu_ga

        return qemu_ga.main(arguments)
    try:
        plain = _plain_run(arguments)
        if plain is not None:
            return run(plain)
        options = _parser().parse_args(arguments or ["--help"])
        code: int = options.work(Asked(*(getattr(options, name, None) for name in Asked._fields)))
        sys.stdout.flush()
        return code
    except AgentError as error:
        print(f"guestwire-agent: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read it has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains at its end
        return 1


def run(options: Asked) -> int:
    from ..signals import Signals

    signals = Signals()
    from ..service import Service

    return Service(_config(options), reload=lambda: _config(options)).run(signals)


def check(options: Asked) -> int:
    """Say what would be served, or what is wrong: the first thing, by file and line."""
    from ..service import Service

    config = _config(options)
    Service(config)
    print("configuration is good; channels:", ", ".join(config.channels) or "none")
    return 0


def ports(options: Asked) -> int:
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


def commands(options: Asked) -> int:
    from ..commands.table import COMMANDS

    for command in COMMANDS:
        marks = ", while frozen" if command.while_frozen else ""
        print(f"{command.name:<36} {command.handler}{marks}")
    return 0


def _config(options: Asked) -> Config:
    """The configuration's files, and over them the command line."""
    from .. import config

    loaded = config.load(options.config)
    given: dict[str, object] = {}
    if options.channel:
        try:
            given["channels"] = config.channels(" ".join(options.channel))
        except ValueError as error:
            raise ConfigError(f"--channel: {error}") from error
    if options.root:
        given["root"] = options.root
    if options.log_level:
        given["log_level"] = options.log_level
    if options.statedir:
        given["statedir"] = options.statedir
        given["settings"] = {**loaded.settings, "statedir": options.statedir}
    return loaded._replace(**given)  # type: ignore[arg-type]


def _plain_run(arguments: list[str]) -> Optional[Asked]:
    """`run` as units and scripts write it: options in full, with values that are none themselves.

    All else is for argparse, which takes a fifth of the time until the first answer.
    """
    words = arguments[1:]
    if arguments[:1] != ["run"] or len(words) % 2:
        return None
    found: dict[str, list[str]] = {}
    for option, value in zip(words[::2], words[1::2]):
        if option not in PLAIN or value[:1] in ("", "-"):
            return None
        found.setdefault(option[2:], []).append(value)
    channel = found.pop("channel", None)
    return Asked(channel=channel, **{name: values[-1] for name, values in found.items()})


def _parser() -> argparse.ArgumentParser:
    import argparse

    from .. import __version__
    from ..commands.protocol import OWN_VERSION
    from ..config import DEFAULT_CHANNELS, DEFAULT_PATH, LOG_LEVELS

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
    work = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", required=True)

    service = argparse.ArgumentParser(add_help=False)
    service.add_argument("--config", metavar="FILE", help=f"in place of {DEFAULT_PATH}")
    service.add_argument(
        "--channel",
        metavar="[DIALECT+]KIND:ADDRESS",
        action="append",
        help="a port to serve, in place of the configured ones; repeatable; default: "
        + " and ".join(DEFAULT_CHANNELS),
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
        if service in parents:
            one.formatter_class = argparse.RawDescriptionHelpFormatter  # it keeps lines as they are
            one.epilog = _configuration()
    return parser


def _configuration() -> str:
    from ..config import DEFAULT_PATH, KEYS

    lines = [f"keys of {DEFAULT_PATH}, and of {DEFAULT_PATH}.d/*.conf:"]
    for section, keys in KEYS.items():
        lines += ["", f"  [{section}]"]
        lines += [f"  {name:<16} {key.help}" for name, key in keys.items()]
    return "\n".join(lines)
