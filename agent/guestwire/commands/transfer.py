"""`file.pull` and `file.push`: whole files, as a stream of bytes, at the channel's speed."""

from __future__ import annotations

import errno
import os
import stat
from typing import Optional

from ..dispatch.command import Context
from ..dispatch.streams import Control, Data, Stream, StreamCancelled
from ..errors import CommandError, InvalidArgument
from ..system.accounts import find, groups
from ..system.files.digest import Digest
from ..system.files.part import Part
from ..system.root import Root

CHUNK = 1 << 18
LARGEST_ID = (1 << 32) - 2  # the last one means "leave it" to chown(2)


def pull(
    context: Context,
    path: str,
    offset: int = 0,
    length: Optional[int] = None,
    checksum: bool = True,
) -> dict[str, object]:
    """Send a file from `offset` on, to its end or for `length` bytes.

    Accepted with what it is; the result is {"size": bytes sent, "sha256": of the file from its
    beginning to where this ended}, so a copy that went on can be checked whole.
    """
    stream = context.stream
    assert stream is not None  # the row says `streams`
    _check(path, offset=offset, length=length)
    fd = _open(context.root, path)
    digest = Digest() if checksum else None
    try:
        facts = os.fstat(fd)
        if offset > facts.st_size:
            raise InvalidArgument(f"{path}: offset {offset} is past its end, {facts.st_size}")
        if digest is not None:
            _read_into(digest, fd, offset)
        stream.accept(_facts(facts))
        sent = _send(stream, fd, offset, length, digest)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    finally:
        os.close(fd)
        if digest is not None:
            digest.close()
    stream.end()
    return {"size": sent, **({} if digest is None else {"sha256": digest.hexdigest()})}


def push(
    context: Context,
    path: str,
    size: Optional[int] = None,
    mode: Optional[int] = None,
    owner: Optional[str] = None,
    mtime_ns: Optional[int] = None,
    resume: bool = False,
    checksum: bool = False,
) -> dict[str, object]:
    """Receive a file, which replaces `path` when it is whole, or leaves it as it was.

    Accepted with {"offset": where the host goes on}, which is 0 unless `resume` finds a part
    that an earlier copy left; with `resume` this one leaves its part, too, if the host is cut
    off. With `checksum`, the host says {"sha256": of the whole file} before the end of its data.
    `owner` is USER, USER:GROUP or :GROUP, by name or number.
    """
    stream = context.stream
    assert stream is not None  # the row says `streams`
    _check(path, size=size)
    if mode is not None and not 0 <= mode <= 0o7777:
        raise InvalidArgument(f"mode {mode:o} is none")
    ids = None if owner is None else _ids(context.root, owner, path)
    part = Part(context.root, path, resume)
    digest = Digest() if checksum else None
    try:
        if size is not None and part.size > size:
            part.begin_anew()
        if digest is not None:
            part.read_into(digest)
        stream.accept({"offset": part.size})
        told = _receive(stream, part, digest, size)
        if size is not None and part.size != size:
            raise CommandError(f"{path}: {part.size} bytes have come, and not {size}")
        if digest is not None and told != digest.hexdigest():
            raise CommandError(f"{path}: what arrived has another checksum than what was sent")
        part.finish(mode, ids, mtime_ns)
    except StreamCancelled:
        if resume:
            part.keep()
        raise
    finally:
        part.remove()
        if digest is not None:
            digest.close()
    return {"size": part.size, **({} if digest is None else {"sha256": digest.hexdigest()})}


def _open(root: Root, path: str) -> int:
    try:
        _check_kind(root.stat(path), path)  # opening /dev/watchdog alone starts it
        fd = root.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would make us wait
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    try:
        _check_kind(os.fstat(fd), path)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _send(
    stream: Stream,
    fd: int,
    offset: int,
    length: Optional[int],
    digest: Optional[Digest],
) -> int:
    at, end = offset, None if length is None else offset + length
    while data := os.pread(fd, CHUNK if end is None else min(CHUNK, end - at), at):
        if digest is not None:
            digest.update(data)
        stream.write(data)
        at += len(data)
    return at - offset


def _receive(
    stream: Stream, part: Part, digest: Optional[Digest], size: Optional[int]
) -> Optional[str]:
    """Write until the host says that this was all, or more than all; the checksum it told."""
    told = None
    for incoming in stream:
        if isinstance(incoming, Data):
            part.write(incoming.data)
            if size is not None and part.size > size:
                break
            if digest is not None:
                digest.update(incoming.data)
        elif isinstance(incoming, Control):
            if isinstance(incoming.body, dict) and isinstance(incoming.body.get("sha256"), str):
                told = incoming.body["sha256"].lower()
        else:
            break
    return told


def _read_into(digest: Digest, fd: int, count: int) -> None:
    """The first bytes of a file, of which no more than the rest are sent."""
    at = 0
    while data := os.pread(fd, min(CHUNK, count - at), at):
        digest.update(data)
        at += len(data)


def _facts(facts: os.stat_result) -> dict[str, object]:
    return {
        "size": facts.st_size,
        "mode": stat.S_IMODE(facts.st_mode),
        "uid": facts.st_uid,
        "gid": facts.st_gid,
        "mtime-ns": facts.st_mtime_ns,
        "type": "file",
    }


def _check_kind(facts: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(facts.st_mode):
        raise CommandError(f"{path}: is a device, a socket or a FIFO, and no file")


def _check(path: str, **numbers: Optional[int]) -> None:
    if not path.startswith("/") or "\0" in path:
        raise InvalidArgument(f"path {path!r} is not absolute")
    for name, number in numbers.items():
        if number is not None and number < 0:
            raise InvalidArgument(f"{name} {number} is negative")


def _ids(root: Root, owner: str, path: str) -> tuple[int, int]:
    """The user's and the group's number; what is not named is as the file has it, or ours."""
    user, colon, group = owner.partition(":")
    try:
        now = root.stat(path)
        uid, gid = now.st_uid, now.st_gid
    except FileNotFoundError:
        uid, gid = os.geteuid(), os.getegid()
    if user:
        uid, gid = _user(root, user, gid)
    if colon:
        gid = _group(root, group)
    return uid, gid


def _user(root: Root, name: str, gid: int) -> tuple[int, int]:
    """A name brings its group along, as with chown(1) and a colon; a number alone does not."""
    if name.isdecimal() and int(name) <= LARGEST_ID:
        return int(name), gid
    account = find(root, name)
    if account is None:
        raise CommandError(f"there is no user {name!r}")
    return account.uid, account.gid


def _group(root: Root, name: str) -> int:
    if name.isdecimal() and int(name) <= LARGEST_ID:
        return int(name)
    for group in groups(root):
        if group.name == name:
            return group.gid
    raise CommandError(f"there is no group {name!r}")
