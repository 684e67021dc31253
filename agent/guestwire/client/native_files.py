"""Files over guestwire's own protocol: at the channel's speed, checked, and on after a break."""

from __future__ import annotations

import hashlib
from typing import BinaryIO, Optional

from ..wire.native.events import Data
from . import shape
from .errors import BadAnswer, GuestCommandFailed
from .native_link import NativeLink
from .native_stream import NativeStream
from .plans.files import Copied, Progress

CHUNK = 1 << 18


def push(
    link: NativeLink,
    source: BinaryIO,
    path: str,
    mode: Optional[int],
    resume: bool = False,
    progress: Optional[Progress] = None,
) -> Copied:
    """`source`, from where it stands, into the guest's file: whole or not at all.

    With `resume`, what arrived of it is kept when the copy breaks off, and made use of.
    """
    begin = source.tell() if resume else 0
    arguments: dict[str, object] = {"path": path, "checksum": True, "resume": resume}
    if mode is not None:
        arguments["mode"] = mode & 0o7777
    with link.open("file.push", arguments) as stream:
        told = shape.record(stream.value, "file.push")
        offset = shape.integer(told.get("offset"), "file.push: offset")
        digest = hashlib.sha256()
        if _digest_first(source, offset, digest) == offset:
            size = _feed(stream, source, offset, digest, progress)
            stream.control({"sha256": digest.hexdigest()})
            stream.end()
            try:
                for _ in stream:
                    pass
                _check(stream, digest)
                return Copied(size, mode, True)
            except GuestCommandFailed:
                if not offset:
                    raise
    source.seek(begin)  # what the guest held was of another file
    return push(link, source, path, mode, False, progress)


def pull(
    link: NativeLink,
    path: str,
    file: BinaryIO,
    limit: Optional[int] = None,
    progress: Optional[Progress] = None,
) -> tuple[int, int]:
    """The guest's file behind what `file` holds of it already; its size and mode.

    What is held and turns out to be of another file is thrown away. BadAnswer past the limit.
    """
    digest = hashlib.sha256()
    file.seek(0)
    offset = _digest_first(file, None, digest)
    try:
        return _pull(link, path, file, offset, digest, limit, progress)
    except GuestCommandFailed as error:
        if not offset or error.error_class != "invalid-argument":
            raise
    except WrongChecksum:
        if not offset:
            raise
    file.seek(0)
    file.truncate()
    return _pull(link, path, file, 0, hashlib.sha256(), limit, progress)


class WrongChecksum(BadAnswer):
    """What arrived is not what was sent, or the file was changed meanwhile."""


def _pull(
    link: NativeLink,
    path: str,
    file: BinaryIO,
    offset: int,
    digest: hashlib._Hash,
    limit: Optional[int],
    progress: Optional[Progress],
) -> tuple[int, int]:
    with link.open("file.pull", {"path": path, "offset": offset}) as stream:
        told = shape.record(stream.value, "file.pull")
        mode = shape.integer(told.get("mode"), "file.pull: mode", 0, 0o7777)
        size = offset
        for said in stream:
            if not isinstance(said, Data):
                continue
            size += len(said.data)
            if limit is not None and size > limit:
                raise BadAnswer(f"{path} is longer than the {limit} bytes that were allowed")
            file.write(said.data)
            digest.update(said.data)
            if progress is not None:
                progress(size)
        try:
            _check(stream, digest)
        except WrongChecksum:
            file.seek(0)
            file.truncate()
            raise
    return size, mode


def _feed(
    stream: NativeStream,
    source: BinaryIO,
    size: int,
    digest: hashlib._Hash,
    progress: Optional[Progress],
) -> int:
    while data := source.read(CHUNK):
        digest.update(data)
        stream.write(data)
        size += len(data)
        if progress is not None:
            progress(size)
    return size


def _digest_first(file: BinaryIO, count: Optional[int], digest: hashlib._Hash) -> int:
    """How many bytes there were, of `count` or all."""
    size = 0
    while data := file.read(CHUNK if count is None else min(CHUNK, count - size)):
        digest.update(data)
        size += len(data)
    return size


def _check(stream: NativeStream, digest: hashlib._Hash) -> None:
    told = shape.record(stream.result, stream.command)
    if told.get("sha256") != digest.hexdigest():
        raise WrongChecksum(f"{stream.command}: what arrived has another checksum than what left")
