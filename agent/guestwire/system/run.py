"""Running a program to its end."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional, Protocol

from ..errors import CommandError, DeadlinePassed, Unsupported
from .spawn import PATH, Spawned, close_all, open_pidfd, read_now, reap, spawn, write_now

OUTPUT_LIMIT = 1 << 20
ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C"}
GLANCE = 0.02  # seconds between looks at a child where the kernel has no pidfd
DEATH = 1.0  # seconds that a killed program may take to vanish


class Completed(NamedTuple):
    """`code` is the exit code, or minus the signal. Output past 1 MiB is dropped."""

    argv: Sequence[str]
    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        """What it said, for an error message."""
        return (self.err or self.out).decode("utf-8", "replace").strip()

    def check(self) -> Completed:
        """Itself, or CommandError with what the program said when it failed."""
        if self.code == 0:
            return self
        how = f"exit code {self.code}" if self.code > 0 else f"signal {-self.code}"
        raise CommandError(f"{self.argv[0]} failed ({how})" + (f": {self.text}" * bool(self.text)))


class Run(Protocol):
    """What commands are given to start a program with, so that a test can give another."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",
        deadline: Optional[float] = None,
        env: Optional[Mapping[str, str]] = None,
    ) -> Completed: ...


def run(
    argv: Sequence[str],
    *,
    input: bytes = b"",
    deadline: Optional[float] = None,
    env: Optional[Mapping[str, str]] = None,
) -> Completed:
    """Run a program to its end, in a session of its own, and collect what it says.

    It ends when the program does, even if a daemon it left behind keeps its output open.
    At `deadline` (a time.monotonic() value) its whole process group is killed. Without `env`
    it gets PATH and LC_ALL=C only.

    Raises Unsupported when there is no such program, DeadlinePassed when it was killed.
    """
    try:
        child = spawn(argv, ENVIRONMENT if env is None else env, session=True)
    except FileNotFoundError as error:
        raise Unsupported(f"{argv[0]} is not installed in this guest") from error
    except OSError as error:
        raise CommandError(f"cannot run {argv[0]}: {error.strerror}") from error
    talk = _Talk(child, input)
    try:
        code = talk.until_end(deadline)
        out, err = (bytes(kept) for kept in talk.outputs.values())
    except TimeoutError:
        _kill_group(child.pid)
        raise DeadlinePassed(f"{argv[0]} did not end in time and was killed") from None
    except BaseException:
        _kill_group(child.pid)
        raise
    finally:
        talk.close()
    return Completed(tuple(argv), code, out, err)


class _Talk:
    """Feeds and drains a child until it ends; a pidfd says when, as a pipe may outlive it."""

    def __init__(self, child: Spawned, data: bytes) -> None:
        import select

        self.outputs = {fd: bytearray() for fd in child.outputs}
        self._pid = child.pid
        self._pidfd = open_pidfd(child.pid)
        self._stdin = child.stdin
        self._rest = memoryview(data)
        self._open = set(self.outputs)
        self._poll = select.poll()
        for fd in (self._pidfd, *self.outputs):
            if fd is not None:
                self._poll.register(fd, select.POLLIN)
        if self._stdin is not None:
            self._poll.register(self._stdin, select.POLLOUT)
            self._feed(self._stdin)

    def until_end(self, deadline: Optional[float]) -> int:
        """The exit code; TimeoutError at the deadline."""
        while (code := reap(self._pid)) is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            if self._pidfd is None:
                left = GLANCE if left is None else min(left, GLANCE)
            for fd, _ in self._poll.poll(None if left is None else left * 1000):
                if fd == self._stdin:
                    self._feed(fd)
                elif fd in self._open:
                    self._drain(fd)
        for fd in tuple(self._open):  # what it said last; a daemon's chatter ends at the limit
            while len(self.outputs[fd]) < OUTPUT_LIMIT and self._drain(fd):
                pass
        return code

    def close(self) -> None:
        close_all((self._pidfd, self._stdin, *self.outputs))

    def _feed(self, fd: int) -> None:
        self._rest = write_now(fd, self._rest)
        if not self._rest:
            self._poll.unregister(fd)
            os.close(fd)
            self._stdin = None

    def _drain(self, fd: int) -> bool:
        data = read_now(fd)
        if data == b"":
            self._poll.unregister(fd)
            self._open.discard(fd)
        kept = self.outputs[fd]
        kept += (data or b"")[: OUTPUT_LIMIT - len(kept)]
        return bool(data)


def _kill_group(pid: int) -> None:
    import signal

    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    end = time.monotonic() + DEATH
    while reap(pid) is None:
        if time.monotonic() > end:
            _reap_later(pid)
            return
        time.sleep(0.005)


def _reap_later(pid: int) -> None:
    """Leave a program that hangs in the kernel (a dead disk) to a thread that waits for it."""
    import threading

    threading.Thread(target=os.waitpid, args=(pid, 0), name=f"reap {pid}", daemon=True).start()
