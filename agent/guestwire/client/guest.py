"""A guest, for programs on its host: connect, and call methods that block until they are done."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Callable, Optional, TypeVar, Union

from . import address as addresses
from .contact import establish, is_native, own
from .errors import (
    BadAnswer,
    CannotReach,
    ClientError,
    NoAnswer,
    RefusedByPolicy,
)
from .guest_file import GuestFile
from .links import Link
from .local_file import Arriving, arriving
from .plans import facts, files, freezing, programs
from .plans.explained import explained, reason, single
from .plans.facts import Info, Summary
from .plans.files import Copied, Progress
from .plans.freezing import Frozen
from .plans.programs import Result
from .steps import Pause, Plan, Step, ask

if TYPE_CHECKING:
    from .native_link import NativeLink
    from .native_stream import NativeStream

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
        self._own: Optional[NativeLink] = None
        self._looked = False  # for a port of guestwire's own

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
        for link in (self._link, self._own):
            if link is not None:
                link.close()
        self._link = self._own = None
        self._looked = False

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

        Raises StillRunning, with the pid, after `timeout` seconds. The program goes on where the
        guest has QEMU's port alone, since QGA cannot end it.
        """
        link = self._over_own_port()
        if link is not None:
            from . import native_programs

            with self._losing():
                return native_programs.run(link, argv, input, env, timeout)
        return self.run(programs.run(argv, input, env, timeout))

    def stream(
        self,
        argv: Sequence[str],
        env: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
        cwd: Optional[str] = None,
        user: Optional[str] = None,
        terminal: Optional[tuple[int, int]] = None,
    ) -> Optional[NativeStream]:
        """Start a program and talk with it while it runs; see `native_programs.start`.

        None where the guest has no port on which guestwire's agent speaks its own protocol.
        """
        link = self._over_own_port()
        if link is None:
            return None
        from . import native_programs

        with self._losing():
            return native_programs.start(link, argv, env, timeout, cwd, user, terminal)

    def has_streams(self) -> bool:
        """Whether programs can be talked with while they run, over guestwire's own port."""
        return self._over_own_port() is not None

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
        resume: bool = False,
    ) -> Copied:
        """A file of the host into the guest, with its mode, or the one that is given.

        With `resume`, and over guestwire's own port, a copy that breaks off leaves its part, and
        the next one goes on with it.
        """
        link = self._over_own_port()
        with open(source, "rb") as file:
            wanted = os.fstat(file.fileno()).st_mode & 0o777 if mode is None else mode
            if link is None:
                return self.run(files.copy_in(file, target, wanted, progress))
            from . import native_files

            with self._losing():
                return native_files.push(link, file, target, wanted, resume, progress)

    def copy_from(
        self,
        source: str,
        target: PathLike,
        limit: Optional[int] = None,
        progress: Optional[Progress] = None,
        resume: bool = False,
    ) -> Copied:
        """A file of the guest onto the host, whole or not at all; `resume` as with `copy_to`.

        Its mode is kept where the agent can tell it, without set-id bits; else it is as for any
        new file.
        """
        link = self._over_own_port()
        with arriving(target, resume and link is not None) as new:
            size = self._pull(link, source, new, limit, progress)
        return Copied(size, new.mode, True)

    def _pull(
        self,
        link: Optional[NativeLink],
        source: str,
        new: Arriving,
        limit: Optional[int],
        progress: Optional[Progress],
    ) -> int:
        if link is None:
            size = self.run(files.copy_out(source, new.file, limit, progress))
            new.mode = self.run(files.mode_of(source))
            return size
        from . import native_files

        with self._losing():
            size, new.mode = native_files.pull(link, source, new.file, limit, progress)
        return size

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

    # How plans are carried out, and what is none

    def _over_own_port(self) -> Optional[NativeLink]:
        """The link for streams, where the guest has one; it is looked for once."""
        if not self._looked:
            self._looked = True
            if is_native(self.address):
                from .native_link import NativeLink

                if self._link is None:
                    self._link = establish(self.address, self._timeout)
                assert isinstance(self._link, NativeLink)
                self._own = self._link
            else:
                self._own = own(self.address, self._timeout)
        return self._own

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except RefusedByPolicy as error:
            raise self.run(reason(error)) from error
        except LOST:
            self.close()
            raise

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
