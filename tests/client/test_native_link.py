"""The host's library over guestwire's own protocol: the real agent, and guests that misbehave."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

import agents
from guestwire.client import Guest, connect
from guestwire.client.address import parse
from guestwire.client.contact import establish
from guestwire.client.errors import (
    AgentNotRunning,
    AgentTooOld,
    BadAnswer,
    ChannelLost,
    ClientError,
    EchoingTty,
    GuestCommandFailed,
    GuestFrozen,
    NoAnswer,
)
from guestwire.client.steps import ask
from guestwire.wire.native import GUEST, Connection
from guestwire.wire.native import events as told
from guestwire.wire.native.events import Data, Ended


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with agents.Agent(tmp_path_factory.mktemp("agent"), agents.native, ("--root", "/")) as running:
        yield running


@pytest.fixture
def link(agent):
    link = establish(parse(f"native+unix:{agent.socket}"), 5)
    yield link
    link.close()


def run(link, *argv, **arguments):
    return link.open("exec", {"argv": list(argv), **arguments})


def test_an_agent_answers_any_command(link):
    assert link.ask(ask("guest-ping")) == {}
    assert link.ask(ask("guest-sync", {"id": 7})) == 7


def test_the_library_works_over_it_as_over_the_other(agent, tmp_path):
    with connect(f"native+unix:{agent.socket}") as guest:
        assert guest.call("guest-get-host-name") == {"host-name": os.uname().nodename}
        assert guest.info().version[0].isdigit()
        assert guest.exec(["sh", "-c", "cat; exit 7"], input=b"\x00x").code == 7
        with guest.open(str(tmp_path / "file"), "w+") as file:
            data = os.urandom(3 << 20)
            file.write(data)
            file.seek(0)
            assert file.read() == data


def test_refusals_are_told_by_their_cause(link):
    with pytest.raises(AgentTooOld, match="bogus"):
        link.ask(ask("bogus"))
    with pytest.raises(GuestCommandFailed, match="id"):
        link.ask(ask("guest-sync", {"id": "x"}))
    with pytest.raises(GuestCommandFailed, match="/nowhere") as caught:
        run(link, "/nowhere")
    assert caught.value.error_class == "invalid-argument"
    assert link.ask(ask("guest-ping")) == {}


def test_a_program_gets_what_is_written_and_says_how_it_ended(link):
    data = os.urandom(50 << 20)
    with run(link, "sh", "-c", "cat; echo done >&2; exit 7") as stream:
        assert stream.value["pid"] > 0

        def feed():
            stream.write(data)
            stream.end()

        writer = threading.Thread(target=feed)
        writer.start()
        out, err, ended = bytearray(), bytearray(), set()
        for said in stream:
            if isinstance(said, Data):
                (err if said.channel else out).extend(said.data)
            elif isinstance(said, Ended):
                ended.add(said.channel)
        writer.join()
        assert stream.result == {"exit": 7}
    assert out == data
    assert err == b"done\n"
    assert ended == {0, 1}


def test_a_stream_that_nobody_reads_does_not_hold_up_the_others(link):
    with run(link, "cat", "/dev/zero"), run(link, "cat", "/dev/zero"):
        time.sleep(0.3)
        for _ in range(20):
            assert link.ask(ask("guest-ping")) == {}
        with run(link, "echo", "hello") as quick:
            assert [said.data for said in quick if isinstance(said, Data)] == [b"hello\n"]


def test_streams_that_are_closed_unread_give_their_credit_back(link):
    for _ in range(12):  # of 256 KiB; a session has 1 MiB
        with run(link, "head", "-c", "200000", "/dev/zero") as stream:
            time.sleep(0.05)
            stream.read()
    with run(link, "head", "-c", "900000", "/dev/zero") as stream:
        assert sum(len(said.data) for said in stream if isinstance(said, Data)) == 900_000


def test_many_threads_share_a_link(link):
    wrong = []

    def work(number):
        for _ in range(20):
            if link.ask(ask("guest-sync", {"id": number})) != number:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(one,)) for one in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong


def test_a_stream_that_is_closed_ends_the_program(link):
    with run(link, "sleep", "600") as stream:
        pid = stream.value["pid"]
    give_up = time.monotonic() + 5
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    with pytest.raises(GuestCommandFailed, match="the host is done"):
        stream.write(b"x")


def test_a_ping_is_quick_behind_a_stream_at_full_speed(link):
    with run(link, "cat", "/dev/zero") as stream:
        threading.Thread(target=lambda: [None for _ in _until_lost(stream)], daemon=True).start()
        trips = sorted(link.ping() for _ in range(50))
        assert trips[25] < 0.1


def _until_lost(stream):
    try:
        yield from stream
    except ClientError:
        return


def test_a_killed_agent_is_told_at_once_to_everybody_who_waits(tmp_path):
    with agents.Agent(tmp_path, agents.native) as agent:
        link = establish(parse(f"native+unix:{agent.socket}"), 5)
        stream = run(link, "sleep", "30")
        threading.Timer(0.2, agent.kill).start()
        with pytest.raises(ChannelLost):
            stream.read()
        for action in (lambda: stream.write(b"x"), lambda: link.ask(ask("guest-ping")), link.ping):
            with pytest.raises(ChannelLost):
                action()
        link.close()


def test_nothing_is_left_behind_by_links(agent):
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        link = establish(parse(f"native+unix:{agent.socket}"), 5)
        link.ask(ask("guest-ping"))
        link.close()
        link.close()
    assert threading.active_count() <= threads  # other tests' threads may have ended
    assert len(os.listdir("/proc/self/fd")) <= descriptors


# Guests that misbehave


class Fake:
    """A guest's end of the protocol whose behaviour is a function(connection, event)."""

    def __init__(self, path, behave, prologue=b""):
        self.path = path
        self._behave = behave
        self._prologue = prologue
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        sock, _ = self._listener.accept()
        connection = Connection(GUEST, os.urandom)
        connection.start(time.monotonic())
        try:
            sock.sendall(self._prologue)
            while data := sock.recv(65536):
                connection.receive(data, time.monotonic())
                while event := connection.next_event():
                    self._behave(connection, event, sock)
                while frame := connection.next_frame():
                    sock.sendall(frame)
        except OSError:
            return


@pytest.fixture
def misbehaving(tmp_path):
    links = []

    def make(behave, **options):
        fake = Fake(tmp_path / "fake.sock", behave, **options)
        links.append(establish(parse(f"native+unix:{fake.path}"), 2))
        return links[-1]

    yield make
    for one in links:
        one.close()


def test_bytes_from_before_do_not_matter(misbehaving):
    def behave(connection, event, sock):
        if isinstance(event, told.Opened):
            connection.accept(event.stream, {})

    link = misbehaving(behave, prologue=os.urandom(100_000))
    assert link.ask(ask("guest-ping")) == {}


def test_a_guest_that_floods_with_control_bodies_is_left(misbehaving):
    def behave(connection, event, sock):
        if isinstance(event, told.Opened):
            connection.accept(event.stream, {}, end=False)
            for _ in range(2000):
                connection.control(event.stream, {"x": 1})

    def read(link):
        stream = link.open("exec", {"argv": ["x"]})
        time.sleep(0.3)
        for _ in stream:
            pass

    link = misbehaving(behave)
    with pytest.raises(BadAnswer, match="too many control bodies"):
        read(link)


def test_a_guest_that_sends_single_bytes_costs_no_memory(misbehaving):
    def behave(connection, event, sock):
        if isinstance(event, told.Opened):
            connection.accept(event.stream, {}, end=False)
            for _ in range(20_000):
                connection.send_data(event.stream, b"x")
                sock.sendall(connection.next_frame())
            connection.close(event.stream, None)

    link = misbehaving(behave)
    stream = link.open("exec", {"argv": ["x"]})
    time.sleep(1)
    assert len(stream._incoming) < 100
    assert sum(len(said.data) for said in stream) == 20_000


def test_a_command_that_takes_too_long_is_given_up_and_the_link_goes_on(misbehaving):
    seen = []

    def behave(connection, event, sock):
        seen.append(type(event))
        if isinstance(event, told.Opened) and event.command != "slow":
            connection.accept(event.stream, {})

    link = misbehaving(behave)
    with pytest.raises(NoAnswer, match=r"slow was not answered within 0\.2 s"):
        link.ask(ask("slow", {}, 0.2))
    assert link.ask(ask("guest-ping")) == {}
    assert told.Cancelled in seen


def test_a_program_in_a_frozen_guest_is_refused_with_the_reason(tmp_path):
    def behave(connection, event, sock):
        if isinstance(event, told.Opened) and event.command == "guest-fsfreeze-status":
            connection.accept(event.stream, "frozen")
        elif isinstance(event, told.Opened):
            connection.reject(event.stream, "not-permitted", "not now")

    fake = Fake(tmp_path / "fake.sock", behave)
    with Guest(parse(f"native+unix:{fake.path}")) as guest, pytest.raises(GuestFrozen):
        guest.exec(["true"])


def test_a_guest_that_breaks_the_protocol_is_left(misbehaving):
    def behave(connection, event, sock):
        if isinstance(event, told.Opened):
            connection.accept(event.stream, {})
            frame = bytearray(connection.next_frame())
            frame[-1] ^= 1
            sock.sendall(frame + bytes(100))
            connection.ping(time.monotonic())

    link = misbehaving(behave)
    with pytest.raises((ChannelLost, BadAnswer)):
        link.ask(ask("guest-ping"))


def test_a_restarted_agent_ends_the_session(misbehaving):
    def behave(connection, event, sock):
        if isinstance(event, told.Opened):
            connection.start(time.monotonic())

    link = misbehaving(behave)
    with pytest.raises(ChannelLost, match="the agent has started"):
        link.ask(ask("guest-ping"))


def listener(path, serve):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    threading.Thread(target=lambda: serve(listening.accept()[0]), daemon=True).start()
    return listening


def test_a_terminal_that_echoes_is_told_from_an_agent(tmp_path):
    def echo(sock):
        while data := sock.recv(65536):
            sock.sendall(data)

    with listener(tmp_path / "echo.sock", echo), pytest.raises(EchoingTty):
        establish(parse(f"native+unix:{tmp_path}/echo.sock"), 2)


def test_a_guest_that_says_nothing_is_given_up(tmp_path):
    def silent(sock):
        while sock.recv(65536):
            pass

    with listener(tmp_path / "silent.sock", silent), pytest.raises(AgentNotRunning):
        establish(parse(f"native+unix:{tmp_path}/silent.sock"), 1)
