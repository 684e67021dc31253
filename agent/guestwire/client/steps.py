"""What a piece of work with a guest consists of: questions and pauses, in a generator.

A plan yields steps and is sent the answers, so that it is written once and driven by `sync`,
by `aio` and by a test's list of answers alike. No I/O with the guest happens in a plan.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import NamedTuple, Optional, TypeVar, Union

T = TypeVar("T")

MIB = 1 << 20
# Seconds that a command may take; the others have USUAL. Freezing runs the guest's own hooks.
USUAL = 60.0
PATIENCE = {
    "guest-ping": 5.0,
    "guest-sync": 5.0,
    "guest-info": 10.0,
    "guest-exec": 30.0,
    "guest-exec-status": 30.0,
    "guest-fsfreeze-freeze": 600.0,
    "guest-fsfreeze-freeze-list": 600.0,
    "guest-fsfreeze-thaw": 180.0,
    "guest-fsfreeze-status": 10.0,
    "guest-fstrim": 600.0,
    "fs.freeze": 600.0,
    "fs.thaw": 180.0,
    "fs.status": 10.0,
    "network.apply": 600.0,
}
# Bytes that an answer may have. A guest's lists are long, but it is not given all our memory.
USUAL_LIMIT = 8 * MIB
LIMITS = {
    "guest-ping": MIB // 16,
    "guest-info": MIB,
    "guest-exec": MIB // 16,
    "guest-exec-status": 64 * MIB,  # two streams of 16 MiB, as base64
    "guest-file-read": 64 * MIB + MIB,  # what qemu-ga takes for the largest count
    "guest-file-write": MIB // 16,
    "guest-file-open": MIB // 16,
}
# The guest is on its way down when these succeed, so it says nothing.
SILENT = {"guest-shutdown", "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid"}


class Ask(NamedTuple):
    """A command for the agent. `silent`: success may go without an answer."""

    command: str
    arguments: Mapping[str, object]
    timeout: float
    limit: int
    silent: bool = False


class Pause(NamedTuple):
    seconds: float


Step = Union[Ask, Pause]
Plan = Generator[Step, object, T]


def ask(
    command: str,
    arguments: Optional[Mapping[str, object]] = None,
    timeout: Optional[float] = None,
) -> Ask:
    """The step, with the patience and the limit that are usual for the command."""
    patience = PATIENCE.get(command, USUAL) if timeout is None else timeout
    limit = LIMITS.get(command, USUAL_LIMIT)
    return Ask(command, arguments or {}, patience, limit, command in SILENT)
