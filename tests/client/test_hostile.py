"""Guests that want to harm their host, or are just broken, at the other end of a real socket."""

from __future__ import annotations

import base64
import json
import os
import re
import resource
import socket
import threading
import time

import pytest

from fake_guest import FakeGuest, answering, reply, requests
from guestwire.client import connect
from guestwire.client.errors import (
    AgentNotRunning,
    BadAnswer,
    ChannelBusy,
    ChannelLost,
    EchoingTty,
    GuestCommandFailed,
    GuestFrozen,
    NoAnswer,
    NotThawed,
    ThawedEarly,
)


@pytest.fixture
def fake(tmp_path):
    """Make a guest that behaves so, and a connection to it."""
    opened = []

    def make(behaviour, **options):
        guest = FakeGuest(tmp_path / "agent.sock", behaviour)
        opened.append(guest)
        connected = connect(f"unix:{guest.path}", **options)
        opened.append(connected)
        return guest, connected

    yield make
    for one in reversed(opened):
        one.__exit__(None, None, None)


def silent(guest, connection):
    while connection.recv(65536):
        pass


def test_a_guest_that_says_nothing_is_given_up_when_the_time_is_over(fake):
    begun = time.monotonic()
    with pytest.raises(AgentNotRunning, match="no agent answered; start it in the guest"):
        fake(silent, timeout=0.7)
    assert time.monotonic() - begun < 2


def test_a_terminal_is_told_from_an_agent(fake):
    def echo(guest, connection):
        while data := connection.recv(65536):
            connection.sendall(data.replace(b"\n", b"\r\n"))

    with pytest.raises(EchoingTty, match="getty"):
        fake(echo)


def test_a_flood_is_given_up_in_time_and_takes_no_memory(fake):
    def flood(guest, connection):
        while True:
            connection.sendall(b"A" * (1 << 20))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    with pytest.raises((BadAnswer, AgentNotRunning)):
        fake(flood, timeout=3)
    assert time.monotonic() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_an_answer_without_end_is_cut_off(fake):
    def endless(request):
        return b'{"return": "' + b"A" * (100 << 20)

    _, guest = fake(answering({"guest-get-host-name": endless}))
    with pytest.raises(BadAnswer, match="longer than 8388608 bytes"):
        guest.call("guest-get-host-name")


def test_after_a_lie_the_next_question_is_asked_anew(fake):
    answers = {"guest-info": b"no json\n"}
    _, guest = fake(answering(answers))
    with pytest.raises(BadAnswer, match="not JSON"):
        guest.info()
    answers["guest-info"] = {"version": "1", "supported_commands": []}
    assert guest.info().version == "1"


def test_a_command_that_is_not_answered_names_itself_and_the_time(fake):
    _, guest = fake(answering({"guest-x": b""}))
    with pytest.raises(NoAnswer, match=r"guest-x was not answered within 0.2 s; it may still"):
        guest.ask("guest-x", timeout=0.2)
    guest.ping()


def test_a_late_answer_is_not_taken_for_the_next_one(fake):
    def late(guest, connection):
        held = []
        for request in requests(connection):
            if request["execute"] == "guest-sync-delimited":
                reply(connection, request, request["arguments"]["id"])
            elif request["execute"] == "guest-slow":
                held.append(request)
            else:
                for one in held:
                    reply(connection, one, "slow")
                reply(connection, request, "quick")

    _, guest = fake(late)
    with pytest.raises(NoAnswer):
        guest.ask("guest-slow", timeout=0.1)
    assert guest.ask("guest-quick") == "quick"


def test_a_guest_that_does_not_read_stops_nobody_for_ever(fake):
    def deaf(guest, connection):
        for request in requests(connection):
            reply(connection, request, request.get("arguments", {}).get("id"))
            if request["execute"] == "guest-ping":
                threading.Event().wait(5)

    _, guest = fake(deaf)
    with pytest.raises(NoAnswer, match="does not read"):
        guest.ask("guest-x", {"data": "A" * (8 << 20)}, timeout=0.3)


def test_a_guest_that_hangs_up_is_lost(fake):
    def hang_up(guest, connection):
        for request in requests(connection):
            if request["execute"] not in ("guest-sync-delimited", "guest-ping"):
                return
            reply(connection, request, request.get("arguments", {}).get("id"))

    _, guest = fake(hang_up)
    with pytest.raises(ChannelLost, match="switched off"):
        guest.call("guest-get-time")


def test_a_shutdown_that_ends_in_silence_or_a_hang_up_is_a_success(fake):
    def down(guest, connection):
        for request in requests(connection):
            if request["execute"] == "guest-shutdown":
                return
            reply(connection, request, request.get("arguments", {}).get("id"))

    _, guest = fake(down)
    assert guest.call("guest-shutdown", mode="powerdown") is None


WRONG = {
    "guest-exec": [5, {}, {"pid": "1"}, {"pid": -1}, {"pid": True}, {"pid": 1 << 70}],
    "guest-exec-status": [
        [],
        {"exited": "yes"},
        {"exited": True, "exitcode": "0"},
        {"exited": True, "out-data": "no base64!"},
        {"exited": True, "out-data": 5},
        {"exited": True, "out-data": "\u00fc"},
    ],
    "guest-file-open": ["1000", None, -5],
    "guest-file-read": [
        {"count": 1, "eof": True},
        {"buf-b64": "A"},
        {"buf-b64": base64.b64encode(bytes((1 << 20) + 1)).decode()},
    ],
    "guest-info": [{}, {"version": 1, "supported_commands": []},
                   {"version": "1", "supported_commands": {}},
                   {"version": "1", "supported_commands": [5]}],
}  # fmt: skip
GOOD = {
    "guest-exec": {"pid": 5},
    "guest-exec-status": {"exited": True, "exitcode": 0},
    "guest-file-open": 1000,
    "guest-info": {"version": "1", "supported_commands": []},
}


@pytest.mark.parametrize(
    ("command", "value"), [(command, one) for command, many in WRONG.items() for one in many]
)
def test_what_cannot_be_is_refused_and_never_believed(fake, command, value):
    _, guest = fake(answering({**GOOD, command: value}))
    work = {
        "guest-exec": lambda: guest.exec(["true"]),
        "guest-exec-status": lambda: guest.exec(["true"]),
        "guest-file-open": lambda: guest.read_file("/x"),
        "guest-file-read": lambda: guest.read_file("/x"),
        "guest-info": guest.info,
    }[command]
    with pytest.raises(BadAnswer, match=command):
        work()


def test_a_file_that_never_ends_has_the_limit_that_was_set(fake, tmp_path):
    chunk = {"buf-b64": base64.b64encode(bytes(1 << 20)).decode(), "count": 1 << 20, "eof": False}
    _, guest = fake(answering({**GOOD, "guest-file-read": chunk}))
    with pytest.raises(BadAnswer, match="longer than"):
        guest.copy_from("/x", tmp_path / "copy", limit=5 << 20)
    assert [one.name for one in tmp_path.iterdir() if "copy" in one.name] == []


def test_a_write_that_goes_nowhere_is_no_endless_loop(fake):
    _, guest = fake(answering({**GOOD, "guest-file-write": {"count": 0, "eof": False}}))
    with pytest.raises(BadAnswer, match="guest-file-write"):
        guest.write_file("/x", b"data")


def test_an_errors_words_are_fit_for_a_terminal(fake):
    error = b'{"error": {"class": "GenericError", "desc": "\\u001b[2Jgone\\u202e"}}\n'
    _, guest = fake(answering({"guest-x": error}))
    with pytest.raises(GuestCommandFailed, match=re.escape(r"guest-x: \x1b[2Jgone\u202e")):
        guest.call("guest-x")


REFUSED = (
    b'{"error": {"class": "CommandNotFound", "desc": '
    b'"Command x has been disabled: the command is not allowed"}}\n'
)


def test_a_refusal_of_a_frozen_guest_says_that_it_is_frozen(fake):
    _, guest = fake(answering({"guest-exec": REFUSED, "guest-fsfreeze-status": "frozen"}))
    with pytest.raises(GuestFrozen, match="guestwire thaw"):
        guest.exec(["true"])


class Freezing:
    """A guest's freeze as its agent tells it; `thaws` is whether a thaw works."""

    def __init__(self, thaws=True):
        self.frozen = False
        self.thaws = thaws
        self.answers = {
            "guest-fsfreeze-freeze": self.freeze,
            "guest-fsfreeze-thaw": self.thaw,
            "guest-fsfreeze-status": lambda _: "frozen" if self.frozen else "thawed",
        }

    def freeze(self, _):
        self.frozen = True
        return 2

    def thaw(self, _):
        was, self.frozen = self.frozen, self.frozen and not self.thaws
        return 2 if was else 0


def test_a_frozen_guest_is_thawed_in_the_end(fake):
    state = Freezing()
    _, guest = fake(answering(state.answers))
    with guest.frozen() as frozen:
        assert state.frozen and frozen.file_systems == 2
    assert not state.frozen


def test_a_frozen_guest_is_thawed_after_an_error_inside(fake):
    state = Freezing()
    _, guest = fake(answering(state.answers))
    with pytest.raises(KeyboardInterrupt), guest.frozen():
        raise KeyboardInterrupt
    assert not state.frozen


def test_a_freeze_whose_answer_is_lost_is_thawed(fake):
    state = Freezing()

    def freeze(request):
        state.freeze(request)
        return b""

    _, guest = fake(answering({**state.answers, "guest-fsfreeze-freeze": freeze}))
    with pytest.raises(NoAnswer), guest.frozen(timeout=0.2):
        pytest.fail("there was no answer")
    assert not state.frozen


def test_a_guest_that_thawed_by_itself_spoils_what_was_saved(fake):
    state = Freezing()
    _, guest = fake(answering(state.answers))
    with pytest.raises(ThawedEarly, match="do it again"), guest.frozen():
        state.frozen = False


def test_a_guest_that_stays_frozen_is_said_to_be(fake, monkeypatch):
    monkeypatch.setattr("guestwire.client.plans.freezing.BETWEEN", 0.01)
    state = Freezing(thaws=False)
    _, guest = fake(answering(state.answers))
    with pytest.raises(NotThawed, match="fsfreeze -u"), guest.frozen():
        pass


def test_a_thaw_goes_on_over_a_lost_connection(fake):
    state = Freezing()
    lost = []

    def thaw(request):
        if not lost:
            lost.append(True)
            raise OSError("the connection breaks")
        return state.thaw(request)

    _, guest = fake(answering({**state.answers, "guest-fsfreeze-thaw": thaw}))
    with guest.frozen():
        pass
    assert lost and not state.frozen


def test_a_socket_nobody_accepts_on_is_busy_and_nothing_is_sent(tmp_path):
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(2)
        with pytest.raises(ChannelBusy):
            connect(f"unix:{path}", timeout=0.3)
        connection, _ = listener.accept()
        assert connection.recv(100) == b""
        connection.close()


def test_a_relative_path_is_as_good_as_any(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with FakeGuest("agent.sock", answering({})), connect("unix:agent.sock") as guest:
        guest.ping()


def mux(port, answer):
    def behave(guest, connection):
        with connection.makefile("rb") as lines:
            guest.requests.append(lines.readline())
        if guest.requests[-1] != b"CONNECT %d\n" % port:
            return
        connection.sendall(answer)
        answering({})(guest, connection)

    return behave


def test_a_multiplexed_vsock_port_is_reached(tmp_path):
    path = tmp_path / "v.sock"
    with FakeGuest(path, mux(52, b"OK 1073741824\n")), connect(f"vsock-mux:{path}:52") as guest:
        guest.ping()


@pytest.mark.parametrize("port", [53, 52])
def test_a_multiplexed_port_without_an_agent_says_so(tmp_path, port):
    path = tmp_path / "v.sock"
    with FakeGuest(path, mux(52, b"NO\n")):
        with pytest.raises(Exception, match=r"nothing in the guest listens|not how a vsock"):
            connect(f"vsock-mux:{path}:{port}")


def test_a_pseudo_terminal_is_made_raw_and_is_ours_alone():
    controller, line = os.openpty()
    path = os.ttyname(line)

    def serve():
        buffer = b""
        while True:
            try:
                buffer += os.read(controller, 65536)
            except OSError:
                return
            while b"\n" in buffer:
                one, _, buffer = buffer.partition(b"\n")
                request = json.loads(one.lstrip(b"\xff"))
                number = request.get("arguments", {}).get("id")
                body = json.dumps({"return": number, "id": request["id"]}).encode()
                mark = b"\xff" if number is not None else b""
                os.write(controller, mark + body + b"\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with connect(f"pty:{path}") as guest:
        guest.ping()
        with pytest.raises(ChannelBusy):
            connect(f"pty:{path}")
    os.close(line)
    os.close(controller)
