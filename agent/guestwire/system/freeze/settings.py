"""The configuration's keys about freezing, as values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional

from ...errors import ConfigError, InvalidArgument
from . import mark

STATEDIR = "/run/guestwire"
TIMEOUT = "600"
HOOK_DIRECTORY = "/etc/guestwire/fsfreeze-hook.d"
HOOK_TIMEOUT = "60"
LONGEST = 86400  # seconds that a host may ask for; a freeze without end is the administrator's


class Settings(NamedTuple):
    """`timeout` is None when a freeze may last for ever."""

    statedir: str
    timeout: Optional[float]
    exclude: frozenset[str]
    hook: str
    hook_directory: str
    hook_limit: float

    def deadline(self, asked: Optional[int]) -> Optional[float]:
        """When to thaw, in seconds of CLOCK_BOOTTIME, if a host asks for so many seconds."""
        if asked is None:
            timeout = self.timeout
        elif asked == 0 and self.timeout is None:
            timeout = None
        elif 0 < asked <= LONGEST:
            timeout = float(asked)
        else:
            raise InvalidArgument(f"timeout must be 1 to {LONGEST} seconds")
        return None if timeout is None else mark.now() + timeout


def read_settings(keys: Mapping[str, str]) -> Settings:
    """Keys that are missing have their defaults; mount points are parted by commas."""
    exclude = keys.get("freeze-exclude", "").replace(";", ",").replace("\n", ",")
    return Settings(
        statedir=keys.get("statedir", STATEDIR),
        timeout=_seconds(keys, "freeze-timeout", TIMEOUT) or None,
        exclude=frozenset(name.strip() for name in exclude.split(",")),
        hook=keys.get("fsfreeze-hook", ""),
        hook_directory=keys.get("hook-directory", HOOK_DIRECTORY),
        hook_limit=_seconds(keys, "hook-timeout", HOOK_TIMEOUT),
    )


def _seconds(keys: Mapping[str, str], key: str, default: str) -> float:
    try:
        return float(int(keys.get(key, default)))
    except ValueError as error:
        raise ConfigError(f"{key}: {keys[key]!r} is not a whole number of seconds") from error
