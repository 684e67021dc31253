"""What the administrator has decided: a frozen record from INI files, read in order.

/etc/guestwire/agent.conf, then agent.conf.d/*.conf by name; a later value replaces an earlier one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional, Union

from .errors import ConfigError

if TYPE_CHECKING:
    import configparser

DEFAULT_PATH = "/etc/guestwire/agent.conf"
QGA, NATIVE = "qga", "native"
DIALECTS = (QGA, NATIVE)
NATIVE_PORT = "virtio-serial:org.guestwire.agent.0"
DEFAULT_CHANNELS = ("virtio-serial:org.qemu.guest_agent.0", NATIVE_PORT)
LOG_LEVELS = ("debug", "info", "warning", "error")

Value = Union[str, tuple[str, ...]]


class Config(NamedTuple):
    """Everything the service needs to know.

    `allow` is None when no list was given, and then everything is allowed. `settings` are the
    keys of [commands] and of [plugin ...], as text, for the command modules.
    """

    channels: tuple[str, ...] = DEFAULT_CHANNELS
    root: str = "/"
    statedir: str = "/run/guestwire"
    log_file: str = ""
    log_level: str = "info"
    allow: Optional[frozenset[str]] = None
    block: frozenset[str] = frozenset()
    plugins: tuple[str, ...] = ()
    settings: Mapping[str, str] = {}


class Key(NamedTuple):
    """A key that may stand in a section: how it is checked, and what it is for."""

    parse: Callable[[str], Value]
    help: str


def _text(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is not an absolute path")
    return value


def _words(value: str) -> tuple[str, ...]:
    return tuple(value.replace(",", " ").split())


def channels(value: str) -> tuple[str, ...]:
    found: list[str] = []
    for word in _words(value):
        if word.isdecimal() and found:
            found[-1] += "," + word  # the speed of a serial line, "isa-serial:/dev/ttyS0,115200"
        else:
            found.append(word)
    for address in found:
        _, port = split_channel(address)
        if not all(port.partition(":")):
            raise ValueError(f"{address!r} is no channel: expected [DIALECT+]KIND:ADDRESS")
    return tuple(found)


def _level(value: str) -> str:
    if value not in LOG_LEVELS:
        raise ValueError(f"{value!r} is none of {', '.join(LOG_LEVELS)}")
    return value


def _seconds(value: str) -> str:
    if not value.isdecimal():
        raise ValueError(f"{value!r} is not a whole number of seconds")
    return value


def _count(value: str) -> str:
    if not value.isdecimal() or int(value) == 0:
        raise ValueError(f"{value!r} is not a whole number above 0")
    return value


def _anything(value: str) -> str:
    return value


KEYS: dict[str, dict[str, Key]] = {
    "agent": {
        "channels": Key(channels, "ports to serve, as kind:address or dialect+kind:address"),
        "root": Key(_path, "the directory that is the guest's /"),
        "statedir": Key(_path, "where what must outlive the agent is kept"),
        "log-file": Key(_path, "a file in place of standard error"),
        "log-level": Key(_level, ", ".join(LOG_LEVELS)),
        "plugins": Key(_words, "Python modules with COMMANDS or TRANSPORTS tables"),
    },
    "policy": {
        "allow": Key(_words, "the only commands that may run"),
        "block": Key(_words, "commands that may not run"),
    },
    "commands": {
        "qga-version": Key(_text, "the version that guest-info reports"),
        "freeze-timeout": Key(
            _seconds, "seconds until what is frozen is thawed in any case; 0: never"
        ),
        "freeze-exclude": Key(_anything, "mount points that are never frozen"),
        "fsfreeze-hook": Key(_anything, "a program called with freeze and thaw"),
        "hook-directory": Key(_path, "programs called with freeze and thaw, in order"),
        "hook-timeout": Key(_seconds, "seconds until a hook is killed"),
        "max-open-files": Key(_count, "file handles at a time"),
        "max-processes": Key(_count, "processes of guest-exec at a time"),
    },
}


def split_channel(address: str) -> tuple[str, str]:
    """The dialect and the port of a channel such as "native+unix:/run/agent.sock".

    Without a dialect, our own port speaks the native one and all others that of the QEMU guest
    agent. Raises ValueError.
    """
    head, colon, rest = address.partition(":")
    dialect, plus, kind = head.partition("+")
    if not plus:
        return (NATIVE if address == NATIVE_PORT else QGA), address
    if dialect not in DIALECTS:
        raise ValueError(f"{dialect!r} is no dialect; there are {', '.join(DIALECTS)}")
    return dialect, kind + colon + rest


def load(path: Optional[str] = None) -> Config:
    """Read the configuration.

    The default file may be missing, one that is asked for may not. Raises ConfigError naming
    file, line and key.
    """
    given = path or os.environ.get("GUESTWIRE_CONFIG")
    values: dict[str, dict[str, Value]] = {}
    for file in _files(given or DEFAULT_PATH, required=given is not None):
        for section, found in read(file).items():
            values.setdefault(section, {}).update(found)
    return _config(values)


def read(file: str) -> dict[str, dict[str, Value]]:
    """One file's values by section and key, each checked against KEYS."""
    import configparser  # 3 ms, and a guest may well have no file

    parser = configparser.ConfigParser(
        interpolation=None, default_section="", delimiters="=", inline_comment_prefixes=None
    )
    try:
        with open(file, encoding="utf-8") as lines:
            parser.read_file(lines)
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigError(_not_read(file, error)) from error
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    return {section: _check(file, parser[section]) for section in parser.sections()}


def _files(main: str, required: bool) -> Iterator[str]:
    if required or os.path.exists(main):
        yield main
    try:
        drop_ins = sorted(os.listdir(main + ".d"))
    except OSError:
        return
    for name in drop_ins:
        if name.endswith(".conf"):
            yield os.path.join(main + ".d", name)


def _check(file: str, section: configparser.SectionProxy) -> dict[str, Value]:
    if section.name.startswith("plugin "):
        return dict(section)
    known = KEYS.get(section.name)
    if known is None:
        where = _where(file, section.name, None)
        raise ConfigError(f"{where}: no section is named [{section.name}]; {_choices(KEYS)}")
    checked: dict[str, Value] = {}
    for key, value in section.items():
        where = _where(file, section.name, key)
        if key not in known:
            raise ConfigError(f"{where}: [{section.name}] has no key {key!r}; {_choices(known)}")
        try:
            checked[key] = known[key].parse(value)
        except ValueError as error:
            raise ConfigError(f"{where}: {key}: {error}") from error
    return checked


def _config(values: Mapping[str, Mapping[str, Value]]) -> Config:
    agent, policy = values.get("agent", {}), values.get("policy", {})
    given = {key.replace("-", "_"): value for key, value in agent.items()}
    if "allow" in policy:
        given["allow"] = frozenset(policy["allow"])  # type: ignore[assignment]
    given["block"] = frozenset(policy.get("block", ()))  # type: ignore[assignment]
    settings = {"statedir": str(agent.get("statedir", Config().statedir))}
    for section, keys in values.items():
        if section == "commands" or section.startswith("plugin "):
            settings.update((key, str(value)) for key, value in keys.items())
    return Config(**given, settings=settings)  # type: ignore[arg-type]  # KEYS parse each to its type


def _where(file: str, section: str, key: Optional[str]) -> str:
    """`file:line` of a key or of a section's header; configparser does not keep the lines."""
    current = None
    with open(file, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            text = line.strip()
            if text.startswith("[") and "]" in text:
                current = text[1 : text.index("]")]
                found = key is None
            else:
                found = text.partition("=")[0].strip().lower() == key
            if found and current == section:
                return f"{file}:{number}"
    return file


def _choices(known: Mapping[str, object]) -> str:
    return "there are " + ", ".join(known)


def _not_read(file: str, error: Union[configparser.Error, UnicodeDecodeError]) -> str:
    import configparser

    if isinstance(error, configparser.DuplicateOptionError):
        return f"{file}:{error.lineno}: [{error.section}] has {error.option!r} already"
    if isinstance(error, configparser.DuplicateSectionError):
        return f"{file}:{error.lineno}: there is a section [{error.section}] already"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"{file}:{error.lineno}: expected a section before it: {_choices(KEYS)}"
    if isinstance(error, configparser.ParsingError) and error.errors:
        return f"{file}:{error.errors[0][0]}: expected KEY = VALUE or [SECTION]"
    return f"{file}: not a configuration: {' '.join(str(error).split())}"
