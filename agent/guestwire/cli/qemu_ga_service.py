"""From qemu-ga's options to the agent that serves."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Callable, Optional

from .. import config
from ..channel import Open
from ..commands.table import COMMANDS
from ..config import Config
from ..errors import ConfigError
from ..service import Service
from ..signals import Signals
from ..system.freeze import mark
from ..system.root import Root
from . import daemon, qemu_ga_options
from .qemu_ga_options import Options

if TYPE_CHECKING:
    import socket

log = logging.getLogger(__name__)

KINDS = {
    "virtio-serial": "virtio-serial",
    "isa-serial": "isa-serial",
    "unix-listen": "unix",
    "vsock-listen": "vsock:any-peer",  # qemu-ga lets guest processes in, too
}
OURS = frozenset(one.name for one in COMMANDS if not one.name.startswith("guest-"))
KNOWN = frozenset(one.name for one in COMMANDS)


def serve(
    options: Options,
    load: Callable[[], Options],
    *,
    listener: Optional[socket.socket],
    here: str,
    started: Callable[[], None],
    signals: Signals,
) -> int:
    """Run the agent until a signal ends it; the exit code.

    `load` reads the options again, for SIGHUP; relative paths start from `here`, which a daemon
    has left; `started` is called when all that was asked for works. Raises ConfigError.
    """
    wanted = to_config(options, here)
    pidfile = os.path.join(here, options.pidfile)
    may_write = not is_left_frozen(wanted.statedir)
    locked = options.daemon and may_write
    if locked:
        daemon.write_pid(pidfile)
    try:
        if wanted.log_file and may_write:
            _try_log_file(wanted.log_file)

        def ready() -> None:
            _warn_of_unknown(options)
            started()

        return Service(
            wanted,
            reload=lambda: to_config(load(), here),
            sockets={} if listener is None else {options.method: _opener(listener, options)},
            must_open=not options.retry_path,
            ready=ready,
        ).run(signals)
    finally:
        if locked:
            daemon.remove(pidfile)


def to_config(options: Options, here: str) -> Config:
    """What the service is to do; relative paths start from `here`.

    What the administrator has decided in Guestwire's own configuration, of commands and of how
    they behave, holds here, too: the agent does not get looser by being called another name.
    """
    statedir = os.path.join(here, options.statedir)
    if not os.path.isdir(statedir):
        raise ConfigError(f"{statedir}: the state directory does not exist")
    own = config.load()
    settings = {**own.settings, "statedir": statedir}
    if options.fsfreeze_hook is not None:
        hook = options.fsfreeze_hook
        settings["fsfreeze-hook"] = os.path.join(here, hook) if hook else ""
    return Config(
        channels=_channels(options, here),
        statedir=statedir,
        log_file=os.path.join(here, options.logfile) if options.logfile else "",
        log_level=_log_level(options),
        allow=_both(_allow(options), own.allow),
        block=_block(options) | own.block & KNOWN,
        settings=settings,
    )


def is_left_frozen(statedir: str) -> bool:
    """Whether an agent that was killed has left this guest frozen.

    Writing then could wait for ever, and only this agent can thaw.
    """
    try:
        marker = mark.read(Root("/"), statedir, None)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}") from error
    return marker is not None and marker.boot == mark.boot_id(Root("/"))


def _log_level(options: Options) -> str:
    """A daemon without a log file can say nothing but why it did not start."""
    if options.verbose:
        return "debug"
    return "warning" if options.daemon and not options.logfile else "info"


def _channels(options: Options, here: str) -> tuple[str, ...]:
    if options.path is None:
        return ()
    if options.method not in KINDS:
        raise ConfigError(f"unsupported channel method/type: {options.method}")
    kind = KINDS[options.method]
    if options.method == "vsock-listen":
        if ":" not in options.path:
            raise ConfigError(f"{options.path}: vsock-listen needs CID:PORT")
        return (f"{kind}:{options.path}",)
    return (f"{kind}:{os.path.join(here, options.path)}",)


def _allow(options: Options) -> Optional[frozenset[str]]:
    """An empty list is none at all; one with wrong names only allows nothing."""
    if not options.allow_rpcs:
        return None
    return qemu_ga_options.names(options.allow_rpcs) & KNOWN


def _block(options: Options) -> frozenset[str]:
    """Who blocks some of qemu-ga's commands blocks ours, which can do the same under other names.

    With an allow list that cannot happen: it has to name those of ours that may run.
    """
    block = qemu_ga_options.names(options.block_rpcs)
    if block and not options.allow_rpcs:
        return block & KNOWN | OURS
    return block & KNOWN


def _both(
    one: Optional[frozenset[str]], other: Optional[frozenset[str]]
) -> Optional[frozenset[str]]:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _warn_of_unknown(options: Options) -> None:
    unknown = qemu_ga_options.names(options.allow_rpcs + options.block_rpcs) - KNOWN
    if unknown:
        log.warning("no command is named %s", ", ".join(sorted(unknown)))


def _try_log_file(path: str) -> None:
    try:
        open(path, "ab").close()
    except OSError as error:
        raise ConfigError(f"cannot open log file {path}: {error.strerror}") from error


def _opener(listener: socket.socket, options: Options) -> Open:
    from ..transports.listen import ListenTransport

    return lambda: ListenTransport(listener, options.method)
