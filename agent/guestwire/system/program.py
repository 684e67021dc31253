"""A program that is talked with while it runs: its pipes or its terminal, its process group."""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Optional

from ..errors import CommandError, InvalidArgument, Unsupported
from .accounts import Account
from .root import Root
from .spawn import PATH, close_all, open_pidfd, read_now, reap, spawn, write_now

DRAIN = 0.25  # seconds for the last words, once it has ended and a child of its holds the pipe
MERCY = 2.0  # seconds between SIGHUP and SIGKILL
GLANCE = 0.02  # seconds between looks at it where the kernel has no pidfd


class Output(NamedTuple):
    """What it said: on stdout `error` is false. No data: it says no more there."""

    error: bool
    data: bytes


class Program:
    """One thread may `feed` it while another goes through its `outputs`."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], terminal: bool) -> None:
        self._input = threading.Lock()  # of what the thread that feeds must not find closed
        self._master: Optional[int] = None
        if terminal:
            self._master, slave = os.openpty()
            os.set_blocking(self._master, False)
            try:
                child = spawn(argv, env, terminal=os.ttyname(slave), session=True)
            except BaseException:
                os.close(self._master)
                raise
            finally:
                os.close(slave)
            self._stdin: Optional[int] = self._master
            self._outputs = {self._master: False}
        else:
            child = spawn(argv, env, session=True)
            self._stdin = child.stdin
            self._outputs = {fd: fd == child.stderr for fd in child.outputs}
        self.pid = child.pid
        self._pidfd = open_pidfd(child.pid)
        self._code: Optional[int] = None

    def feed(self, data: bytes) -> None:
        """Write to its standard input, as fast as it reads; what it does not want is dropped."""
        rest = memoryview(data)
        while rest:
            with self._input:
                fd = self._stdin
                if fd is None:
                    return
                rest = write_now(fd, rest)
            if rest:
                poll = select.poll()
                poll.register(fd, select.POLLOUT)
                poll.poll(1000)
                if self._code is not None:
                    return

    def end_input(self) -> None:
        """End of file on its standard input; for a terminal, the character that says so."""
        if self._master is not None:
            self.feed(b"\x04")
            return
        with self._input:
            fd, self._stdin = self._stdin, None
            if fd is not None:
                os.close(fd)

    def resize(self, rows: int, columns: int) -> None:
        """Tell a terminal's program its size; SIGWINCH goes with it. Without one, nothing."""
        import fcntl
        import struct
        import termios

        size = struct.pack("HHHH", rows, columns, 0, 0)
        with self._input:
            if self._master is not None:
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def hang_up(self) -> None:
        """Let it end, and end it if it does not; another thread goes through its outputs."""
        for number in (signal.SIGHUP, signal.SIGKILL):
            self.signal(number)
            give_up = time.monotonic() + MERCY
            while self._code is None and time.monotonic() < give_up:
                time.sleep(GLANCE)

    def signal(self, number: int) -> None:
        """Send a signal to its process group."""
        if self._code is None:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                pass

    def outputs(self, deadline: Optional[float]) -> Iterator[Output]:
        """Go through what it says until it has ended.

        Raises TimeoutError at `deadline`, a time.monotonic() value.
        """
        poll = select.poll()
        talking = dict(self._outputs)
        for fd in (*talking, *([] if self._pidfd is None else [self._pidfd])):
            poll.register(fd, select.POLLIN)
        until, ended = deadline, False
        while talking or not ended:
            now = time.monotonic()
            if until is not None and now >= until:
                if ended:
                    return
                raise TimeoutError
            for fd, _ in poll.poll(_milliseconds(until, now, self._pidfd is None)):
                data = b"" if fd == self._pidfd else _read(fd)
                if data is not None and fd in talking:
                    yield Output(talking[fd], data)
                if data == b"":
                    poll.unregister(fd)
                    talking.pop(fd, None)
            if not ended and self._has_ended():
                until, ended = time.monotonic() + DRAIN, True

    def _has_ended(self) -> bool:
        if self._code is None:
            self._code = reap(self.pid)
        return self._code is not None

    @property
    def code(self) -> int:
        """Its exit code, or minus the signal, once `outputs` has come to its end."""
        assert self._code is not None
        return self._code

    def close(self) -> None:
        """Hang up: end it if it still runs, first by SIGHUP, and give everything back."""
        for number, patience in ((signal.SIGHUP, MERCY), (signal.SIGKILL, MERCY)):
            if self._code is not None:
                break
            self.signal(number)
            self._wait(patience)
        with self._input:
            close_all({self._stdin, self._pidfd, *self._outputs})
            self._stdin = self._master = self._pidfd = None

    def _wait(self, seconds: float) -> None:
        give_up = time.monotonic() + seconds
        while not self._has_ended() and time.monotonic() < give_up:
            time.sleep(GLANCE)


def environment(given: Mapping[str, str], account: Optional[Account]) -> dict[str, str]:
    """What login would set, and over it what the host gives."""
    base = {"PATH": PATH, "LANG": "C.UTF-8"}
    if account is not None:
        base.update(HOME=account.home, USER=account.name, LOGNAME=account.name, SHELL=account.shell)
    else:
        base.update(HOME="/root", USER="root", LOGNAME="root", SHELL="/bin/sh")
    return {**base, **given}


def command_line(
    root: Root, argv: Sequence[str], account: Optional[Account], directory: Optional[str]
) -> list[str]:
    """The words that start a program as a user, in a directory.

    All of a user's ids and groups are taken on, by setpriv(1), before anything else is done.
    """
    if not argv:
        raise InvalidArgument("argv is empty")
    words = list(argv)
    if directory is not None:
        words = ["/bin/sh", "-c", 'cd -- "$0" && exec "$@"', directory, *words]
    if account is not None:
        if not root.exists("/usr/bin/setpriv") and not root.exists("/bin/setpriv"):
            raise Unsupported("running as another user needs setpriv, of util-linux")
        ids = ["--reuid", str(account.uid), "--regid", str(account.gid), "--init-groups"]
        words = ["setpriv", *ids, "--", *words]
    return words


def failed_to_start(name: str, error: OSError) -> CommandError:
    kind = InvalidArgument if error.errno in (errno.ENOENT, errno.EACCES) else CommandError
    return kind(f"cannot run {name}: {error.strerror}")


def _read(fd: int) -> Optional[bytes]:
    """As read_now; a terminal whose last program has gone is at its end (Linux says EIO)."""
    try:
        return read_now(fd)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


def _milliseconds(until: Optional[float], now: float, must_look: bool) -> Optional[float]:
    left = None if until is None else max(0.0, until - now) * 1000
    if must_look:
        return GLANCE * 1000 if left is None else min(left, GLANCE * 1000)
    return left
