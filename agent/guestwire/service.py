"""The agent as a service: from a configuration to channels that are served until a signal."""

from __future__ import annotations

import importlib
import logging
import os
import select
import signal
from collections.abc import Iterator, Mapping
from typing import Callable, Optional

from . import __version__, logs, session, transports
from .channel import Channel, News, Open
from .commands.table import COMMANDS
from .config import NATIVE, Config, split_channel
from .dispatch.command import Command
from .dispatch.dispatcher import Dispatcher
from .dispatch.jobs import Jobs
from .dispatch.policy import FROZEN_BEFORE_9_1, NOT_ALLOWED, Policy
from .errors import ConfigError, Stopped, TransportError
from .signals import Signals
from .system.freeze.freezer import Freezer
from .system.root import Root
from .system.run import run
from .wire.qga import QgaDialect

log = logging.getLogger(__name__)
AT_START = ("root", "log_file", "plugins")
LISTS_THEM = "'guestwire-agent commands' lists those that there are"
START_PATIENCE = 10.0  # seconds for the first attempt at each port, before we say we are ready


class Service:
    """What all channels share, and the main thread's work.

    `reload` reads the configuration anew, for SIGHUP. `sockets` are channels that somebody
    else has opened for us, by name. With `must_open`, `run` ends with 1 when a port cannot be
    opened at the start. `ready` is called when the agent has started. Raises ConfigError.
    """

    def __init__(
        self,
        config: Config,
        *,
        reload: Optional[Callable[[], Config]] = None,
        sockets: Mapping[str, Open] = {},
        must_open: bool = False,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._reload = reload or (lambda: config)
        self._sockets = sockets
        self._must_open = must_open
        self._ready = ready
        self._root = _root(config.root)
        self._commands = tuple(_commands(config.plugins))
        _check_kinds(config)
        self._logs = logs.start(config.log_level, config.log_file)
        self._jobs = Jobs()
        self._freezer = Freezer(self._root, run, config.settings)
        self._freezer.on_change = self._on_freeze
        self._jobs.keep(self._freezer)
        self._dispatcher = Dispatcher(
            self._commands,
            self._root,
            run,
            self._jobs,
            policy=_policy(config, self._commands),
            settings=config.settings,
            frozen=lambda: self._freezer.frozen,
        )
        self._news = News()
        self._channels: dict[str, Channel] = {}
        self._put_off: list[signal.Signals] = []
        self._config = config

    def run(self, signals: Optional[Signals] = None) -> int:
        """Serve until SIGTERM or SIGINT; the exit code. `signals` if they are caught already."""
        signals = signals or Signals()
        systemd = os.environ.pop("NOTIFY_SOCKET", "")  # not for the programs that hosts start
        self._resume()
        self._match_channels(self._config)
        if self._must_open and not self._all_open():
            log.error("a port could not be opened; only with --retry-path it is waited for")
            return 1
        self._ready()
        _notify(systemd, "READY=1")
        self._supervise(signals)
        _notify(systemd, "STOPPING=1")
        for channel in self._channels.values():
            channel.stop()
        self._jobs.close()
        return 0

    def _resume(self) -> None:
        try:
            self._freezer.resume()
        except OSError as error:  # a host can still do all but freeze, and see to it
            why = f"{error.filename}: {error.strerror}"
            log.error("cannot tell whether the guest was left frozen: %s", why)

    def _supervise(self, signals: Signals) -> None:
        """Sleep until a signal or a device comes; return when it is time to go."""
        from .transports import hotplug  # the channels are being served while this is imported

        devices = hotplug.open()
        waiting = select.epoll()
        waiting.register(signals.fileno(), select.EPOLLIN)
        if devices is not None:
            waiting.register(devices.fileno(), select.EPOLLIN)
            self._news.reliable = True
            self._news.tell()  # of what may have come before we listened
        while True:
            for fd, _ in waiting.poll():
                if fd != signals.fileno():
                    if devices is not None and hotplug.is_about_ports(devices):
                        self._news.tell()
                    continue
                if not self._obey(self._put_off + signals.take()):
                    return

    def _obey(self, signals: list[signal.Signals]) -> bool:
        """False when a signal says to end. A frozen guest is not left alone: all wait till thaw."""
        if self._freezer.frozen:
            self._put_off = signals
            return True
        self._put_off = []
        if signal.SIGTERM in signals or signal.SIGINT in signals:
            return False
        if signal.SIGHUP in signals:
            self._reconfigure()
        return True

    def _reconfigure(self) -> None:
        """Take over a changed configuration, or keep the old one whole when it is wrong."""
        try:
            config = self._reload()
            policy = _policy(config, self._commands)
            _check_kinds(config)
        except ConfigError as error:
            log.error("configuration not reloaded: %s", error)
            return
        self._logs.set_level(config.log_level)
        self._dispatcher.policy = policy
        self._dispatcher.settings = self._freezer.settings = config.settings
        self._match_channels(config)
        for key in AT_START:
            if getattr(config, key) != getattr(self._config, key):
                log.warning("%s has changed; that takes a restart", key.replace("_", "-"))
        self._config = config
        log.info("configuration reloaded")

    def _match_channels(self, config: Config) -> None:
        """Start the channels that are missing, and end those that are no longer wanted."""
        wanted = self._sockets or dict.fromkeys(config.channels)
        for address in self._channels.keys() - wanted.keys():
            self._channels.pop(address).stop()
        for address, opener in wanted.items():
            if address not in self._channels:
                channel = self._channels[address] = self._channel(address, opener)
                channel.start()

    def _channel(self, address: str, opener: Optional[Open]) -> Channel:
        dialect, port = split_channel(address)
        serve = self._serve_native if dialect == NATIVE else self._serve_qga
        opener = opener or (lambda: transports.open(self._root, port))
        return Channel(address, opener, serve, self._news)

    def _serve_qga(self, transport: transports.Transport) -> None:
        session.serve(transport, QgaDialect(), self._dispatcher)

    def _serve_native(self, transport: transports.Transport) -> None:
        try:
            from .native_session import NativeSession  # with it msgpack: not every guest needs it
        except ImportError as error:
            log.error(
                "%s: not served: %s; install it, and restart the agent", transport.name, error
            )
            raise Stopped(transport.name) from error
        boot = self._root.read_text("/proc/sys/kernel/random/boot_id", missing="").strip()
        identity = {"agent": "guestwire", "version": __version__, "boot": boot}
        NativeSession(transport, self._dispatcher, identity).serve()

    def _all_open(self) -> bool:
        return all(
            channel.tried.wait(START_PATIENCE) and channel.error is None
            for channel in self._channels.values()
        )

    def _on_freeze(self, frozen: bool) -> None:
        """Told before the first file system is frozen, and after the last is thawed."""
        if frozen:
            self._dispatcher.preload()
            self._logs.hold_back()
        else:
            self._logs.pass_on()
            for number in self._put_off:
                signal.raise_signal(number)  # once more, and now they count


def _root(top: str) -> Root:
    if not os.path.isdir(top):
        raise ConfigError(f"root: {top} is not a directory")
    return Root(top)


def _check_kinds(config: Config) -> None:
    """Only a port may come later; a kind of port is there or never will be."""
    for address in config.channels:
        try:
            transports.kind(split_channel(address)[1].partition(":")[0])
        except TransportError as error:
            raise ConfigError(f"channels: {address}: {error}") from error


def _commands(plugins: tuple[str, ...]) -> Iterator[Command]:
    """The table, and those of the plug-ins that the administrator named."""
    yield from COMMANDS
    taken = {command.name for command in COMMANDS}
    for name in plugins:
        try:
            plugin = importlib.import_module(name)
        except (ImportError, SyntaxError) as error:
            raise ConfigError(f"plugins: cannot import {name}: {error}") from error
        for command in getattr(plugin, "COMMANDS", ()):
            if command.name in taken:
                raise ConfigError(f"plugins: {name}: there is a command {command.name} already")
            taken.add(command.name)
            yield command
        transports.KINDS.update(getattr(plugin, "TRANSPORTS", {}))


def _policy(config: Config, commands: tuple[Command, ...]) -> Policy:
    version = config.settings.get("qga-version", "")
    reason = FROZEN_BEFORE_9_1 if _is_before_9_1(version) else NOT_ALLOWED
    policy = Policy(config.allow, config.block, reason)
    unknown = policy.unknown({command.name for command in commands})
    if unknown:
        names = ", ".join(unknown)
        raise ConfigError(f"[policy]: no command is named {names}; {LISTS_THEM}")
    return policy


def _is_before_9_1(version: str) -> bool:
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    return major.isdecimal() and (int(major), int(minor if minor.isdecimal() else 0)) < (9, 1)


def _notify(address: str, state: str) -> None:
    """Tell systemd, if it asked to be told (sd_notify(3))."""
    if not address:
        return
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notice:
        try:
            notice.sendto(state.encode(), address.replace("@", "\0", 1))
        except OSError as error:
            log.warning("%s: %s", address, error.strerror)
