"""Guests that lie, stall, flood and echo: a function at the other end of a unix socket."""

from __future__ import annotations

import contextlib
import json
import socket
import threading


class FakeGuest:
    """Listens on `path`; each host that connects is served by `behaviour(guest, connection)`."""

    def __init__(self, path, behaviour):
        self.path = path
        self.requests = []
        self._behaviour = behaviour
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(30)
            with contextlib.suppress(OSError), connection:
                self._behaviour(self, connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()


def requests(connection):
    """Requests as objects, one after the other, until the host leaves."""
    with connection.makefile("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):  # the host left in the middle
                return
            yield json.loads(line.lstrip(b"\xff"))


def reply(connection, request, value, **members):
    mark = b"\xff" if request["execute"] == "guest-sync-delimited" else b""
    body = {"return": value, **members}
    if "id" in request:
        body.setdefault("id", request["id"])
    connection.sendall(mark + json.dumps(body).encode() + b"\n")


def answering(answers):
    """An agent with an answer for each command; a function is called with the request.

    What is no value but bytes is sent as it is.
    """

    def behave(guest, connection):
        for request in requests(connection):
            guest.requests.append(request)
            if request["execute"] == "guest-sync-delimited":
                reply(connection, request, request["arguments"]["id"])
                continue
            answer = answers.get(request["execute"], {})
            if callable(answer):
                answer = answer(request)
            if isinstance(answer, bytes):
                connection.sendall(answer)
            else:
                reply(connection, request, answer)

    return behave
