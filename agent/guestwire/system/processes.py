"""Programs that run on while the host does other things, until it has asked how they ended.

One thread feeds, drains and reaps them all. It sleeps in epoll without a timeout while nothing
happens, and is started with the first program.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple, Optional

from ..errors import CommandError
from .spawn import Spawned, close_all, open_pidfd, read_now, reap, spawn, write_now

GLANCE = 0.02  # seconds between looks at a program where the kernel has no pidfd
DAY = 86400.0
READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT


class Limits(NamedTuple):
    """What all of it may cost. Ends that nobody asked for are forgotten, the oldest first."""

    processes: int = 256  # at a time, with those that ended and were not asked for
    output: int = 16 << 20  # bytes kept of each stream
    held: int = 128 << 20  # bytes of output that wait to be asked for
    kept: float = 3600.0  # seconds that an end is remembered
    linger: float = 0.25  # seconds to wait for the last words of what a program left behind
    left_pipes: int = 64  # of daemons that were left behind and may still write to us


class Capture(NamedTuple):
    """Which of a program's streams are kept; `merged` puts stderr in with stdout."""

    stdout: bool = False
    stderr: bool = False
    merged: bool = False


LIMITS = Limits()
NOTHING = Capture()


class Said:
    """What came out of one stream, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.data = bytearray()
        self.truncated = False

    def add(self, data: bytes) -> None:
        room = self._limit - len(self.data)
        self.data += data[:room]
        self.truncated = self.truncated or len(data) > room


class Ended(NamedTuple):
    """How a program ended. `code` is the exit code, or minus the signal."""

    code: int
    stdout: Said
    stderr: Said


class _Process:
    """One program, from its start until its end has been asked for or forgotten."""

    def __init__(self, child: Spawned, pidfd: Optional[int], data: bytes, limit: int) -> None:
        self.pid = child.pid
        self.pidfd = pidfd
        self.stdin = child.stdin
        self.rest = memoryview(data)
        self.stdout, self.stderr = Said(limit), Said(limit)
        self.outputs = {
            fd: said
            for fd, said in ((child.stdout, self.stdout), (child.stderr, self.stderr))
            if fd is not None
        }
        self.code: Optional[int] = None
        self.ended = False  # all of it is known: the code, and what it said
        self.until = 0.0  # with a code: the end of the wait for words; when ended: of its memory

    @property
    def due(self) -> float:
        """Seconds until it must be looked at though nothing was heard of it."""
        if self.code is None:
            return GLANCE if self.pidfd is None else DAY
        return max(0.0, self.until - time.monotonic())

    @property
    def held(self) -> int:
        return len(self.stdout.data) + len(self.stderr.data)


class Processes:
    """All of this agent's. `watch` gives the pidfd of a child, or None where there are none."""

    def __init__(
        self, limits: Limits = LIMITS, watch: Callable[[int], Optional[int]] = open_pidfd
    ) -> None:
        self._limits = limits
        self._watch = watch
        self._known: dict[int, _Process] = {}
        self._owners: dict[int, _Process] = {}
        self._left: dict[int, None] = {}  # pipes whose program ended; what comes is dropped
        self._lock = threading.Lock()
        self._epoll = select.epoll()
        self._woken, self._wake = os.pipe()
        self._epoll.register(self._woken, READABLE)
        self._thread = threading.Thread(target=self._collect, name="processes", daemon=True)
        self._thread.start()

    def start(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        data: Optional[bytes] = None,
        capture: Capture = NOTHING,
    ) -> int:
        """Start a program and return its pid; `data` is what it reads, and then the end.

        It gets a process group of its own. At the limit the one that ended first is forgotten.
        Raises OSError as exec does, and CommandError when there are too many that run.
        """
        with self._lock:
            self._make_room()
            child = spawn(argv, env, stdin=data is not None, **capture._asdict())
            process = _Process(child, self._watch(child.pid), data or b"", self._limits.output)
            self._forget(child.pid)  # the kernel gave the number of one that nobody asked for
            self._known[child.pid] = process
            self._add(process.pidfd, READABLE, process)
            for fd in process.outputs:
                self._add(fd, READABLE, process)
            if process.stdin is not None:
                self._add(process.stdin, WRITABLE, process)
                self._feed(process, process.stdin)
        if process.pidfd is None:
            os.write(self._wake, b"!")  # it must look at this one from time to time
        return child.pid

    def ask(self, pid: int) -> Optional[Ended]:
        """How a program ended, told once; None while it runs.

        Raises CommandError when none has this pid.
        """
        with self._lock:
            process = self._known.get(pid)
            if process is None:
                raise CommandError(f"PID {pid} does not exist")
            if not process.ended or process.code is None:
                return None
            del self._known[pid]
        return Ended(process.code, process.stdout, process.stderr)

    def close(self) -> None:
        """Stop collecting; programs run on, and find their pipes closed."""
        os.close(self._wake)
        self._thread.join()
        self._epoll.close()
        close_all((self._woken, *self._owners, *self._left))

    def _collect(self) -> None:
        timeout: Optional[float] = None
        while True:
            for fd, _ in self._epoll.poll(timeout):
                if fd == self._woken:
                    if not os.read(fd, 64):
                        return
                else:
                    with self._lock:
                        self._attend(fd)
            with self._lock:
                timeout = self._look_after()

    def _attend(self, fd: int) -> None:
        process = self._owners.get(fd)
        if process is None:
            if fd in self._left and read_now(fd) == b"":
                self._remove(fd)
        elif fd == process.pidfd:
            self._reap(process)
        elif fd == process.stdin:
            self._feed(process, fd)
        else:
            self._drain(process, fd)

    def _feed(self, process: _Process, fd: int) -> None:
        process.rest = write_now(fd, process.rest)
        if not process.rest:
            self._remove(fd)
            process.stdin = None

    def _drain(self, process: _Process, fd: int) -> None:
        data = read_now(fd)
        if data:
            process.outputs[fd].add(data)
        elif data == b"":
            self._remove(fd)
            del process.outputs[fd]
            if process.code is not None and not process.outputs:
                self._end(process)

    def _reap(self, process: _Process) -> None:
        process.code = reap(process.pid)
        if process.code is None:
            return
        process.until = time.monotonic() + self._limits.linger
        if process.pidfd is not None:
            self._remove(process.pidfd)
            process.pidfd = None
        if not process.outputs:
            self._end(process)

    def _end(self, process: _Process) -> None:
        """What was left behind may go on writing: a closed pipe would kill it."""
        process.ended = True
        process.until = time.monotonic() + self._limits.kept
        if process.stdin is not None:
            self._remove(process.stdin)
            process.stdin = None
        for fd in process.outputs:
            del self._owners[fd]
            self._left[fd] = None
        process.outputs = {}
        while len(self._left) > self._limits.left_pipes:
            self._remove(next(iter(self._left)))
        self._shrink(process)

    def _look_after(self) -> Optional[float]:
        """Do what is due by now; the answer is the seconds until something is due again."""
        for process in list(self._known.values()):
            if process.code is None and process.pidfd is None:
                self._reap(process)
            if process.code is not None and time.monotonic() >= process.until:
                self._forget(process.pid) if process.ended else self._end(process)
        return min((process.due for process in self._known.values()), default=None)

    def _make_room(self) -> None:
        if len(self._known) >= self._limits.processes:
            ended = self._ended()
            if not ended:
                raise CommandError(f"{len(self._known)} programs are running, which is the limit")
            self._forget(ended[0].pid)

    def _shrink(self, newest: _Process) -> None:
        ended = self._ended()
        held = sum(process.held for process in ended)
        for process in ended:
            if held > self._limits.held and process is not newest:
                self._forget(process.pid)
                held -= process.held

    def _ended(self) -> list[_Process]:
        """Those that nobody has asked for, the first that ended first."""
        ended = (process for process in self._known.values() if process.ended)
        return sorted(ended, key=lambda process: process.until)

    def _forget(self, pid: int) -> None:
        process = self._known.pop(pid, None)
        if process is not None and not process.ended:
            self._end(process)

    def _add(self, fd: Optional[int], events: int, process: _Process) -> None:
        if fd is not None:
            self._owners[fd] = process
            self._epoll.register(fd, events)

    def _remove(self, fd: int) -> None:
        self._owners.pop(fd, None)
        self._left.pop(fd, None)
        self._epoll.unregister(fd)
        os.close(fd)
