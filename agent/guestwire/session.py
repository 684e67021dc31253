"""One transport, one dialect and the dispatcher, in one loop."""

from __future__ import annotations

import logging
from typing import Optional, Protocol

from .dispatch.dispatcher import Dispatcher
from .errors import HostAway, PeerError
from .transports import Transport
from .wire.events import Answer, Request

log = logging.getLogger(__name__)


class Dialect(Protocol):
    """What a dialect of `wire` offers to a session; it does no I/O."""

    def receive(self, data: bytes) -> None: ...

    def next_request(self) -> Optional[Request]:
        """The next whole request, or None until more is received; PeerError for what is none."""

    def send(self, answer: Answer) -> bytes: ...

    def refuse(self, error: PeerError) -> bytes: ...

    def reset(self) -> None: ...


def serve(transport: Transport, dialect: Dialect, dispatcher: Dispatcher) -> None:
    """Answer hosts, one after another, until the transport fails or is stopped.

    Whatever a host had begun to say when it left is forgotten, and answers it did not stay for
    are dropped: the next host must find a channel that is as new. Raises TransportError.
    """
    while True:
        data = transport.recv()
        if not data:
            dialect.reset()
            continue
        dialect.receive(data)
        del data
        try:
            _answer_all(transport, dialect, dispatcher)
        except HostAway as error:
            log.info("%s", error)
            dialect.reset()


def _answer_all(transport: Transport, dialect: Dialect, dispatcher: Dispatcher) -> None:
    while True:
        try:
            request = dialect.next_request()
        except PeerError as error:
            transport.send(dialect.refuse(error))
            continue
        if request is None:
            return
        reply = dialect.send(dispatcher.answer(request, transport.name))
        del request  # a large one need not wait in memory for the host to read the answer
        if reply:
            transport.send(reply)
