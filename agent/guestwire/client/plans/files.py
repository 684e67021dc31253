"""Files of the guest, by the agent's handles, a mebibyte at a time."""

from __future__ import annotations

from base64 import b64encode
from typing import Callable, NamedTuple, Optional, Protocol

from .. import shape
from ..errors import BadAnswer, ClientError, GuestCommandFailed, RequestTooLong
from ..steps import MIB, Plan, ask
from . import programs
from .facts import info

CHUNK = MIB  # as base64 it fits what libvirt carries: 4 MiB a message
WHENCE = {0: "set", 1: "cur", 2: "end"}


class Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


Progress = Callable[[int], None]  # is called with the number of bytes so far


class Copied(NamedTuple):
    """`whole`: the file took its name when it was complete. `mode` is None where it is not kept,
    because the agent may not run programs, and QGA has no other way.
    """

    size: int
    mode: Optional[int]
    whole: bool


def open_file(path: str, mode: str = "r") -> Plan[int]:
    opened = yield ask("guest-file-open", {"path": path, "mode": mode})
    return shape.integer(opened, "guest-file-open")


def close_file(handle: int) -> Plan[None]:
    yield ask("guest-file-close", {"handle": handle})


def read(handle: int, count: int = CHUNK) -> Plan[bytes]:
    """At most `count` bytes; fewer near the end of the file, none at it."""
    told = shape.record(
        (yield ask("guest-file-read", {"handle": handle, "count": count})), "guest-file-read"
    )
    data = shape.data(told.get("buf-b64"), "guest-file-read: buf-b64")
    if len(data) > count:
        raise BadAnswer(f"guest-file-read: the guest sent {len(data)} bytes, asked for {count}")
    return data


def write(handle: int, data: bytes) -> Plan[None]:
    """All of it, in as many pieces as the guest takes."""
    view = memoryview(data)
    size = CHUNK
    while view:
        piece = view[:size]
        request = {"handle": handle, "buf-b64": b64encode(piece).decode()}
        try:
            told = shape.record((yield ask("guest-file-write", request)), "guest-file-write")
        except RequestTooLong as error:
            if len(piece) <= error.limit // 2:
                raise
            size = error.limit // 2
            continue
        count = shape.integer(told.get("count"), "guest-file-write: count", 1, len(piece))
        view = view[count:]


def seek(handle: int, offset: int, whence: int = 0) -> Plan[int]:
    request = {"handle": handle, "offset": offset, "whence": WHENCE[whence]}
    told = shape.record((yield ask("guest-file-seek", request)), "guest-file-seek")
    return shape.integer(told.get("position"), "guest-file-seek: position")


def flush(handle: int) -> Plan[None]:
    yield ask("guest-file-flush", {"handle": handle})


def read_file(path: str, limit: Optional[int] = None) -> Plan[bytes]:
    parts: list[bytes] = []
    yield from copy_out(path, _Parts(parts), limit)
    return b"".join(parts)


def write_file(path: str, data: bytes) -> Plan[None]:
    """Replace or create the file, in place: who reads it meanwhile may see half of it."""
    handle = yield from open_file(path, "w")
    try:
        yield from write(handle, data)
        yield from flush(handle)
    except BaseException:
        yield from _give_up(handle)
        raise
    yield from close_file(handle)


def copy_out(
    path: str, sink: Sink, limit: Optional[int] = None, progress: Optional[Progress] = None
) -> Plan[int]:
    """The guest's file into `sink`; the number of bytes. BadAnswer when it exceeds the limit."""
    handle = yield from open_file(path)
    size = 0
    try:
        while data := (yield from read(handle)):
            size += len(data)
            if limit is not None and size > limit:
                raise BadAnswer(f"{path} is longer than the {limit} bytes that were allowed")
            sink.write(data)
            if progress is not None:
                progress(size)
    finally:
        yield from _give_up(handle)
    return size


def copy_in(
    source: Source, path: str, mode: Optional[int] = None, progress: Optional[Progress] = None
) -> Plan[Copied]:
    """`source` into the guest's file.

    Where the agent runs programs, the file is written under another name that nobody else may
    read, gets its mode, and then its name: whole or not at all. Else it is written in place.
    """
    agent = yield from info()
    if not agent.commands.get("guest-exec"):
        size = yield from _fill(source, path, progress)
        return Copied(size, None, False)
    temporary = f"{path}.guestwire-new"
    if mode is None:
        mode = yield from mode_of(path)
    # QGA's own way makes files that everybody may write (0666, whatever the umask)
    yield from _must("install", "-m", "600", "/dev/null", temporary)
    try:
        size = yield from _fill(source, temporary, progress)
        if mode is not None:
            yield from _must("chmod", "--", f"{mode & 0o7777:o}", temporary)
        yield from _must("mv", "-f", "-T", "--", temporary, path)
    except BaseException:
        yield from _attempt("rm", "-f", "--", temporary)
        raise
    return Copied(size, mode, True)


def mode_of(path: str) -> Plan[Optional[int]]:
    """The permission bits of a guest's file, None when they cannot be known."""
    try:
        told = yield from programs.run(["stat", "-L", "-c", "%a", "--", path], timeout=30)
    except GuestCommandFailed:
        return None
    digits = told.out.strip()
    if not told.ok or not digits.isdigit() or len(digits) > 4:
        return None
    try:
        return int(digits, 8)
    except ValueError:
        return None


class _Parts:
    def __init__(self, parts: list[bytes]) -> None:
        self.write = parts.append


def _fill(source: Source, path: str, progress: Optional[Progress]) -> Plan[int]:
    handle = yield from open_file(path, "w")
    size = 0
    try:
        while data := source.read(CHUNK):
            yield from write(handle, data)
            size += len(data)
            if progress is not None:
                progress(size)
        yield from flush(handle)
    except BaseException:
        yield from _give_up(handle)
        raise
    yield from close_file(handle)  # its failure is a failure to write
    return size


def _give_up(handle: int) -> Plan[None]:
    """Close it if that is still possible; what went wrong before is what matters."""
    try:
        yield from close_file(handle)
    except ClientError:
        return


def _must(*argv: str) -> Plan[None]:
    done = yield from programs.run(argv, timeout=60)
    if not done.ok:
        words = done.err.decode("utf-8", "replace").strip() or f"exit code {done.code}"
        raise GuestCommandFailed(" ".join(argv), "GenericError", words)


def _attempt(*argv: str) -> Plan[None]:
    try:
        yield from programs.run(argv, timeout=30)
    except ClientError:
        return
