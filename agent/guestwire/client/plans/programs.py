"""Programs in the guest: started, asked for until they have ended."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional, Union

from .. import shape
from ..errors import StillRunning
from ..steps import Pause, Plan, ask

# What a shell would have: QGA replaces the whole environment, and no program is found without it.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FIRST_PAUSE = 0.002
LAST_PAUSE = 0.5


class Result(NamedTuple):
    """How a program ended: `code`, or the number of the `signal` that killed it.

    `truncated`: the agent keeps 16 MiB of each stream, and dropped the rest.
    """

    out: bytes
    err: bytes
    code: Optional[int]
    signal: Optional[int] = None
    truncated: bool = False

    @property
    def ok(self) -> bool:
        return self.code == 0


def start(
    argv: Sequence[str],
    input: Optional[bytes] = None,
    env: Optional[Mapping[str, str]] = None,
    capture: bool = True,
) -> Plan[int]:
    """The program's pid in the guest. `env` is all of its environment, but for PATH if it lacks."""
    if isinstance(argv, (str, bytes)) or not argv:
        raise ValueError("argv is a list: the program and its arguments")
    arguments: dict[str, object] = {
        "path": argv[0],
        "arg": list(argv[1:]),
        "capture-output": capture,
    }
    if env is not None:
        arguments["env"] = [f"{key}={value}" for key, value in {"PATH": PATH, **env}.items()]
    if input is not None:
        arguments["input-data"] = b64encode(input).decode()
    started = shape.record((yield ask("guest-exec", arguments)), "guest-exec")
    return shape.integer(started.get("pid"), "guest-exec: pid")


def poll(pid: int) -> Plan[Optional[Result]]:
    """The result, once: the agent forgets a program whose end it has told. None while it runs."""
    status = shape.record((yield ask("guest-exec-status", {"pid": pid})), "guest-exec-status")
    if not shape.boolean(status.get("exited"), "guest-exec-status: exited"):
        return None
    return Result(
        out=shape.data(status.get("out-data", ""), "guest-exec-status: out-data"),
        err=shape.data(status.get("err-data", ""), "guest-exec-status: err-data"),
        code=_number(status, "exitcode"),
        signal=_number(status, "signal"),
        truncated=True in (status.get("out-truncated"), status.get("err-truncated")),
    )


def result(pid: int, timeout: Optional[float] = None) -> Plan[Result]:
    """Ask until it has ended, at first often. Raises StillRunning; the program goes on then."""
    begun = time.monotonic()
    pause = FIRST_PAUSE
    while True:
        ended = yield from poll(pid)
        if ended is not None:
            return ended
        passed = time.monotonic() - begun
        if timeout is not None and passed >= timeout:
            raise StillRunning(
                f"the program did not end within {timeout:g} s and goes on as process {pid}",
                f"its output is kept by the agent; it can be killed with 'kill {pid}' in the guest",
                pid,
            )
        yield Pause(pause if timeout is None else max(0.0, min(pause, timeout - passed)))
        pause = min(LAST_PAUSE, max(pause, passed / 10))


def run(
    argv: Sequence[str],
    input: Optional[bytes] = None,
    env: Optional[Mapping[str, str]] = None,
    timeout: Optional[float] = None,
) -> Plan[Result]:
    pid = yield from start(argv, input, env)
    return (yield from result(pid, timeout))


def _number(status: Mapping[str, Union[object, int]], key: str) -> Optional[int]:
    if key not in status:
        return None
    return shape.integer(status[key], f"guest-exec-status: {key}", -(1 << 31), 1 << 32)
