"""The file that says "frozen" to the next agent when this one is killed.

It has the name that qemu-ga gives its own, which is empty; ours holds one line of JSON.
"""

from __future__ import annotations

import json
import os
import time
from typing import NamedTuple, Optional

from ...errors import CommandError
from ..root import Root
from ..storage.mounts import mounted
from .order import mount_of

NAME = "qga.state.isfrozen"
BOOT_ID = "/proc/sys/kernel/random/boot_id"

PREPARING = "preparing"  # freeze hooks run; nothing is frozen yet
FROZEN = "frozen"
THAWED = "thawed"  # thaw hooks run
ABSENT = "\0"


class Marker(NamedTuple):
    """`deadline` is in seconds of CLOCK_BOOTTIME, None for never; `by` is "qga" or "own"."""

    phase: str = FROZEN
    deadline: Optional[float] = None
    by: str = "qga"
    hooks: tuple[str, ...] = ()  # those whose freeze has begun, or will
    boot: str = ""


def now() -> float:
    """Seconds since boot. Unlike time.monotonic() they go on while the guest is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def write(root: Root, statedir: str, marker: Marker) -> None:
    """Make the marker, on disk when this returns. Not to be called while that disk is frozen.

    Raises CommandError: a freeze that the next agent would not know of must not begin.
    """
    line = json.dumps(marker._replace(boot=boot_id(root))._asdict()) + "\n"
    try:
        root.make_directory(statedir, 0o700)
        root.write(f"{statedir}/{NAME}", line, mode=0o600)
    except OSError as error:
        raise CommandError(f"cannot note the freeze in {statedir}: {error.strerror}") from error


def read(root: Root, statedir: str, timeout: Optional[float]) -> Optional[Marker]:
    """The marker of an agent that was killed, or None.

    One that is not ours says only that the guest is frozen: it lasts `timeout` from now. One
    whose `boot` is another than ours is stale, as when a disk was copied while it was frozen.
    """
    text = root.read_text(f"{statedir}/{NAME}", missing=ABSENT)
    if text == ABSENT:
        return None
    try:
        found = Marker(**json.loads(text))
        deadline = None if found.deadline is None else float(found.deadline)
        return found._replace(hooks=tuple(found.hooks), deadline=deadline)
    except (ValueError, TypeError):
        return Marker(deadline=None if timeout is None else now() + timeout, boot=boot_id(root))


def remove(root: Root, statedir: str) -> None:
    root.remove(f"{statedir}/{NAME}")


def lies_in_memory(root: Root, statedir: str) -> bool:
    """Whether the marker can be changed at any time, as nothing freezes a tmpfs."""
    path = os.path.realpath(statedir) if root.live else statedir
    mount = mount_of(path, list(mounted(root)))
    return mount is not None and mount.fstype in ("tmpfs", "ramfs")


def boot_id(root: Root) -> str:
    return root.read_text(BOOT_ID, missing="").strip()
