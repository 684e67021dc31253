"""An agent's host, as cheap as Python can be one: what is timed shall be the agent.

A request is made into bytes before the clock starts, an answer is received into one buffer up to
its newline, and JSON is parsed after the clock has stopped.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from pathlib import Path

NEWLINE = 0x0A
PATIENCE = 60  # seconds for an answer
ROOM = 68 << 20  # bytes; the largest answer is 48 MiB in base64


class AgentFailed(Exception):
    """An agent answered with an error, or not at all."""


def request(command: str, **arguments: object) -> bytes:
    """The line that asks for a command."""
    body: dict[str, object] = {"execute": command}
    if arguments:
        body["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
    return json.dumps(body).encode() + b"\n"


class Client:
    """One connection to an agent's socket."""

    def __init__(self, path: Path, room: int = ROOM) -> None:
        self._buffer = memoryview(bytearray(room))  # zeroed by the kernel, hence free until used
        self._size = 0
        self._socket = socket.socket(socket.AF_UNIX)
        # By the kernel: with a timeout of its own, Python polls before each call.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", PATIENCE, 0))
        self._socket.connect(str(path))

    def exchange(self, line: bytes) -> None:
        """Send a request and receive its answer; this is the part to be timed."""
        self._socket.sendall(line)
        self.receive()

    def receive(self) -> None:
        """Receive up to a newline; nothing may follow it."""
        buffer, size = self._buffer, self._socket.recv_into(self._buffer)
        while size and buffer[size - 1] != NEWLINE:
            count = self._socket.recv_into(buffer[size:])
            if not count:
                size = 0
            size += count
        if not size:
            raise AgentFailed("the agent hung up")
        self._size = size

    def receive_lines(self, count: int) -> None:
        """Receive that many short lines."""
        size = 0
        while count > 0:
            more = self._socket.recv_into(self._buffer[size:])
            if not more:
                raise AgentFailed("the agent hung up")
            count -= bytes(self._buffer[size : size + more]).count(b"\n")
            size += more
        self._size = size

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> bytes:
        """The bytes that were received last."""
        return bytes(self._buffer[: self._size])

    def value(self) -> object:
        """What the last answer returned."""
        answer = json.loads(self.answer().lstrip(b"\xff"))
        if "return" not in answer:
            raise AgentFailed(str(answer)[:200])
        return answer["return"]

    def ask(self, command: str, **arguments: object) -> object:
        """Request and answer in one, untimed."""
        self.exchange(request(command, **arguments))
        return self.value()

    def close(self) -> None:
        self._socket.close()


def connect(path: Path, patience: float = 30) -> Client:
    """A client of an agent that answers, as soon as it does."""
    end = time.monotonic() + patience
    while True:
        try:
            client = Client(path)
            client.ask("guest-ping")
            return client
        except (OSError, AgentFailed):
            if time.monotonic() > end:
                raise AgentFailed(f"{path}: no answer within {patience} s") from None
            time.sleep(0.01)
