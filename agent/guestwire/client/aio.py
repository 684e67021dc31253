"""A guest, for programs that run asyncio: the same plans and conversation, and other waits.

    async with await connect("web1") as guest:
        print((await guest.exec(["uname", "-r"])).out)

Finding and reaching a guest, and everything that goes through libvirt's agent calls, is done in
a thread, since libvirt blocks. Files of the host are read and written a mebibyte at a time in
the loop's thread.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Callable, Optional, TypeVar

from . import address as addresses
from .contact import establish
from .errors import BadAnswer, CannotReach, ChannelLost, NoAnswer
from .guest import CONNECT, PathLike
from .links import Link, StreamLink, late, patience, value_of
from .local_file import arriving
from .plans import facts, files, freezing, programs
from .plans.explained import explained, single
from .plans.facts import Info, Summary
from .plans.files import Copied, Progress
from .plans.freezing import Frozen
from .plans.programs import Result
from .steps import Ask, Pause, Plan, Step, ask

T = TypeVar("T")
LOST = (CannotReach, NoAnswer, BadAnswer, asyncio.CancelledError)


async def connect(address: str, timeout: float = CONNECT, wait: bool = False) -> AsyncGuest:
    """As `guestwire.client.connect`."""
    guest = AsyncGuest(addresses.parse(address), timeout)
    if wait:
        await guest.wait(timeout)
    else:
        await guest.ping()
    return guest


class AsyncGuest:
    """As `Guest`; tasks that use one guest take turns, question by question."""

    def __init__(self, address: addresses.Address, timeout: float = CONNECT) -> None:
        self.address = address
        self._timeout = timeout
        self._link: Optional[Link] = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> AsyncGuest:
        return self

    async def __aexit__(
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

    async def wait(self, timeout: float) -> None:
        async with self._turn:
            self.close()
            self._link = await self._reach(timeout, patient=True)

    async def call(self, command: str, /, **arguments: object) -> object:
        return await self.ask(
            command, {key.replace("_", "-"): one for key, one in arguments.items()}
        )

    async def ask(
        self,
        command: str,
        arguments: Optional[Mapping[str, object]] = None,
        timeout: Optional[float] = None,
    ) -> object:
        return await self.run(single(ask(command, arguments, timeout)))

    async def ping(self) -> None:
        await self.run(facts.ping())

    async def info(self) -> Info:
        return await self.run(facts.info())

    async def summary(self) -> Summary:
        return await self.run(facts.summary())

    async def exec(
        self,
        argv: Sequence[str],
        input: Optional[bytes] = None,
        env: Optional[Mapping[str, str]] = None,
        timeout: Optional[float] = None,
    ) -> Result:
        return await self.run(programs.run(argv, input, env, timeout))

    async def start(
        self,
        argv: Sequence[str],
        input: Optional[bytes] = None,
        env: Optional[Mapping[str, str]] = None,
        capture: bool = True,
    ) -> int:
        return await self.run(programs.start(argv, input, env, capture))

    async def result(self, pid: int, timeout: Optional[float] = None) -> Result:
        return await self.run(programs.result(pid, timeout))

    async def read_file(self, path: str, limit: Optional[int] = None) -> bytes:
        return await self.run(files.read_file(path, limit))

    async def write_file(self, path: str, data: bytes) -> None:
        await self.run(files.write_file(path, data))

    async def copy_to(
        self,
        source: PathLike,
        target: str,
        mode: Optional[int] = None,
        progress: Optional[Progress] = None,
    ) -> Copied:
        with open(source, "rb") as file:
            wanted = os.fstat(file.fileno()).st_mode & 0o777 if mode is None else mode
            return await self.run(files.copy_in(file, target, wanted, progress))

    async def copy_from(
        self,
        source: str,
        target: PathLike,
        limit: Optional[int] = None,
        progress: Optional[Progress] = None,
    ) -> Copied:
        with arriving(target) as new:
            size = await self.run(files.copy_out(source, new.file, limit, progress))
            new.mode = mode = await self.run(files.mode_of(source))
        return Copied(size, mode, True)

    @asynccontextmanager
    async def frozen(
        self,
        mountpoints: Optional[Sequence[str]] = None,
        deadline: Optional[int] = None,
        timeout: Optional[float] = None,
    ) -> AsyncIterator[Frozen]:
        try:
            frozen = await self.freeze(mountpoints, deadline, timeout)
        except LOST:
            await self.thaw()  # it may have been frozen nevertheless
            raise
        try:
            yield frozen
        except BaseException:
            await self.thaw()
            raise
        await self.run(freezing.end(frozen))

    async def freeze(
        self,
        mountpoints: Optional[Sequence[str]] = None,
        deadline: Optional[int] = None,
        timeout: Optional[float] = None,
    ) -> Frozen:
        return await self.run(freezing.freeze(mountpoints, deadline, timeout))

    async def thaw(self) -> int:
        return await self.run(freezing.thaw())

    async def is_frozen(self) -> bool:
        return await self.run(freezing.status())

    async def run(self, plan: Plan[T]) -> T:
        """Carry out a plan's steps; what a step raises, the plan may handle."""
        steps = explained(plan)
        try:
            step = next(steps)
            while True:
                try:
                    answer = await self._step(step)
                except BaseException as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as stop:
            value: T = stop.value
            return value

    async def _step(self, step: Step) -> object:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        async with self._turn:
            if self._link is None:
                self._link = await self._reach(self._timeout, patient=False)
            try:
                if isinstance(self._link, StreamLink):
                    return await _ask(self._link, step)
                return await asyncio.get_running_loop().run_in_executor(None, self._link.ask, step)
            except LOST:
                self.close()
                raise

    async def _reach(self, timeout: float, patient: bool) -> Link:
        loop = asyncio.get_running_loop()
        reaching = loop.run_in_executor(None, establish, self.address, timeout, patient)
        try:
            return await asyncio.shield(reaching)
        except asyncio.CancelledError:
            reaching.add_done_callback(_close)  # the thread goes on, and may hold a lock yet
            raise


async def _ask(link: StreamLink, step: Ask) -> object:
    """What `StreamLink.ask` does, on the loop."""
    end = time.monotonic() + patience(step)
    try:
        link.conversation.ask(step.command, step.arguments, step.limit, step.silent)
        view = memoryview(link.conversation.take())
        while view:
            count = link.stream.send_now(view)
            view = view[count:]
            if not count and not await _ready(link, end, writing=True):
                raise NoAnswer(f"{link.stream.name}: the guest does not read")
        while (answer := link.conversation.answer()) is None:
            data = link.stream.recv_now()
            if not data and not await _ready(link, end, writing=False):
                loop = asyncio.get_running_loop()
                raise await loop.run_in_executor(None, late, step, link.stream.name, link.watch)
            link.conversation.receive(data)
    except (NoAnswer, ChannelLost):
        if step.silent:
            return None
        raise
    return value_of(step, answer)


def _close(reached: asyncio.Future[Link]) -> None:
    if not reached.cancelled() and reached.exception() is None:
        reached.result().close()


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _ready(link: StreamLink, end: float, writing: bool) -> bool:
    """Wait for the stream; False when the end came first."""
    loop = asyncio.get_running_loop()
    fd = link.stream.fileno()
    ready: asyncio.Future[None] = loop.create_future()
    add: Callable[..., None] = loop.add_writer if writing else loop.add_reader
    remove = loop.remove_writer if writing else loop.remove_reader
    add(fd, _settle, ready)
    try:
        await asyncio.wait_for(ready, max(0.0, end - time.monotonic()))
    except asyncio.TimeoutError:
        return False
    finally:
        remove(fd)
    return True
