"""Every kind of port that can be had without a virtual machine, with real descriptors."""

from __future__ import annotations

import os
import pty as ptys
import resource
import select
import socket
import threading
import time

import pytest

from guestwire import transports
from guestwire.errors import HostAway, PortAbsent, Stopped, TransportError
from guestwire.system.root import Root
from guestwire.transports import hotplug
from guestwire.transports.fd import FdTransport
from guestwire.transports.memory import pair

LIVE = Root("/")


@pytest.fixture
def opened():
    """Collects transports, and closes them."""
    kept = []
    yield lambda transport: kept.append(transport) or transport
    for transport in kept:
        transport.close()


@pytest.fixture
def listener(tmp_path, opened):
    return opened(transports.open(LIVE, f"unix:{tmp_path}/agent.sock"))


def connect(tmp_path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(str(tmp_path / "agent.sock"))
    return client


def test_an_unknown_kind_names_those_that_exist():
    with pytest.raises(TransportError, match=r"'bogus'; there are virtio-serial, isa-serial"):
        transports.open(LIVE, "bogus:x")


def test_a_file_in_place_of_the_socket_is_named_and_kept(tmp_path):
    (tmp_path / "agent.sock").write_text("mine")
    with pytest.raises(TransportError, match=r"agent\.sock: there is something else of this name"):
        transports.open(LIVE, f"unix:{tmp_path}/agent.sock")
    assert (tmp_path / "agent.sock").read_text() == "mine"


def test_last_words_and_the_end_that_come_in_one_piece_of_news_are_both_heard():
    agent, host = pair()
    host.send(b"one")
    assert agent.recv() == b"one"
    host.send(b"two")
    host.close()
    assert agent.recv() == b"two"
    guard = threading.Timer(5, agent.stop)
    guard.start()
    with pytest.raises(HostAway):
        agent.recv()
    guard.cancel()
    agent.close()


def test_what_one_end_sends_the_other_receives():
    agent, host = pair()
    agent.send(b"hello")
    assert host.recv() == b"hello"
    host.send(b"x" * 1000)
    assert agent.recv() == b"x" * 1000
    agent.close()
    with pytest.raises(HostAway):
        host.recv()
    host.close()


def test_more_than_the_buffer_holds_is_sent_while_the_host_reads_slowly():
    agent, host = pair()
    data = os.urandom(5 << 20)
    sender = threading.Thread(target=agent.send, args=(data,))
    sender.start()
    got = bytearray()
    while len(got) < len(data):
        got += host.recv()
    sender.join()
    assert bytes(got) == data
    agent.close()
    host.close()


def test_a_host_that_does_not_read_costs_no_cpu_time_and_stop_gets_us_out():
    agent, host = pair()
    raised = []

    def send():
        try:
            agent.send(b"x" * (10 << 20))
        except Stopped as error:
            raised.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(0.1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(0.5)
    after = resource.getrusage(resource.RUSAGE_SELF)
    agent.stop()
    sender.join(5)
    assert raised
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.2
    agent.close()
    host.close()


def test_a_host_that_leaves_while_we_send_is_away():
    agent, host = pair()
    raised = []

    def send():
        try:
            agent.send(b"x" * (10 << 20))
        except TransportError as error:
            raised.append(type(error))

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(0.05)
    host.close()
    sender.join(5)
    assert raised == [HostAway]
    agent.close()


def test_stop_wakes_a_reader_that_waits():
    agent, host = pair()
    raised = []

    def receive():
        try:
            agent.recv()
        except Stopped as error:
            raised.append(error)

    reader = threading.Thread(target=receive)
    reader.start()
    time.sleep(0.05)
    agent.stop()
    reader.join(5)
    assert raised
    agent.close()
    host.close()


def test_a_listener_serves_one_host_after_another(listener, tmp_path):
    for number in range(3):
        with connect(tmp_path) as client:
            client.sendall(b"%d" % number)
            assert listener.recv() == b"%d" % number
            listener.send(b"ok")
            assert client.recv(10) == b"ok"
        assert listener.recv() == b""


def test_a_second_host_waits_until_the_first_has_left(listener, tmp_path):
    first, second = connect(tmp_path), connect(tmp_path)
    first.sendall(b"first")
    second.sendall(b"second")
    assert listener.recv() == b"first"
    first.close()
    assert listener.recv() == b""
    assert listener.recv() == b"second"
    second.close()


def test_a_host_that_resets_the_connection_has_left(listener, tmp_path):
    client = connect(tmp_path)
    client.sendall(b"x")
    assert listener.recv() == b"x"
    listener.send(b"unread")
    client.close()  # with bytes unread: the kernel resets the connection
    assert listener.recv() == b""
    with pytest.raises(HostAway):
        listener.send(b"late")


def test_only_root_may_connect_to_the_socket_that_we_make(listener, tmp_path):
    assert os.stat(tmp_path / "agent.sock").st_mode & 0o777 == 0o600


def test_a_socket_that_a_dead_agent_left_behind_is_replaced(tmp_path, opened):
    path = tmp_path / "agent.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    opened(transports.open(LIVE, f"unix:{path}"))
    connect(tmp_path).close()


def test_a_socket_that_somebody_listens_on_is_left_alone(listener, tmp_path):
    with pytest.raises(TransportError, match=r"agent\.sock: another program listens there"):
        transports.open(LIVE, f"unix:{tmp_path}/agent.sock")
    connect(tmp_path).close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    (tmp_path / "precious").write_text("keep")
    with pytest.raises(TransportError, match="precious"):
        transports.open(LIVE, f"unix:{tmp_path}/precious")
    assert (tmp_path / "precious").read_text() == "keep"


def test_a_closed_listener_leaves_no_socket_file(tmp_path):
    transports.open(LIVE, f"unix:{tmp_path}/agent.sock").close()
    assert not (tmp_path / "agent.sock").exists()


def test_the_agent_connects_to_a_socket_of_the_host(tmp_path, opened):
    host = socket.socket(socket.AF_UNIX)
    host.bind(str(tmp_path / "host.sock"))
    host.listen()
    agent = opened(transports.open(LIVE, f"unix-connect:{tmp_path}/host.sock"))
    connection, _ = host.accept()
    connection.sendall(b"hello")
    assert agent.recv() == b"hello"
    connection.close()
    host.close()


def test_a_pty_is_raw_so_that_nothing_is_echoed_or_translated(opened):
    master, slave = ptys.openpty()
    agent = opened(transports.open(LIVE, f"pty:{os.ttyname(slave)}"))
    os.write(master, b"\xff\x03\x04a\r\n")
    assert agent.recv() == b"\xff\x03\x04a\r\n"
    agent.send(b"b\n")
    assert os.read(master, 100) == b"b\n"
    os.close(slave)
    os.close(master)


def test_a_serial_line_is_opened_raw_by_pyserial_and_for_us_alone(opened):
    master, slave = ptys.openpty()
    address = f"isa-serial:{os.ttyname(slave)},115200"
    agent = opened(transports.open(LIVE, address))
    os.write(master, b"\x03\xffx\r\n")
    assert agent.recv() == b"\x03\xffx\r\n"
    with pytest.raises(TransportError, match="isa-serial"):
        transports.open(LIVE, address)
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize(
    "address", ["pty:/dev/null", "pty:/nowhere", "isa-serial:/nowhere", "virtio-serial:/dev/null"]
)
def test_what_is_no_port_is_refused_by_name(address):
    with pytest.raises(TransportError, match=address.partition(":")[2]):
        transports.open(LIVE, address)


@pytest.mark.parametrize("address", ["vsock:", "vsock:x", "vsock:1:2:3", "vsock:99999999999"])
def test_a_vsock_address_that_is_none_is_refused(address):
    with pytest.raises(TransportError, match="expected PORT or CID:PORT"):
        transports.open(LIVE, address)


@pytest.fixture
def ports(root, tmp_path):
    """A guest with two virtio-serial ports, and one that has no name."""
    for device, name in (("vport1p1", "org.qemu.guest_agent.0"), ("vport1p2", "org.example.0")):
        directory = tmp_path / "sys/class/virtio-ports" / device
        directory.mkdir(parents=True)
        (directory / "name").write_text(name + "\n")
    (tmp_path / "sys/class/virtio-ports/vport1p0").mkdir()
    return root


def test_virtio_serial_ports_are_found_in_sysfs(ports):
    assert dict(transports.kind("virtio-serial").discover(ports)) == {
        "org.qemu.guest_agent.0": "/dev/vport1p1",
        "org.example.0": "/dev/vport1p2",
    }


def test_a_port_that_is_missing_is_told_apart_and_the_others_are_named(ports):
    with pytest.raises(PortAbsent, match=r"'bogus'; there is org.qemu.guest_agent.0, org.example"):
        transports.open(ports, "virtio-serial:bogus")


def test_udev_s_path_stands_for_the_name_where_udev_made_no_link(ports, tmp_path, opened):
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/vport1p1")
    opened(transports.open(ports, "virtio-serial:/dev/virtio-ports/org.qemu.guest_agent.0"))


def test_the_pump_leaves_no_descriptor_behind(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        for end in pair():
            end.close()
        transports.open(LIVE, f"unix:{tmp_path}/agent.sock").close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_children_do_not_inherit_a_port():
    agent, host = pair()
    inherited = [fd for fd in range(3, 64) if _is_open(fd) and os.get_inheritable(fd)]
    assert agent._fd not in inherited
    assert host._fd not in inherited
    agent.close()
    host.close()


def _is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_a_lasting_port_tells_once_that_the_host_left_and_then_sleeps(tmp_path):
    """A FIFO behaves as a virtio-serial port does: readable at its end while nobody writes."""
    path = tmp_path / "port"
    os.mkfifo(path)
    port = FdTransport(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "fifo", lasting=True)
    with open(path, "wb") as host:
        host.write(b"hello")
    assert port.recv() == b"hello"
    assert port.recv() == b""
    got = []
    reader = threading.Thread(target=lambda: got.append(port.recv()))
    reader.start()
    before = resource.getrusage(resource.RUSAGE_SELF)
    time.sleep(0.3)
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.1
    with open(path, "wb") as host:
        host.write(b"again")
    reader.join(5)
    assert got == [b"again"]
    port.close()


def test_a_device_that_changes_is_news_at_once_and_nothing_else_is():
    news = hotplug.open()
    assert news is not None, "the kernel multicasts no device events here"
    with news:
        assert not hotplug.is_about_ports(news)
        with open("/sys/class/tty/ptmx/uevent", "w") as device:
            device.write("change")  # the kernel tells everybody, as for a real change
        assert select.select([news], [], [], 5)[0]
        assert hotplug.is_about_ports(news)
