"""A guest, for programs on its host: connect, and call methods that block until they are done."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Callable, Optional, TypeVar, Union

from . import address as addresses
from .contact import establish
from .errors import (
    BadAnswer,
    CannotReach,
    ClientError,
    NoAnswer,
)
from .guest_file import GuestFile
from .links import Link
from .local_file import arriving
from .plans import facts, files, freezing, programs
from .plans.explained import explained, single
from .plans.facts import Info, Summary
from .plans.files import Copied, Progress
from .plans.freezing import Frozen
from .plans.programs import Result
from .steps import Pause, Plan, Step, ask

T = TypeVar("T")
PathLike = Union[str, os.PathLike[str]]
CONNECT = 5.0
# After these nobody knows what the link will bring next. An interrupt may have cut a request.
LOST = (CannotReach, NoAnswer, BadAnswer, KeyboardInterrupt, SystemExit)


def connect(address: str, timeout: float = CONNECT, wait: bool = False) -> Guest:
    """A guest whose agent answers; see `address` for the forms.

    Raises what is wrong by its cause, as soon as it is known. With `wait`, a VM that is off,
    paused or booting is given the whole `timeout` to come up.
    """
    guest = Guest(addresses.parse(address), timeout)
    guest.wait(timeout) if wait else guest.ping()
    return guest


class Guest:
    """One conversation, opened when it is needed, and again after it was lost.

    Not for use by two threads at once.
    """

    def __init__(self, address: addresses.Address, timeout: float = CONNECT) -> None:
        self.address = address
        self._timeout = timeout
        self._link: Optional[Link] = None

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def wait(self, timeout: float, waiting: Optional[Callable[[ClientError], None]] = None) -> None:
        """Until the agent answers; raises what kept it from it when the time is over.

        `waiting` is called several times a second with what must change first.
        """
        self.close()
        self._link = establish(self.address, timeout, True, waiting)

    # Anything the agent knows

    def call(self, command: str, /, **arguments: object) -> object:
        """What a command returns; an underscore in an argument's name is a hyphen."""
        return self.ask(command, {key.replace("_", "-"): one for key, one in arguments.items()})

    def ask(
        self,
        command: str,
        arguments: Optional[Mapping[str, object]] = None,
        timeout: Optional[float] = None,
    ) -> object:
        """The same, with the arguments as they are sent, and seconds for the answer."""
        return self.run(single(ask(command, arguments, timeout)))

    def ping(self) -> None:
        self.run(facts.ping())

    def info(self) -> Info:
        return self.run(facts.info())

    def summary(self) -> Summary:
        return self.run(facts.summary())

    # Programs

    def exec(
        self,
        argv: Sequence[str],
        input: Optional[bytes] = None,
        env: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
    ) -> Result:
        """Run a program to its end, without a shell. `env` replaces the environment.

        Raises StillRunning, with the pid, after `timeout` seconds; QGA cannot end a program.
        """
        return self.run(programs.run(argv, input, env, timeout))

    def start(
        self,
        argv: Sequence[str],
        input: Optional[bytes] = None,
        env: Optional[Mapping[str, str]] = None,
        capture: bool = True,
    ) -> int:
        """Start a program and leave it; `result` with the pid gives what became of it."""
        return self.run(programs.start(argv, input, env, capture))

    def result(self, pid: int, timeout: Optional[float] = None) -> Result:
        return self.run(programs.result(pid, timeout))

    # Files

    def open(self, path: str, mode: str = "r") -> GuestFile:
        """A file of the guest; modes as C's fopen, and bytes always."""
        return GuestFile(self, path, self.run(files.open_file(path, mode)))

    def read_file(self, path: str, limit: Optional[int] = None) -> bytes:
        return self.run(files.read_file(path, limit))

    def write_file(self, path: str, data: bytes) -> None:
        self.run(files.write_file(path, data))

    def copy_to(
        self,
        source: PathLike,
        target: str,
        mode: Optional[int] = None,
        progress: Optional[Progress] = None,
    ) -> Copied:
        """A file of the host into the guest, with its mode, or the one that is given."""
        with open(source, "rb") as file:
            wanted = os.fstat(file.fileno()).st_mode & 0o777 if mode is None else mode
            return self.run(files.copy_in(file, target, wanted, progress))

    def copy_from(
        self,
        source: str,
        target: PathLike,
        limit: Optional[int] = None,
        progress: Optional[Progress] = None,
    ) -> Copied:
        """A file of the guest onto the host, whole or not at all.

        Its mode is kept where the agent may run `stat`, without set-id bits; else it is as for
        any new file.
        """
        with arriving(target) as file:
            size = self.run(files.copy_out(source, file, limit, progress))
            mode = self.run(files.mode_of(source))
            if mode is not None:
                os.fchmod(file.fileno(), mode & 0o777)
        return Copied(size, mode, True)

    # Freezing

    @contextlib.contextmanager
    def frozen(
        self,
        mountpoints: Optional[Sequence[str]] = None,
        deadline: Optional[int] = None,
        timeout: Optional[float] = None,
    ) -> Iterator[Frozen]:
        """File systems stand still inside; after it they do not, which is verified.

        With `deadline` the guest thaws by itself after so many seconds, whatever becomes of this
        program (guestwire-agent alone can). Raises ThawedEarly, after the thaw, when it was not
        frozen to the end, and NotThawed when it cannot be thawed.
        """
        try:
            frozen = self.freeze(mountpoints, deadline, timeout)
        except LOST:
            self.thaw()  # it may have been frozen nevertheless
            raise
        try:
            yield frozen
        except BaseException:
            self.thaw()
            raise
        self.run(freezing.end(frozen))

    def freeze(
        self,
        mountpoints: Optional[Sequence[str]] = None,
        deadline: Optional[int] = None,
        timeout: Optional[float] = None,
    ) -> Frozen:
        """Freeze, and leave it frozen: `frozen` is safer."""
        return self.run(freezing.freeze(mountpoints, deadline, timeout))

    def thaw(self) -> int:
        """Thaw and verify; the number of file systems, 0 when none was frozen."""
        return self.run(freezing.thaw())

    def is_frozen(self) -> bool:
        return self.run(freezing.status())

    # How plans are carried out

    def run(self, plan: Plan[T]) -> T:
        """Carry out a plan's steps; what a step raises, the plan may handle."""
        steps = explained(plan)
        try:
            step = next(steps)
            while True:
                try:
                    answer = self._step(step)
                except BaseException as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _step(self, step: Step) -> object:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        if self._link is None:
            self._link = establish(self.address, self._timeout)
        try:
            return self._link.ask(step)
        except LOST:
            self.close()
            raise
