"""Programs that a host starts, and comes back for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Annotated, Literal, Optional, Union

from ..dispatch.command import Context
from ..errors import CommandError, InvalidArgument
from ..system.files import base64_text
from ..system.processes import LIMITS, Capture, Limits, Processes, Said

CaptureOutput = Annotated[
    Union[bool, Literal["none", "stdout", "stderr", "separated", "merged"]],
    "GuestExecCaptureOutput",
]
CAPTURES: dict[object, Capture] = {
    None: Capture(),
    False: Capture(),
    "none": Capture(),
    "stdout": Capture(stdout=True),
    "stderr": Capture(stderr=True),
    True: Capture(stdout=True, stderr=True),
    "separated": Capture(stdout=True, stderr=True),
    "merged": Capture(stdout=True, merged=True),
}


def start(
    context: Context,
    path: str,
    arg: Optional[list[str]] = None,
    env: Optional[list[str]] = None,
    input_data: Optional[str] = None,
    capture_output: Optional[CaptureOutput] = None,
) -> dict[str, int]:
    """Start a program without a shell; its pid is what `status` is asked with.

    `env` replaces the agent's environment. What is wrong with the program itself is told here.
    """
    data = None if input_data is None else base64_text.decode(input_data)
    environment = os.environ if env is None else _environment(env)
    capture = CAPTURES[capture_output]
    try:
        pid = _processes(context).start([path, *(arg or ())], environment, data, capture)
    except OSError as error:
        raise CommandError(_failed(path, error.strerror or str(error))) from error
    except ValueError as error:  # a NUL, or half a surrogate pair
        raise InvalidArgument(_failed(path, str(error))) from error
    return {"pid": pid}


def status(context: Context, pid: int) -> dict[str, object]:
    """How a program ended and what it said; that it has ended is told once."""
    ended = _processes(context).ask(pid)
    if ended is None:
        return {"exited": False}
    answer: dict[str, object] = {"exited": True}
    answer["exitcode" if ended.code >= 0 else "signal"] = abs(ended.code)
    answer.update(_said("out", ended.stdout))
    answer.update(_said("err", ended.stderr))
    return answer


def _processes(context: Context) -> Processes:
    limit = int(context.settings.get("max-processes", LIMITS.processes))
    return context.jobs.get(Processes, lambda: Processes(Limits(limit)))


def _said(stream: str, said: Said) -> dict[str, object]:
    """Its two members, which are absent when nothing was said."""
    if not said.data:
        return {}
    return {f"{stream}-data": bytes(said.data), f"{stream}-truncated": said.truncated}


def _environment(lines: Iterable[str]) -> dict[str, str]:
    """The first of two settings counts, as for getenv; what is no setting at all is left out."""
    environment: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if name and equals:
            environment.setdefault(name, value)
    return environment


def _failed(path: str, why: str) -> str:
    return f"Failed to execute child process \u201c{path}\u201d ({why})"  # hosts look for it
