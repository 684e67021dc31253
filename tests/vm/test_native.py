"""Guestwire's own protocol on a real virtio-serial port: commands, programs, files at its speed."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from guestwire.client import connect
from guestwire.client.errors import ChannelLost
from guestwire.client.steps import ask
from guestwire.wire.native.events import Data
from vm import inside
from vm.guest import AGENT, NATIVE

pytestmark = pytest.mark.parametrize("image", ["bookworm"], indirect=True)

SIZE = 64 << 20
MEMORY = "/dev/shm"
BARE = "org.guestwire.bare.0"  # a port that dd has for itself


@pytest.fixture(autouse=True)
def _ours(guest):
    if guest.agent != "guestwire":
        pytest.skip("qemu-ga does not speak it")


@pytest.fixture
def agent(guest):
    return inside.serving(guest)


@pytest.fixture
def own(guest, agent):
    with connect(f"native+unix:{guest.port(NATIVE)}", timeout=60, wait=True) as own:
        yield own


@pytest.fixture
def link(own):
    return own._over_own_port()


def rate(seconds):
    return SIZE / 1e6 / seconds


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(os.urandom(SIZE))
    return path


def test_any_command_can_be_called(own):
    assert own.call("guest-get-host-name") == {"host-name": own.summary().hostname}
    assert own.info().commands["guest-ping"]


def test_it_is_found_beside_the_qemu_guest_agents_port(guest, agent):
    with connect(f"unix:{guest.port(AGENT)}") as both:
        assert both.has_streams()
        assert both.exec(["cat"], input=b"x" * 300_000).out == b"x" * 300_000
        assert both.call("guest-ping") == {}


def test_a_program_gets_its_input_and_its_exit_code_comes_back(own):
    data = os.urandom(5 << 20)
    result = own.exec(["sh", "-c", "cat; echo done >&2; exit 7"], input=data)
    assert (result.out == data, result.err, result.code) == (True, b"done\n", 7)


def test_a_program_on_a_terminal_has_a_size(own):
    with own.stream(["stty", "size"], terminal=(33, 77)) as stream:
        said = b"".join(one.data for one in stream if isinstance(one, Data))
    assert said == b"33 77\r\n"


def test_hosts_that_come_and_go_leave_nothing_behind(guest, agent):
    address = f"native+unix:{guest.port(NATIVE)}"
    for number in range(40):
        with connect(address, timeout=30) as own:
            if number % 2:
                own.stream(["cat", "/dev/zero"]).read()  # and left in the middle
    with connect(address, timeout=30) as own:
        inside.until(lambda: own.exec(["pgrep", "-fx", "cat /dev/zero"]).code == 1)


def test_an_agent_that_is_restarted_ends_the_session_and_the_next_one_works(guest, own):
    with own.stream(["sleep", "60"]) as stream:
        inside.shell(guest, f"systemctl restart {inside.UNIT}")
        begun = time.monotonic()
        with pytest.raises(ChannelLost):
            stream.read()
        assert time.monotonic() - begun < 10
    own.wait(30)
    own.close()
    with connect(f"native+unix:{guest.port(NATIVE)}", timeout=30, wait=True) as again:
        assert again.call("guest-ping") == {}


@pytest.fixture
def bare(guest):
    guest.plug(BARE)
    device = f"/dev/virtio-ports/{BARE}"
    inside.until(lambda: guest.side.run(f"test -e {device}").exitcode == 0)
    yield device
    guest.unplug(BARE)


def dd(guest, device, inward):
    """MB/s that dd moves on a port of its own, to or from a file in memory as we do."""
    ends = f"if={device} of={MEMORY}/dd" if inward else f"if={MEMORY}/native of={device}"
    line = f"dd {ends} bs=32k count={SIZE} iflag=fullblock,count_bytes 2>&1"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(guest.port(BARE)))
        running = threading.Thread(target=guest.side.run, args=(line, 120))
        begun = time.monotonic()
        running.start()
        if inward:
            connection.sendall(bytes(SIZE))
            running.join()
        else:
            left = SIZE
            while left:
                left -= len(connection.recv(min(left, 1 << 18)))
        seconds = time.monotonic() - begun
        running.join()
    return rate(seconds)


@pytest.mark.parametrize("inward", [True, False], ids=["into", "out of"])
def test_a_file_moves_at_the_ports_speed(guest, own, bare, data, tmp_path, inward):
    inside_, back = f"{MEMORY}/native", tmp_path / "back"
    before = inside.serving(guest).memory()
    own.copy_to(data, inside_)
    figures = []
    for _ in range(3):
        raw = dd(guest, bare, inward)
        begun = time.monotonic()
        own.copy_to(data, inside_) if inward else own.copy_from(inside_, back)
        figures.append((rate(time.monotonic() - begun), raw))
    grown = inside.serving(guest).memory() - before
    text = ", ".join(f"{ours:.0f} of {raw:.0f}" for ours, raw in figures)
    print(f"\n64 MiB {'into' if inward else 'out of'} the guest, MB/s of dd's: {text}; "
          f"the agent grew by {grown} KiB")  # fmt: skip
    assert inside.shell(guest, f"sha256sum < {inside_}").split()[0] == own.exec(
        ["sha256sum", inside_]
    ).out.decode().split()[0]  # fmt: skip
    if not inward:
        assert back.read_bytes() == data.read_bytes()
    assert max(ours for ours, _ in figures) > 2  # an order of magnitude, on a machine that emulates
    assert grown < 8 << 10


@pytest.mark.parametrize("inward", [True, False], ids=["into", "out of"])
def test_a_ping_is_quick_behind_a_copy(own, link, data, tmp_path, inward):
    own.copy_to(data, f"{MEMORY}/native")
    over = threading.Event()

    def copy():
        while not over.is_set():
            if inward:
                own.copy_to(data, f"{MEMORY}/native")
            else:
                own.copy_from(f"{MEMORY}/native", tmp_path / "back")
            copies.append(1)

    copying = threading.Thread(target=copy)
    copying.start()
    trips, answers, copies = [], [], []
    for _ in range(200):
        trips.append(link.ping())
        begun = time.monotonic()
        link.ask(ask("guest-ping"))
        answers.append(time.monotonic() - begun)
    over.set()
    copying.join()
    for name, times in (("ping", trips), ("guest-ping", answers)):
        times.sort()
        print(f"\n{name} beside a copy {'into' if inward else 'out of'} the guest: "
              f"p50 {times[100] * 1e3:.1f} ms, p99 {times[198] * 1e3:.1f} ms")  # fmt: skip
    assert copies
    assert trips[100] < 0.25


def test_a_copy_whose_client_left_goes_on(guest, data, agent):
    address = f"native+unix:{guest.port(NATIVE)}"
    guest.side.run("rm -f /dev/shm/on")

    class Left(Exception):
        pass

    def leave(size):
        if size > SIZE // 2:
            raise Left

    with connect(address, timeout=30) as own:
        with pytest.raises(Left):
            own.copy_to(data, "/dev/shm/on", progress=leave, resume=True)
    seen = []
    with connect(address, timeout=30) as own:
        inside.until(lambda: own.exec(["sh", "-c", "exec 9</dev/shm/.on.guestwire-part; "
                                       "flock -n 9"]).ok)  # fmt: skip
        own.copy_to(data, "/dev/shm/on", progress=seen.append, resume=True)
        assert seen[0] > SIZE // 2 - (2 << 20)
        own.copy_from("/dev/shm/on", data.with_name("back"))
    assert data.with_name("back").read_bytes() == data.read_bytes()
