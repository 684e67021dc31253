"""Freezing the guest's file systems, and thawing them, whatever happens in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

from .. import shape
from ..errors import ClientError, GuestCommandFailed, NotThawed, ThawedEarly
from ..steps import Pause, Plan, ask

ATTEMPTS = 5
BETWEEN = 1.0  # seconds


class Frozen(NamedTuple):
    """`file_systems` is how many stand still; after `seconds` the guest thaws by itself."""

    file_systems: int
    seconds: Optional[float] = None


def status() -> Plan[bool]:
    """Whether file systems are frozen, as the agent knows it."""
    told = shape.text((yield ask("guest-fsfreeze-status")), "guest-fsfreeze-status")
    return told == "frozen"


def freeze(
    mountpoints: Optional[Sequence[str]] = None,
    deadline: Optional[int] = None,
    timeout: Optional[float] = None,
) -> Plan[Frozen]:
    """`deadline`: the guest thaws by itself after so many seconds; guestwire-agent alone can."""
    if deadline is not None:
        arguments: dict[str, object] = {"timeout": deadline}
        if mountpoints is not None:
            arguments["mountpoints"] = list(mountpoints)
        told = shape.record((yield ask("fs.freeze", arguments, timeout)), "fs.freeze")
        return Frozen(shape.integer(told.get("frozen"), "fs.freeze: frozen"), float(deadline))
    if mountpoints is None:
        count = yield ask("guest-fsfreeze-freeze", None, timeout)
    else:
        listed = {"mountpoints": list(mountpoints)}
        count = yield ask("guest-fsfreeze-freeze-list", listed, timeout)
    return Frozen(shape.integer(count, "guest-fsfreeze-freeze"))


def thaw() -> Plan[int]:
    """Thaw, and look whether it is so; again when not. Raises NotThawed when it remains frozen."""
    failed: Optional[ClientError] = None
    for attempt in range(ATTEMPTS):
        if attempt:
            yield Pause(BETWEEN)
        try:
            told = yield ask("guest-fsfreeze-thaw")
            count = shape.integer(told, "guest-fsfreeze-thaw")
            if not (yield from status()):
                return count
        except ClientError as error:  # a thaw hook's failure, too: the status tells
            failed = error
            if isinstance(error, GuestCommandFailed) and (yield from _thawed()):
                return 0
    why = f": {failed}" if failed is not None else ""
    raise NotThawed(
        f"file systems of the guest may still be frozen{why}",
        "try 'guestwire thaw'; when that fails, in the guest 'fsfreeze -u' or a reset",
    )


def end(frozen: Frozen) -> Plan[int]:
    """Thaw what `freeze` froze. Raises ThawedEarly when the guest was not frozen until now."""
    early = False
    if frozen.file_systems:
        try:
            early = not (yield from status())
        except ClientError:
            early = False  # unknown; the thaw matters now
    count = yield from thaw()
    if early:
        raise ThawedEarly(
            "the guest thawed before it was told to",
            "what was saved meanwhile is not consistent: do it again, with a longer deadline",
        )
    return count


def _thawed() -> Plan[bool]:
    try:
        return not (yield from status())
    except ClientError:
        return False
