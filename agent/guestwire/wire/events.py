"""What travels between a dialect and the dispatcher."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional, Union

from ..errors import CommandError


class _Absent:
    """The type of `ABSENT`; `None` will not do, because a host may send `"id": null`."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


class Request(NamedTuple):
    """A host asks for a command. `id` comes back in the answer, `ABSENT` when none was sent."""

    command: str
    arguments: Mapping[str, object]
    id: object = ABSENT


class Reply(NamedTuple):
    """A command succeeded. `silent` when its row says that success goes without an answer.

    `bytes` anywhere in the value are binary data; JSON carries them as base64.
    """

    value: object
    request: Request
    silent: bool = False


class Failure(NamedTuple):
    """A command failed; `request` is None when the bytes held no request at all."""

    error: CommandError
    request: Optional[Request] = None


Answer = Union[Reply, Failure]
