"""The agent's own coming and going, while a host holds the port: signals, restarts, a kill."""

from __future__ import annotations

import contextlib
import time

import pytest

from vm import inside
from vm.channel import Channel
from vm.guest import AGENT, SPARE

pytestmark = pytest.mark.parametrize("image", ["bookworm"], indirect=True)

PING = b'{"execute":"guest-ping"}\n'
PONG = b'{"return": {}}'


@pytest.fixture(autouse=True)
def _ours(guest):
    if guest.agent != "guestwire":
        pytest.skip("these tests start our agent by hand")


@pytest.fixture
def by_hand(guest):
    with inside.started(guest, "run", "--channel", f"virtio-serial:{SPARE}") as process:
        guest.open(SPARE, timeout=30).close()
        yield process


def no_host(guest):
    return contextlib.ExitStack()  # nothing to close


def idle_host(guest):
    host = Channel(guest.port(SPARE))
    assert host.call("guest-ping") == {}
    return host


def half_a_request(guest):
    host = idle_host(guest)
    host.send(b'{"execute":"guest-pi')
    return host


def a_program_runs(guest):
    host = idle_host(guest)
    program = {"path": "/bin/sleep", "arg": ["30"], "capture-output": True}
    host.call("guest-exec", program)
    return host


def a_host_that_does_not_read(guest):
    host = idle_host(guest)
    host.send(b'{"execute":"guest-info"}\n' * 2_000)
    time.sleep(2)
    return host


MOMENTS = [
    (no_host, "TERM"),
    (idle_host, "TERM"),
    (idle_host, "INT"),
    (half_a_request, "TERM"),
    (a_program_runs, "TERM"),
    (a_host_that_does_not_read, "TERM"),
]


@pytest.mark.parametrize(("moment", "number"), MOMENTS)
def test_a_signal_ends_it_with_0_within_a_second(guest, by_hand, moment, number):
    with contextlib.closing(moment(guest)):
        code, seconds = inside.ended(guest, number, by_hand)
    assert code == "0"
    assert seconds < 2  # a second, and as much again for a guest without KVM
    inside.shell(guest, "pkill -x sleep || true")


@pytest.mark.parametrize(
    "how",
    ["systemctl restart {}", "systemctl kill --signal=KILL --kill-who=main {}"],
    ids=["restart", "kill"],
)
def test_the_next_agent_answers_on_the_same_connection(guest, how):
    before = inside.serving(guest)
    with guest.open(AGENT) as host:
        host.send(b'{"execute":"guest-pi')
        inside.shell(guest, how.format(inside.UNIT))
        host.send(b'{"execute":"guest-sync", "arguments":{"id":7}}\n' + PING)
        assert host.line() == b'{"return": 7}'
        assert host.line() == PONG
    assert inside.serving(guest).pid != before.pid


KILL_EACH = f"""
    for _ in 1 2 3 4 5 6 7 8; do
        while pid=$(systemctl show --property=MainPID --value {inside.UNIT})
              [ "$pid" = 0 ] || [ "$pid" = "$last" ]
        do sleep 0.05; done
        kill -KILL $pid
        last=$pid
    done
"""


def test_an_agent_that_is_killed_again_and_again_comes_back_each_time(guest):
    """By default systemd leaves it at five starts in ten seconds."""
    inside.shell(guest, KILL_EACH)
    with guest.open(AGENT, timeout=30) as host:
        assert host.call("guest-ping") == {}


def test_what_a_program_did_outlives_the_agent_that_started_it(guest):
    with guest.open(AGENT) as host:
        script = "sleep 2; touch /tmp/outlived"
        host.call("guest-exec", {"path": "/bin/sh", "arg": ["-c", script]})
        inside.shell(guest, f"systemctl restart {inside.UNIT}")
        inside.until(lambda: guest.side.run("rm /tmp/outlived").exitcode == 0)
