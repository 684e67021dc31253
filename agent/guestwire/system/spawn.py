"""Starting a program, the only place that does, and talking to it without waiting for it.

posix_spawn, not subprocess: there is nothing to import (subprocess takes 0.6 MiB, for good), and
the agent's page tables are not copied.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple, Optional

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHUNK = 65536  # what a pipe holds
NAME_MAX = 255  # linux/limits.h


class Spawned(NamedTuple):
    """A program that runs, and our ends of its pipes, which never block; None is /dev/null.

    The caller closes them, and reaps the program.
    """

    pid: int
    stdin: Optional[int]
    stdout: Optional[int]
    stderr: Optional[int]

    @property
    def outputs(self) -> tuple[int, ...]:
        return tuple(fd for fd in (self.stdout, self.stderr) if fd is not None)


def spawn(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    stdin: bool = True,
    stdout: bool = True,
    stderr: bool = True,
    merged: bool = False,
    session: bool = False,
    terminal: str = "",
) -> Spawned:
    """Start a program with pipes where asked, and /dev/null elsewhere.

    With `terminal`, the path of one, that is its standard input, output and error instead, and
    with `session` its controlling terminal.

    `merged` sends stderr where stdout goes. It leads a process group of its own, so that its
    `kill 0` spares the agent; with `session` a session too, so that it cannot ask a terminal.
    Signals are as after boot.

    Raises OSError as exec does, and ValueError for text that cannot be an argument.
    """
    _keep_descriptors()
    if terminal:
        pid = _start(argv, env, _terminal_actions(terminal), session)
        return Spawned(pid, None, None, None)
    ours: list[Optional[int]] = []
    theirs: list[Optional[int]] = []
    try:
        for wanted, writing in ((stdin, True), (stdout, False), (stderr and not merged, False)):
            our_end, its_end = _pipe(writing) if wanted else (None, None)
            ours.append(our_end)
            theirs.append(its_end)
        if merged:
            theirs[2] = theirs[1]
        pid = _start(argv, env, _pipe_actions(theirs), session)
    except BaseException:
        close_all(ours)
        raise
    finally:
        close_all(set(theirs))
    return Spawned(pid, *ours)


def reap(pid: int) -> Optional[int]:
    """The exit code of a child, or minus the signal that ended it; None while it runs.

    255 when it cannot be known, because the agent was started with SIGCHLD ignored.
    """
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 255
    return os.waitstatus_to_exitcode(status) if ended else None


def open_pidfd(pid: int) -> Optional[int]:
    """A descriptor that becomes readable when a child ends; None where the kernel has none.

    It has since Linux 5.3, but seccomp filters of some containers still refuse it.
    """
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None


def read_now(fd: int) -> Optional[bytes]:
    """What a pipe holds, up to 64 KiB; b"" at its end, None when it is empty."""
    try:
        return os.read(fd, CHUNK)
    except BlockingIOError:
        return None


def write_now(fd: int, data: memoryview) -> memoryview:
    """Write what the pipe takes; the answer is the rest, none when the reader has gone."""
    try:
        return data[os.write(fd, data) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return data[:0]  # it does not want the rest; its exit code will tell


def close_all(fds: Iterable[Optional[int]]) -> None:
    for fd in fds:
        if fd is not None:
            os.close(fd)


def _pipe(writing: bool) -> tuple[int, int]:
    """Our end, which does not block, and the program's."""
    reader, writer = os.pipe()
    ours, theirs = (writer, reader) if writing else (reader, writer)
    os.set_blocking(ours, False)
    return ours, theirs


def _pipe_actions(fds: Sequence[Optional[int]]) -> list[tuple[object, ...]]:
    return [
        (os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0)
        if fd is None
        else (os.POSIX_SPAWN_DUP2, fd, number)
        for number, fd in enumerate(fds)
    ]


def _terminal_actions(path: str) -> list[tuple[object, ...]]:
    """The first terminal that a session's leader opens is its controlling one (tty(4))."""
    return [
        (os.POSIX_SPAWN_OPEN, 0, path, os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]


def _start(
    argv: Sequence[str],
    env: Mapping[str, str],
    actions: Sequence[tuple[object, ...]],
    session: bool,
) -> int:
    import signal

    arguments = [_bytes(argument) for argument in argv]
    environment = {_bytes(name): _bytes(value) for name, value in env.items()}

    def start(program: bytes, arguments: list[bytes]) -> int:
        return os.posix_spawn(
            program,
            arguments,
            environment,
            file_actions=actions,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # those that Python ignores
            **({"setsid": True} if session else {"setpgroup": 0}),
        )

    program = _find(arguments[0], environment)
    try:
        return start(program, arguments)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        return start(b"/bin/sh", [b"/bin/sh", program, *arguments[1:]])  # as execvp does


@cache
def _keep_descriptors() -> None:
    """Keep from children what the agent got from its own parent (a socket of systemd's), once.

    All else is close-on-exec, because Python opens nothing otherwise. And where the agent was
    started without standard streams, no pipe shall take their numbers.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return
    for fd in map(int, names):
        try:
            if fd > 2:
                os.set_inheritable(fd, False)
        except OSError:
            pass  # it was the list's own, or another thread has closed it


def _find(name: bytes, env: Mapping[bytes, bytes]) -> bytes:
    """Where a program is, by the PATH that it will get, or else by ours."""
    if b"/" in name:
        return name
    path = env.get(b"PATH") or os.environb.get(b"PATH") or PATH.encode()
    error = errno.ENOENT if len(name) <= NAME_MAX else errno.ENAMETOOLONG
    for directory in path.split(b":"):
        candidate = os.path.join(directory or b".", name)  # no file where the name is empty
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            error = errno.EACCES
    raise OSError(error, os.strerror(error), os.fsdecode(name))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
