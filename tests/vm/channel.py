"""The host's end of a line of JSON objects on a unix socket: an agent's port, or QMP."""

from __future__ import annotations

import base64
import json
import socket
import time
from pathlib import Path
from typing import NamedTuple, Optional, Union


class NoAnswer(Exception):
    """Nothing, or nothing that fits, came within the time."""


class Refused(Exception):
    """The other side answered with an error object."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(error["desc"])
        self.kind = error["class"]


class Ran(NamedTuple):
    """What a program in the guest left behind."""

    exitcode: int
    out: str
    err: str


class Channel:
    """One connection. QMP's events are kept in `events`, in the order they came."""

    def __init__(self, path: Union[str, Path], timeout: float = 30) -> None:
        self.events: list[dict[str, object]] = []
        self._timeout = timeout
        self._buffer = bytearray()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        self._socket.settimeout(self._timeout)
        self._socket.sendall(data)

    def line(self, timeout: Optional[float] = None) -> bytes:
        """The next line; what came of an unfinished one is kept for the next call."""
        end = time.monotonic() + (self._timeout if timeout is None else timeout)
        while b"\n" not in self._buffer:
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                data = self._socket.recv(1 << 16)
            except socket.timeout:
                raise NoAnswer(f"only {bytes(self._buffer[:80])!r}") from None
            if not data:
                raise ConnectionResetError("the other side hung up")
            self._buffer += data
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        return line

    def call(
        self,
        execute: str,
        arguments: Optional[dict[str, object]] = None,
        timeout: Optional[float] = None,
    ) -> object:
        """The value that `execute` returns; Refused when it returns an error."""
        request: dict[str, object] = {"execute": execute}
        if arguments is not None:
            request["arguments"] = arguments
        self.send(json.dumps(request).encode() + b"\n")
        while True:
            answer = json.loads(self.line(timeout))
            if "error" in answer:
                raise Refused(answer["error"])
            if "return" in answer:
                return answer["return"]
            self.events.append(answer)

    def sync(self, timeout: Optional[float] = None) -> None:
        """Drop what an earlier client left in the channel."""
        number = time.monotonic_ns()
        request = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
        self.send(b"\xff" + json.dumps(request).encode() + b"\n")
        while True:
            _, mark, answer = self.line(timeout).rpartition(b"\xff")
            if mark and json.loads(answer).get("return") == number:
                return

    def run(self, command: Union[str, list[str]], timeout: float = 60) -> Ran:
        """Run a program (or a text, with /bin/sh) in the guest by guest-exec."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        arguments = {"path": argv[0], "arg": argv[1:], "capture-output": True}
        started = self.call("guest-exec", arguments)
        assert isinstance(started, dict)
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            status = self.call("guest-exec-status", {"pid": started["pid"]})
            assert isinstance(status, dict)
            if status["exited"]:
                return Ran(
                    status.get("exitcode", -status.get("signal", 0)),
                    base64.b64decode(status.get("out-data", "")).decode(),
                    base64.b64decode(status.get("err-data", "")).decode(),
                )
            time.sleep(0.05)
        raise NoAnswer(f"{argv} still runs after {timeout} s")


def open_agent(path: Union[str, Path], timeout: float = 240) -> Channel:
    """A channel to the agent behind `path`, as soon as it answers."""
    end = time.monotonic() + timeout
    channel = None
    while time.monotonic() < end:
        try:
            channel = channel or Channel(path)
            channel.sync(timeout=3)
            return channel
        except NoAnswer:
            continue
        except OSError:
            channel = None
            time.sleep(0.1)
    if channel is not None:
        channel.close()
    raise NoAnswer(f"{path}: no agent answered within {timeout} s")


def ask_console(path: Union[str, Path], command: str, timeout: float = 15) -> str:
    """What the root shell on a guest's serial console says: the way in when no agent is up."""
    said = b""
    with socket.socket(socket.AF_UNIX) as console:
        console.settimeout(1)
        end = time.monotonic() + timeout
        try:
            console.connect(str(path))
            console.sendall(f"\n{command}; echo 'the'' end'\n".encode())
            while b"the end" not in said and time.monotonic() < end:
                try:
                    said += console.recv(1 << 16)
                except socket.timeout:
                    continue
        except OSError as error:
            return f"{path}: {error}"
    return said.decode(errors="replace")


class Qmp(Channel):
    """QEMU's own monitor."""

    def __init__(self, path: Union[str, Path]) -> None:
        super().__init__(path)
        self.line()  # the greeting
        self.call("qmp_capabilities")

    def event(self, name: str, timeout: float = 30, **data: object) -> dict[str, object]:
        """The next event `name` whose data holds `data`; earlier ones are dropped."""
        end = time.monotonic() + timeout
        while True:
            while self.events:
                event = self.events.pop(0)
                found = event.get("data", {})
                assert isinstance(found, dict)
                if event.get("event") == name and data.items() <= found.items():
                    return event
            self.events.append(json.loads(self.line(max(0.001, end - time.monotonic()))))
