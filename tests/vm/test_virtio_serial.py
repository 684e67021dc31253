"""Hosts that come, go and misbehave, on a real virtio-serial port.

What a socket cannot show: the port outlives its hosts, its end of file is no end, and bytes of
two hosts can lie in it back to back.
"""

from __future__ import annotations

import json
import random
import re
import socket
import statistics
import time

import pytest

from vm import inside
from vm.channel import Channel
from vm.guest import AGENT

pytestmark = pytest.mark.parametrize("image", ["bookworm"], indirect=True)

PING = b'{"execute":"guest-ping"}\n'
PONG = b'{"return": {}}'
EXEC = b'{"execute":"guest-exec","arguments":{"path":"/bin/true","arg":["a b","c"]}}\n'
PROXMOX = re.compile(rb".*\xff([^\n]+}\r?\n)([^\n]+}\r?\n)", re.DOTALL)


@pytest.fixture
def agent(guest):
    """The agent's process; what it serves is the port AGENT."""
    if guest.agent != "guestwire":
        pytest.skip("what these tests ask for is better than qemu-ga")
    return inside.serving(guest)


@pytest.fixture
def connect(guest, agent):
    """Connections to the agent's port, as many as are made; the last one is closed."""
    made = []

    def connect(timeout=30):
        made.append(Channel(guest.port(AGENT), timeout))
        return made[-1]

    yield connect
    for channel in made:
        channel.close()


def sync(number):
    """As libvirt writes it."""
    return b'{"execute":"guest-sync", "arguments":{"id":%d}}\n' % number


def delimited(number):
    return b'{"execute":"guest-sync-delimited","arguments":{"id":%d}}\n' % number


def first_line(connect, number):
    with connect(timeout=10) as host:
        host.send(sync(number))
        return host.line()


HALVES = [b'{"execute":"guest-pi', b"{", b"'", b'{"id":', b"nul", b"["]


@pytest.mark.parametrize("pause", [0.5, 0.05])
def test_what_a_host_had_begun_to_say_does_not_reach_the_next(connect, pause):
    for number, half in enumerate(HALVES):
        with connect() as first:
            first.send(PING)
            assert first.line() == PONG, number
            first.send(half)
            time.sleep(pause)
        time.sleep(pause)
        if number % 2:
            assert first_line(connect, number) == b'{"return": %d}' % number


def test_nor_does_it_when_the_next_comes_at_once_wherever_it_was_cut(connect):
    """The agent's side of the port sees no hang-up then: only bytes, back to back."""
    for cut in range(1, len(EXEC) - 1):
        with connect() as first:
            first.send(EXEC[:cut])
        assert first_line(connect, cut) == b'{"return": %d}' % cut


def test_0xff_ends_whatever_came_before_it(connect):
    chance = random.Random(3)
    for number in range(100):
        with connect() as first:
            first.send(bytes(chance.randrange(256) for _ in range(chance.randrange(40))))
        with connect() as host:
            host.send(b"\xff" + delimited(number) + PING)
            lines = [host.line()]
            while not lines[-1].endswith(b'\xff{"return": %d}' % number):
                lines.append(host.line())
            assert host.line() == PONG


def test_an_answer_that_nobody_stayed_for_is_not_taken_for_the_next_one(connect):
    for number in range(30):
        with connect() as first:
            first.send(PING * 20)
        with connect() as host:
            host.send(delimited(number) + PING)
            answer = b""
            while not PROXMOX.fullmatch(answer):
                answer += host.line() + b"\n"
            assert PROXMOX.fullmatch(answer).groups() == (
                b'{"return": %d}\n' % number,
                PONG + b"\n",
            )


def test_a_thousand_connections_in_proxmoxs_manner(connect, agent, capsys):
    """Each command has a connection of its own, and its answer is taken by a pattern."""
    took = []

    def ask(number, command):
        request = json.dumps({"execute": command, "arguments": {}}).encode() + b"\n"
        begin = time.monotonic()
        with connect(timeout=5) as host:
            host.send(delimited(number) + request)
            answer = host.line() + b"\n" + host.line() + b"\n"
            took.append(time.monotonic() - begin)
        found = PROXMOX.fullmatch(answer)
        assert found and found[1] == b'{"return": %d}\n' % number, answer
        return json.loads(found[2])["return"]

    commands = ("guest-ping", "guest-get-time", "guest-get-host-name")
    for number in range(60):  # whatever is imported at a first call is imported
        ask(number, commands[number % 3])
    before = agent.descriptors(), agent.memory()
    for number in range(60, 1060):
        ask(number, commands[number % 3])
    assert agent.descriptors() == before[0]
    assert agent.memory() - before[1] < 512
    cuts = statistics.quantiles(took, n=20)
    with capsys.disabled():
        print(f" p50 {cuts[9] * 1000:.1f} ms, p95 {cuts[18] * 1000:.1f} ms ", end="")
    assert cuts[18] < 0.1  # qemu-ga looks at its port ten times a second


@pytest.mark.parametrize(
    "count", [20_000, pytest.param(100_000, marks=pytest.mark.heavy)], ids="{:,}".format
)
def test_many_requests_leave_the_agent_as_it_was(connect, agent, count):
    def batches(count):
        with connect() as host:
            for _ in range(count // 200):
                host.send(PING * 100 + b'{"execute":"guest-info"}\n' + PING * 99)
                for _ in range(200):
                    assert host.line().startswith(b'{"return": ')

    batches(2_000)
    before = agent.descriptors(), agent.memory()
    batches(count)
    assert agent.descriptors() == before[0]
    assert agent.memory() - before[1] < 512


def test_garbage_is_refused_line_by_line_and_the_next_request_is_right(connect, agent):
    chance = random.Random(1)
    memory = agent.memory()
    with connect() as host:
        for number in range(100):
            junk = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 2000)))
            host.send(junk + b"\xff" + delimited(number))
            while (line := host.line()) != b'\xff{"return": %d}' % number:
                assert json.loads(line)["error"]["class"] in ("GenericError", "CommandNotFound")
    assert agent.memory() - memory < 2048


def test_a_token_of_64_mib_is_refused_and_its_memory_given_back(connect, agent):
    before = agent.memory()
    with connect(timeout=60) as host:
        host.send(b'{"execute":"')
        for _ in range(66):
            host.send(b"x" * (1 << 20))
        host.send(b"\n\xff" + delimited(5))
        lines = [host.line()]
        while not lines[-1].startswith(b"\xff"):
            lines.append(host.line())
        assert any(b"JSON token size limit exceeded" in line for line in lines)
        assert lines[-1].endswith(b'{"return": 5}')
        inside.until(lambda: agent.memory() < before + 4096)
        host.send(PING)
        assert host.line() == PONG


def test_a_host_that_does_not_read_costs_nothing_and_the_next_is_served(connect, agent):
    with connect(timeout=2) as rude:
        with pytest.raises(socket.timeout):
            rude.send(b'{"execute":"guest-info"}\n' * 50_000)
        before = agent.cpu_ticks()
        time.sleep(3)
        assert agent.cpu_ticks() - before <= 1
    time.sleep(0.5)
    assert first_line(connect, 3) == b'{"return": 3}'


def test_what_a_host_did_not_stay_for_is_not_run(guest, connect):
    """Requests lie in the port, while the agent waits for an answer to be read."""

    def touch(number):
        arguments = {"path": "/bin/touch", "arg": [f"/tmp/run/{number}"]}
        return json.dumps({"execute": "guest-exec", "arguments": arguments}).encode()

    inside.shell(guest, "rm -rf /tmp/run && mkdir /tmp/run")
    with connect() as rude:
        rude.send(b'{"execute":"guest-info"}\n' * 1_500)  # the port holds the half of the answers
        rude.send(b"".join(touch(number) for number in range(1_000)))
        time.sleep(2)
    time.sleep(1)
    assert inside.shell(guest, "ls /tmp/run | wc -l") == "0"
    assert first_line(connect, 4) == b'{"return": 4}'
