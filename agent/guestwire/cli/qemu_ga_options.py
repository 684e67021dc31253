"""qemu-ga's options: its command line and its qemu-ga.conf as one record, and the record as a dump.

The file is read first. Of options that have one value the last wins; lists add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Optional

from ..errors import ConfigError
from . import keyfile
from .getopt_long import NONE, OPTIONAL, REQUIRED, Found, Option

CONFIG_FILE = "/etc/qemu/qemu-ga.conf"
HOOK = "/etc/qemu/fsfreeze-hook"
GROUP = "general"
DEFAULT_PATHS = {
    "virtio-serial": "/dev/virtio-ports/org.qemu.guest_agent.0",
    "isa-serial": "/dev/ttyS0",
}


class Options(NamedTuple):
    """The fields are the keys of qemu-ga.conf, in the order in which qemu-ga dumps them."""

    daemon: bool = False
    method: str = "virtio-serial"
    path: Optional[str] = None
    logfile: Optional[str] = None
    pidfile: str = "/var/run/qemu-ga.pid"
    fsfreeze_hook: Optional[str] = None
    statedir: str = "/var/run"
    verbose: bool = False
    retry_path: bool = False
    block_rpcs: tuple[str, ...] = ()
    allow_rpcs: tuple[str, ...] = ()


# In qemu-ga's order, in which getopt_long names the candidates for an ambiguous prefix.
TABLE = (
    Option("h", "help", NONE, "print this help and exit"),
    Option("V", "version", NONE, "print the version and exit"),
    Option("c", "config", REQUIRED, f"configuration file [$QGA_CONF, or {CONFIG_FILE}]"),
    Option("D", "dump-conf", NONE, "print the effective configuration as a file and exit"),
    Option("l", "logfile", REQUIRED, "log to this file [standard error]"),
    Option("f", "pidfile", REQUIRED, f"with -d: the pid file [{Options().pidfile}]"),
    Option(
        "F", "fsfreeze-hook", OPTIONAL, f"hook for freeze and thaw; no space before it [{HOOK}]"
    ),
    Option("v", "verbose", NONE, "log more"),
    Option("m", "method", REQUIRED, "virtio-serial, isa-serial, unix-listen or vsock-listen"),
    Option("p", "path", REQUIRED, "device or socket; CID:PORT for vsock-listen"),
    Option("d", "daemonize", NONE, "go to the background once started"),
    Option("b", "block-rpcs", REQUIRED, "commands to refuse, with commas; `help` lists them all"),
    Option("b", "blacklist", REQUIRED, "the name of --block-rpcs before QEMU 9.1"),
    Option("a", "allow-rpcs", REQUIRED, "the only commands to allow; `help` lists them all"),
    Option("t", "statedir", REQUIRED, f"directory for state [{Options().statedir}]"),
    Option("r", "retry-path", NONE, "try again every 5 seconds while the channel cannot be opened"),
)
TEXTS = {"m": "method", "p": "path", "l": "logfile", "f": "pidfile", "t": "statedir"}
SWITCHES = {"v": "verbose", "d": "daemon", "r": "retry_path"}
LISTS = {"b": "block_rpcs", "a": "allow_rpcs"}
FORMER_KEYS = {"blacklist": "block-rpcs"}


def from_command_line(found: Iterable[Found], options: Options) -> Options:
    """The options with what the command line says laid over them."""
    given: dict[str, object] = {}
    lists = {"block_rpcs": options.block_rpcs, "allow_rpcs": options.allow_rpcs}
    for letter, value in found:
        if letter in TEXTS:
            given[TEXTS[letter]] = value
        elif letter in SWITCHES:
            given[SWITCHES[letter]] = True
        elif letter in LISTS:
            lists[LISTS[letter]] += _split(value or "")[::-1]  # qemu-ga's order, seen in dumps
        elif letter == "F":
            given["fsfreeze_hook"] = HOOK if value is None else value
    return options._replace(**given, **lists)  # type: ignore[arg-type]  # each letter has its type


def from_file(path: str, required: bool) -> Options:
    """What the configuration file says. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            return from_values(keyfile.parse(file.read()).get(GROUP, {}))
    except FileNotFoundError as error:
        if not required:
            return Options()
        raise ConfigError(f"error loading configuration from path: {path}, {error}") from error
    except (ConfigError, OSError) as error:
        raise ConfigError(f"error loading configuration from path: {path}, {error}") from error


def from_values(values: Mapping[str, str]) -> Options:
    """The options that [general] sets; keys that qemu-ga does not have are left out."""
    given: dict[str, object] = {}
    for key, value in values.items():
        field = FORMER_KEYS.get(key, key).replace("-", "_")
        if field not in Options._fields or "_" in key:
            continue
        try:
            given[field] = _parse(field, value)
        except ConfigError as error:
            raise ConfigError(f"{key}: {error}") from error
    return Options(**given)  # type: ignore[arg-type]  # _parse gives each field its type


def with_channel(options: Options, activated: Optional[str]) -> Options:
    """The options with the method's own path in place of a missing one.

    The method of a socket that was passed to us overrides both. Raises ConfigError.
    """
    if activated is not None:
        return options._replace(method=activated, path=None)
    if options.path is not None:
        return options
    path = DEFAULT_PATHS.get(options.method)
    if path is None:
        raise ConfigError("must specify a path for this channel")
    return options._replace(path=path)


def dump(options: Options) -> str:
    """The options as a file which, read again, gives the same options."""
    lines = [f"[{GROUP}]"]
    for field, value in zip(options._fields, options):
        if value is not None:
            lines.append(f"{field.replace('_', '-')}={_format(value)}")
    return "\n".join(lines) + "\n"


def names(items: Iterable[str]) -> frozenset[str]:
    """The commands in a list, parted by semicolons too and with spaces around them."""
    parts = (part.strip() for item in items for part in item.split(";"))
    return frozenset(part for part in parts if part)


def _parse(field: str, value: str) -> object:
    default = Options._field_defaults[field]
    if isinstance(default, bool):
        return keyfile.boolean(value)
    if isinstance(default, tuple):
        # qemu-ga turns the order round each time it reads a dump; a list's order means nothing
        return _split(keyfile.text(value))
    return keyfile.text(value)


def _format(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return keyfile.escape(",".join(value) if isinstance(value, tuple) else str(value))


def _split(value: str) -> tuple[str, ...]:
    return tuple(value.split(",")) if value else ()
