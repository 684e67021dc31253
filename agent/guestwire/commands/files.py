"""Files by handle: open, read, write, seek, flush and close."""

from __future__ import annotations

import os
from typing import Annotated, Literal, Optional, Union

from ..dispatch.command import Context
from ..errors import CommandError, InvalidArgument
from ..system.files import base64_text, open_files
from ..system.files.open_files import OpenFile, OpenFiles

READ_COUNT = 4096
READ_LIMIT = 48 << 20
WHENCE = {"set": os.SEEK_SET, "cur": os.SEEK_CUR, "end": os.SEEK_END}

Whence = Annotated[Union[int, Literal["set", "cur", "end"]], "GuestFileWhence"]


def open_file(context: Context, path: str, mode: Optional[str] = None) -> int:
    mode = "r" if mode is None else mode
    with _Explained(f"failed to open file '{path}' (mode: '{mode}')"):
        return _files(context).open(path, mode)


def close_file(context: Context, handle: int) -> dict[str, object]:
    with _Explained("failed to close handle"):
        _files(context).close_handle(handle)
    return {}


def read_file(context: Context, handle: int, count: Optional[int] = None) -> dict[str, object]:
    file = _file(context, handle)
    count = READ_COUNT if count is None else count
    if not 0 <= count <= READ_LIMIT:
        raise InvalidArgument(f"value '{count}' is invalid for argument count")
    with _Explained("failed to read file"):
        data, eof = file.read(count)
    return {"count": len(data), "buf-b64": data, "eof": eof}


def write_file(
    context: Context, handle: int, buf_b64: str, count: Optional[int] = None
) -> dict[str, object]:
    file = _file(context, handle)
    data = base64_text.decode(buf_b64)
    count = len(data) if count is None else count
    if not 0 <= count <= len(data):
        raise InvalidArgument(f"value '{count}' is invalid for argument count")
    with _Explained("failed to write to file"):
        return {"count": file.write(memoryview(data)[:count]), "eof": False}


def seek_file(context: Context, handle: int, offset: int, whence: Whence) -> dict[str, object]:
    file = _file(context, handle)
    code = WHENCE[whence] if isinstance(whence, str) else whence
    if code not in WHENCE.values():
        raise InvalidArgument(f"invalid whence code {code}")
    with _Explained("failed to seek file"):
        return {"position": file.seek(offset, code), "eof": False}


def flush_file(context: Context, handle: int) -> dict[str, object]:
    """Nothing waits to be flushed; the handle must exist."""
    _file(context, handle)
    return {}


def _files(context: Context) -> OpenFiles:
    settings = context.settings
    return context.jobs.get(
        OpenFiles,
        lambda: OpenFiles(
            context.root,
            settings.get("statedir", "/run/guestwire"),
            int(settings.get("max-open-files", open_files.LIMIT)),
        ),
    )


def _file(context: Context, handle: int) -> OpenFile:
    return _files(context).get(handle)


class _Explained:
    """Turns an OSError into the text that hosts know, cheaply: each chunk of a file passes here."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: Optional[BaseException], _: object) -> None:
        if isinstance(error, OSError):
            raise CommandError(f"{self._what}: {error.strerror}") from error
        if isinstance(error, ValueError):  # a NUL in a path, or half a surrogate pair
            raise InvalidArgument(f"{self._what}: {error}") from error
