"""Programs in the guest over guestwire's own protocol: talked with while they run."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Optional

from ..wire.native.events import Data
from . import shape
from .errors import BadAnswer, ClientError, StillRunning
from .native_link import NativeLink
from .native_stream import NativeStream
from .plans.programs import Result

STDOUT, STDERR = 0, 1
KEPT = 64 << 20  # bytes of each stream that a result holds


def start(
    link: NativeLink,
    argv: Sequence[str],
    env: Optional[Mapping[str, str]] = None,
    timeout: Optional[float] = None,
    cwd: Optional[str] = None,
    user: Optional[str] = None,
    terminal: Optional[tuple[int, int]] = None,
) -> NativeStream:
    """Its input goes to channel 0, its output comes from 0 and its errors from 1.

    `terminal` is (rows, columns). {"signal": n} and {"resize": [rows, columns]} are what it may
    be told by `control`; `result` is {"exit": n}, {"signal": n} or {"timeout": seconds}.
    """
    if isinstance(argv, (str, bytes)) or not argv:
        raise ValueError("argv is a list: the program and its arguments")
    size = None if terminal is None else {"rows": terminal[0], "columns": terminal[1]}
    given = {"env": None if env is None else dict(env), "timeout": timeout, "cwd": cwd,
             "user": user, "terminal": size}  # fmt: skip
    known = {key: value for key, value in given.items() if value is not None}
    return link.open("exec", {"argv": list(argv), **known})


def run(
    link: NativeLink,
    argv: Sequence[str],
    input: Optional[bytes] = None,
    env: Optional[Mapping[str, str]] = None,
    timeout: Optional[float] = None,
) -> Result:
    """To its end. Raises StillRunning after `timeout` seconds; then the guest ends it."""
    kept = {STDOUT: bytearray(), STDERR: bytearray()}
    truncated = False
    with start(link, argv, env, timeout) as stream:
        feed(stream, input or b"")
        for said in stream:
            if isinstance(said, Data) and said.channel in kept:
                held = kept[said.channel]
                held += said.data[: KEPT - len(held)]
                truncated |= len(held) == KEPT
        code, signal = ended(stream)
    return Result(bytes(kept[STDOUT]), bytes(kept[STDERR]), code, signal, truncated)


def ended(stream: NativeStream) -> tuple[Optional[int], Optional[int]]:
    """The exit code, or the number of the signal that ended it. Raises StillRunning."""
    told = shape.record(stream.result, "exec")
    if "timeout" in told:
        pid = shape.integer(shape.record(stream.value, "exec").get("pid"), "exec: pid")
        raise StillRunning("the program did not end in time, and was ended", "", pid)
    if "exit" in told:
        return shape.integer(told["exit"], "exec: exit", 0, 255), None
    if "signal" in told:
        return None, shape.integer(told["signal"], "exec: signal", 1, 64)
    raise BadAnswer("exec: the guest does not say how the program ended")


def feed(stream: NativeStream, data: bytes) -> None:
    """All of its input, in a thread when it is long: it may want to speak before it reads."""

    def write() -> None:
        try:
            stream.write(data)
            stream.end()
        except ClientError:
            pass  # it has ended, which its reader is told

    if data:
        threading.Thread(target=write, name="input", daemon=True).start()
    else:
        write()
