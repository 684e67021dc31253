"""Processes: the only place that starts one."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Optional, Protocol

from ..errors import CommandError, DeadlinePassed, Unsupported

if TYPE_CHECKING:
    import subprocess

OUTPUT_LIMIT = 1 << 20
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


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
    child = spawn(argv, env={"PATH": PATH, "LC_ALL": "C"} if env is None else env)
    try:
        out, err = _converse(child, input, deadline)
    except BaseException:
        _kill_group(child)
        raise
    finally:
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()
    return Completed(tuple(argv), child.wait(), out, err)


def spawn(argv: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a program with pipes on stdin, stdout and stderr, unbuffered."""
    import subprocess  # 10 ms that a guest which runs nothing need not pay

    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
    except FileNotFoundError as error:
        raise Unsupported(f"{argv[0]} is not installed in this guest") from error
    except OSError as error:
        raise CommandError(f"cannot run {argv[0]}: {error.strerror}") from error


def _converse(
    child: subprocess.Popen[bytes], data: bytes, deadline: Optional[float]
) -> tuple[bytes, bytes]:
    """Feed and drain a child until it ends. A pidfd says when: a pipe may outlive it."""
    import select

    assert child.stdin and child.stdout and child.stderr  # spawn gives all three
    pidfd = os.pidfd_open(child.pid)
    poll = select.poll()
    outputs = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
    stdin = child.stdin.fileno()
    rest = memoryview(data)
    try:
        for fd in (*outputs, stdin):
            os.set_blocking(fd, False)
        for fd in (pidfd, *outputs):
            poll.register(fd, select.POLLIN)
        if rest:
            poll.register(stdin, select.POLLOUT)
        else:
            child.stdin.close()
        ended = False
        while not ended:
            ready = poll.poll(_milliseconds_until(deadline))
            if not ready:
                raise DeadlinePassed(f"{child.args[0]} did not end in time and was killed")  # type: ignore[index]
            for fd, _ in ready:
                if fd == pidfd:
                    ended = True
                elif fd == stdin:
                    rest = _feed(fd, rest)
                    if not rest:
                        poll.unregister(stdin)
                        child.stdin.close()
                elif not _drain(fd, outputs[fd]):
                    poll.unregister(fd)
        for fd, kept in outputs.items():
            while _drain(fd, kept) and len(kept) < OUTPUT_LIMIT:
                pass
    finally:
        os.close(pidfd)
    out, err = outputs.values()
    return bytes(out), bytes(err)


def _feed(fd: int, rest: memoryview) -> memoryview:
    try:
        return rest[os.write(fd, rest) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]  # it does not want the rest; its exit code will tell


def _drain(fd: int, kept: bytearray) -> bool:
    """Read once; False when there is no more to come, or none now."""
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return False
    kept += data[: OUTPUT_LIMIT - len(kept)]
    return bool(data)


def _milliseconds_until(deadline: Optional[float]) -> Optional[float]:
    return None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    import signal

    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
