"""A program of a guest at our own standard streams: what is typed, said and signalled passes on."""

from __future__ import annotations

import codecs
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from types import FrameType
from typing import Callable, Optional

from ...client.errors import ClientError
from ...client.native_programs import STDERR, ended
from ...client.native_stream import NativeStream
from ...client.plans.programs import Result
from ...client.printable import printable
from ...wire.native.events import Data

CHUNK = 1 << 18
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
ENOUGH = 3  # interrupts, after which a program that minds none is left

Filter = Callable[[bytes], bytes]


def talk(stream: NativeStream, input_: bool, raw: bool) -> Result:
    """Until the program has ended; the result holds no output, which has been written."""
    with stream, forwarding(stream, FORWARDED):
        feed(stream, _typed() if input_ else iter(()))
        filters = {fd: _filter(fd, raw) for fd in (1, 2)}
        for said in stream:
            if isinstance(said, Data):
                fd = 2 if said.channel == STDERR else 1
                write(fd, filters[fd](said.data))
        code, number = ended(stream)
    return Result(b"", b"", code, number)


def feed(stream: NativeStream, pieces: Iterator[bytes]) -> None:
    """Its input, in a thread that nobody waits for: a read of a terminal may never end."""

    def pass_on() -> None:
        with contextlib.suppress(ClientError):  # it has ended, which its reader is told
            for data in pieces:
                stream.write(data)
            stream.end()

    threading.Thread(target=pass_on, name="input", daemon=True).start()


def _typed() -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # closed, or a terminal that is not ours
        while data := os.read(0, CHUNK):
            yield data


@contextlib.contextmanager
def forwarding(stream: NativeStream, numbers: tuple[int, ...]) -> Iterator[None]:
    """Pass signals on to the program's process group; a third interrupt is our own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: SimpleQueue[Optional[object]] = SimpleQueue()
    interrupts = 0

    def on_signal(number: int, _: Optional[FrameType]) -> None:
        """It may come while this thread holds the stream's lock, so another one speaks."""
        nonlocal interrupts
        interrupts += number == signal.SIGINT
        if interrupts >= ENOUGH:
            raise KeyboardInterrupt
        arrived.put(body_of(number))

    def speak() -> None:
        while (body := arrived.get()) is not None:
            with contextlib.suppress(ClientError):
                stream.control(body)

    threading.Thread(target=speak, name="signals", daemon=True).start()
    minded = [one for one in numbers if signal.getsignal(one) is not signal.SIG_IGN]  # nohup
    before = {number: signal.signal(number, on_signal) for number in minded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        arrived.put(None)


def body_of(number: int) -> object:
    """What the program is told of a signal of ours."""
    if number == signal.SIGWINCH:
        return {"resize": list(size())}
    return {"signal": number}


def size() -> tuple[int, int]:
    """Rows and columns of our terminal."""
    here = os.get_terminal_size(0)
    return here.lines, here.columns


def write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _filter(fd: int, raw: bool) -> Filter:
    """A file or a pipe gets each byte as it was; a terminal, what it cannot act upon."""
    if raw or not os.isatty(fd):
        return lambda data: data
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def fit(data: bytes) -> bytes:
        text = decoder.decode(data).replace("\r\n", "\n")
        return printable(text, keep="\n\t").encode()

    return fit
