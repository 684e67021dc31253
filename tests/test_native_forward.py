"""forward.connect with the real agent: a service of the guest, reached through the channel."""

from __future__ import annotations

import socket
import threading

import pytest

from agents import Agent, native
from guestwire.wire.native import events as told
from native_host import NativeHost


@pytest.fixture
def host(tmp_path):
    with Agent(tmp_path, command=native) as agent, agent.host() as host:
        yield NativeHost(host.connection)


@pytest.fixture
def echo():
    """A service that sends everything back, and says goodbye; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.sendall(b"goodbye")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.close()


def test_bytes_go_both_ways_and_half_closes_are_passed_on(host, echo):
    stream = host.start("forward.connect", address=f"tcp:127.0.0.1:{echo}")
    host.send(stream, b"x" * 1_000_000)
    host.connection.end(stream)
    counts = host.wait(told.Closed, stream).value
    assert counts == {"sent": 1_000_000, "received": 1_000_007}
    assert host.received(stream) == b"x" * 1_000_000 + b"goodbye"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("tcp:127.0.0.1:1", "failed"),
        ("unix:/nowhere", "failed"),
        ("tcp:127.0.0.1:99999", "failed"),
        ("carrier-pigeon:1", "invalid-argument"),
        ("tcp:1", "invalid-argument"),
        ("unix:relative", "invalid-argument"),
    ],
)
def test_what_cannot_be_reached_is_refused_by_name(host, address, code):
    stream = host.connection.open("forward.connect", {"address": address}, streaming=True)
    refused = host.wait(told.Rejected, stream)
    assert (refused.code, address in refused.text) == (code, True)


def test_a_host_that_gives_up_ends_the_connection(host):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        stream = host.start("forward.connect", address=f"tcp:127.0.0.1:{port}")
        connection, _ = listener.accept()
        host.connection.cancel(stream, "enough")
        host.flush()
        connection.settimeout(10)
        assert connection.recv(1) == b""
        connection.close()
