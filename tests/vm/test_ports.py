"""Ports beside each other, ports that are pulled out and plugged in again, and no port at all."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from vm import inside
from vm.channel import Channel
from vm.guest import AGENT, SPARE

pytestmark = pytest.mark.parametrize("image", ["bookworm"], indirect=True)

PING = b'{"execute":"guest-ping"}\n'
PONG = b'{"return": {}}'
CONFIG = "/etc/guestwire/agent.conf"
TWO_PORTS = f"""
[agent]
plugins = vm.example
channels = virtio-serial:{AGENT}, virtio-serial:{SPARE}
"""

# A command that takes its time, as a freeze with hooks does.
PLUGIN = """
import time
from guestwire.dispatch.command import Command

def wait(context, seconds: float):
    time.sleep(seconds)
    return seconds

COMMANDS = (Command("example.wait", "vm.example:wait", long=True),)
"""


@pytest.fixture
def agent(guest):
    if guest.agent != "guestwire":
        pytest.skip("what these tests ask for is better than qemu-ga")
    return inside.serving(guest)


@pytest.fixture
def by_hand(guest, agent):
    """An agent without systemd, on the port SPARE, which no udev rule knows."""
    with inside.started(guest, "run", "--channel", f"virtio-serial:{SPARE}") as process:
        guest.open(SPARE, timeout=30).close()
        yield process


@pytest.fixture
def plugin(guest):
    """The agent serves two ports, and has a command that is slow."""
    site = inside.shell(guest, "python3 -c 'import site; print(site.getsitepackages()[0])'")
    inside.shell(guest, f"mkdir -p {site}/vm /etc/guestwire")
    inside.shell(guest, f"cat > {site}/vm/example.py <<'END'\n{PLUGIN}\nEND")
    inside.shell(guest, f"cat > {CONFIG} <<'END'\n{TWO_PORTS}\nEND")
    inside.shell(guest, f"systemctl restart {inside.UNIT}")
    yield
    inside.shell(guest, f"rm -r {CONFIG} {site}/vm; systemctl restart {inside.UNIT}")


def ping(guest, port, timeout=30):
    """Ask on a connection of its own, as soon as there is somebody to answer."""
    guest.open(port, timeout).close()
    with Channel(guest.port(port), timeout) as host:
        assert host.call("guest-ping") == {}


def test_nothing_is_done_while_nothing_happens(guest, agent, by_hand):
    """One agent has a host that says nothing, the other has none."""
    with Channel(guest.port(AGENT)) as host:
        assert host.call("guest-ping") == {}
        time.sleep(1)
        before = agent.sleeps(), by_hand.sleeps()
        time.sleep(20)
        assert (agent.sleeps(), by_hand.sleeps()) == before
        assert min(map(len, before)) >= 2  # threads: the main one, and one a channel


def test_a_long_command_on_one_port_does_not_delay_the_other(guest, agent, plugin):
    with guest.open(AGENT) as busy, guest.open(SPARE) as other:
        begin = time.monotonic()
        busy.send(b'{"execute":"example.wait","arguments":{"seconds":3}}\n')
        for _ in range(50):
            assert other.call("guest-ping") == {}
        assert time.monotonic() - begin < 2
        assert busy.line() == b'{"return": 3}'
        assert time.monotonic() - begin >= 3


def test_two_hosts_at_once_get_their_own_answers(guest, agent, plugin):
    wrong = []

    def talk(port, start):
        with guest.open(port) as host:
            for number in range(start, start + 500):
                answer = host.call("guest-sync", {"id": number})
                if answer != number:
                    wrong.append((answer, number))

    threads = [threading.Thread(target=talk, args=one) for one in ((AGENT, 0), (SPARE, 10**6))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("connected", [True, False], ids=["host-connected", "no-host"])
def test_a_port_that_is_plugged_in_again_is_found_by_the_same_agent(guest, by_hand, connected):
    for _ in range(3):
        host = Channel(guest.port(SPARE)) if connected else None
        guest.unplug(SPARE)
        if host is not None:
            host.close()
        time.sleep(0.5)
        guest.plug(SPARE)
        ping(guest, SPARE)
    assert by_hand.alive()
    time.sleep(0.5)
    before = by_hand.sleeps()
    time.sleep(2)
    assert by_hand.sleeps() == before


def test_a_port_is_found_though_udev_has_not_named_it_yet(guest, by_hand):
    guest.unplug(SPARE)
    inside.shell(guest, "udevadm settle; udevadm control --stop-exec-queue")
    try:
        guest.plug(SPARE)
        ping(guest, SPARE)
        assert guest.side.run(f"test -e /dev/virtio-ports/{SPARE}").exitcode == 1
    finally:
        inside.shell(guest, "udevadm control --start-exec-queue; udevadm settle")
    ping(guest, SPARE)


def test_systemd_ends_the_agent_with_its_port_and_starts_it_with_it(guest, agent):
    for connected in (False, True):
        before = inside.serving(guest)
        host = Channel(guest.port(AGENT)) if connected else None
        guest.unplug(AGENT)
        if host is not None:
            host.close()
        inside.until(lambda: state(guest) == "inactive")
        assert not before.alive()
        guest.plug(AGENT)
        ping(guest, AGENT)
        assert inside.serving(guest).pid != before.pid


def state(guest):
    return guest.side.run(f"systemctl is-active {inside.UNIT}").out.strip()


def test_a_whole_bus_is_unplugged_and_plugged_in_again(guest, agent):
    name = "org.guestwire.bus.1"
    with inside.started(guest, "run", "--channel", f"virtio-serial:{name}") as process:
        for _ in range(2):
            with second_bus(guest, name):
                ping(guest, name)
                with Channel(guest.port(name)) as host:
                    assert host.call("guest-ping") == {}
        assert process.alive()


@contextlib.contextmanager
def second_bus(guest, name):
    guest.qmp.call("device_add", {"driver": "virtio-serial-pci", "id": "bus1"})
    path = {"type": "unix", "data": {"path": str(guest.port(name))}}
    backend = {"type": "socket", "data": {"addr": path, "server": True, "wait": False}}
    guest.qmp.call("chardev-add", {"id": "c-bus1", "backend": backend})
    port = {"driver": "virtserialport", "bus": "bus1.0", "name": name, "chardev": "c-bus1"}
    guest.qmp.call("device_add", port)
    try:
        yield
    finally:
        guest.qmp.call("device_del", {"id": "bus1"})
        guest.qmp.event("DEVICE_DELETED", device="bus1")
        guest.qmp.call("chardev-remove", {"id": "c-bus1"})
