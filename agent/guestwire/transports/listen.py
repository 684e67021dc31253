"""A listening socket as a port: hosts come and go, one at a time, the next waits in the backlog."""

from __future__ import annotations

import select
import socket
from typing import Callable, Optional

from ..errors import HostAway, Stopped, TransportError
from .fd import FdTransport


class ListenTransport:
    """`welcome` says whether a peer's address may talk to us; others are hung up on at once."""

    def __init__(
        self,
        listener: socket.socket,
        name: str,
        welcome: Callable[[object], bool] = lambda peer: True,
        cleanup: Callable[[], None] = lambda: None,
    ) -> None:
        listener.setblocking(False)
        self.name = name
        self._listener = listener
        self._welcome = welcome
        self._cleanup = cleanup
        self._client: Optional[FdTransport] = None
        self._stopped = False
        self._stop_reader, self._stop_writer = socket.socketpair()

    def recv(self, *, gather: bool = False) -> bytes:
        client = self._client or self._accept()
        try:
            return client.recv(gather=gather)
        except Stopped:
            raise
        except TransportError:  # a reset is a way to leave, too
            self._hang_up()
            return b""

    def send(self, data: bytes) -> None:
        if self._client is None:
            raise HostAway(f"{self.name}: nobody is connected")
        try:
            self._client.send(data)
        except Stopped:
            raise
        except TransportError as error:
            raise HostAway(str(error)) from error

    def stop(self) -> None:
        self._stopped = True
        client = self._client
        if client is not None:
            client.stop()
        self._stop_writer.send(b"x")

    def close(self) -> None:
        self._hang_up()
        for end in (self._listener, self._stop_reader, self._stop_writer):
            end.close()
        self._cleanup()

    def _accept(self) -> FdTransport:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._stop_reader, select.POLLIN)
        while True:
            poll.poll()
            if self._stopped:
                raise Stopped(self.name)
            try:
                connection, peer = self._listener.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                raise TransportError(f"{self.name}: {error.strerror}") from error
            if self._welcome(peer):
                self._client = FdTransport(connection.detach(), self.name, whole_reads=True)
                if self._stopped:  # stop() came in between, and saw no client to stop
                    raise Stopped(self.name)
                return self._client
            connection.close()

    def _hang_up(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            client.close()
