"""The agent as a process: hosts that come and go, behave badly, and signals."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time

import pytest

from agents import Agent, ours

PING = b'{"execute":"guest-ping"}\n'
PONG = b'{"return": {}}\n'


@pytest.fixture
def guest(tmp_path):
    (tmp_path / "guest/etc").mkdir(parents=True)
    return tmp_path / "guest"


@pytest.fixture
def agent(tmp_path, guest):
    with Agent(tmp_path, arguments=("--root", str(guest))) as agent:
        yield agent


@pytest.fixture
def host(agent):
    with agent.host() as host:
        yield host


def eventually(check, seconds=10):
    give_up = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_a_host_gets_an_answer(host):
    host.send(PING)
    assert host.line() == PONG


def test_what_a_host_had_begun_to_say_does_not_reach_the_next(agent):
    with agent.host() as first:
        first.send(b'{"execute":"guest-pi')
    with agent.host() as second:
        assert second.value("guest-sync", id=17) == 17


def test_an_answer_that_nobody_waits_for_is_dropped(agent):
    for _ in range(50):
        with agent.host() as first:
            first.send(PING * 3)
    with agent.host() as second:
        assert second.value("guest-sync", id=17) == 17


def test_proxmox_connects_for_each_command_and_finds_exactly_two_lines(agent):
    for number in range(1000):
        if number == 10:
            descriptors = agent.descriptors()
        with agent.host() as host:
            sync = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
            command = {"execute": "guest-ping", "arguments": {}}
            host.send(json.dumps(sync).encode() + b"\n" + json.dumps(command).encode() + b"\n")
            assert host.line() == b'\xff{"return": %d}\n' % number
            assert host.line() == PONG
            if number % 100 == 0:
                assert host.silent()
    eventually(lambda: agent.descriptors() <= descriptors)


def test_a_hundred_thousand_requests_leave_memory_and_descriptors_as_they_were(host, agent):
    def batch(count):
        for _ in range(count // 100):
            host.send(PING * 50 + b'{"execute":"guest-info"}\n' + PING * 49)
            for _ in range(100):
                assert host.line().startswith(b'{"return": ')

    batch(2_000)
    memory, descriptors = agent.status("VmRSS"), agent.descriptors()
    batch(100_000)
    assert agent.status("VmRSS") - memory < 500
    assert agent.descriptors() == descriptors


def test_garbage_is_refused_line_by_line_and_the_next_request_is_right(agent, host):
    chance = random.Random(1)
    for number in range(300):
        junk = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 400)))
        sync = b'{"execute":"guest-sync-delimited","arguments":{"id":%d}}\n' % number
        host.send(junk + b"\xff\n" + sync)
        line = host.line()
        while line != b'\xff{"return": %d}\n' % number:
            assert json.loads(line)["error"]["class"] in ("GenericError", "CommandNotFound")
            line = host.line()
    assert agent.status("VmRSS") < 60_000


def test_a_token_of_64_mib_is_refused_and_its_memory_given_back(agent, host):
    host.send(PING)
    host.line()
    before = agent.status("VmRSS")
    host.send(b'{"execute":"')
    for _ in range(66):
        host.send(b"x" * (1 << 20))
    host.send(b'\n\xff{"execute":"guest-sync-delimited","arguments":{"id":5}}\n')
    lines = [host.line()]
    while not lines[-1].startswith(b"\xff"):
        lines.append(host.line())
    assert any(b"JSON token size limit exceeded" in line for line in lines)
    assert lines[-1].endswith(b'{"return": 5}\n')
    eventually(lambda: agent.status("VmRSS") < 2 * before)


def test_a_host_that_does_not_read_costs_nothing_and_the_next_is_served(agent):
    with agent.host(timeout=0.5) as rude:
        with pytest.raises(socket.timeout):
            rude.send(b'{"execute":"guest-info"}\n' * 200_000)
        before = agent.cpu_seconds()
        time.sleep(1)
        assert agent.cpu_seconds() - before < 0.1
    with agent.host() as polite:
        assert polite.value("guest-sync", id=3) == 3


def test_other_channels_are_served_while_a_long_command_runs(tmp_path, guest):
    plugin = tmp_path / "slow_example.py"
    plugin.write_text(
        "import time\n"
        "from guestwire.dispatch.command import Command\n"
        "COMMANDS = (Command('example.wait', 'slow.example:wait', long=True),)\n"
    )
    package = tmp_path / "slow"
    package.mkdir()
    (package / "example.py").write_text(
        "import time\ndef wait(context, seconds: float):\n    time.sleep(seconds)\n    return {}\n"
    )
    config = tmp_path / "agent.conf"
    config.write_text("[agent]\nplugins = slow_example\n")
    second = tmp_path / "second.sock"
    arguments = ("--root", str(guest), "--config", str(config), "--channel", f"unix:{second}")
    with Agent(tmp_path, arguments=arguments, env={"PYTHONPATH": str(tmp_path)}) as agent:
        with agent.host() as busy:
            busy.send(b'{"execute":"example.wait","arguments":{"seconds":2}}\n' + PING)
            agent.socket = second
            started = time.monotonic()
            with agent.host() as other:
                for _ in range(20):
                    assert other.ask("guest-ping") == {"return": {}}
            assert time.monotonic() - started < 1.5
            assert busy.line() == PONG  # the answer to the long one, and in order
            assert busy.line() == PONG


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_and_no_socket_is_left(agent, number):
    with agent.host() as host:
        host.send(b'{"execute":"guest-pi')
        assert agent.kill(number) == 0
    assert not agent.socket.exists()


def test_sigterm_ends_it_with_0_also_while_it_starts(tmp_path, guest):
    """From the moment that Python has read the program; before that the kernel ends it."""
    argv = ours(tmp_path / "agent.sock", tmp_path, "--root", str(guest))
    for delay in (0.0, 0.02, 0.05, 0.1):
        agent = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        eventually(lambda pid=agent.pid: catches_sigterm(pid))
        time.sleep(delay)
        agent.terminate()
        assert agent.wait(10) == 0


def catches_sigterm(pid):
    with open(f"/proc/{pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt")).split()[1]
    return int(caught, 16) >> (signal.SIGTERM - 1) & 1


def test_sighup_takes_over_a_changed_policy_and_keeps_the_host_connected(tmp_path, guest):
    config = tmp_path / "agent.conf"
    config.write_text("[policy]\nblock = guest-get-time\n")
    with Agent(tmp_path, arguments=("--root", str(guest), "--config", str(config))) as agent:
        with agent.host() as host:
            assert host.ask("guest-get-time")["error"]["class"] == "CommandNotFound"
            config.write_text("[policy]\nblock = guest-exec\n")
            agent.process.send_signal(signal.SIGHUP)
            eventually(lambda: "return" in host.ask("guest-get-time"))
            assert host.ask("guest-exec")["error"]["class"] == "CommandNotFound"
            config.write_text("[policy]\nblok = guest-exec\n")
            agent.process.send_signal(signal.SIGHUP)
            eventually(lambda: "not reloaded" in agent.stderr.read_text())
            assert f"{config}:2" in agent.stderr.read_text()
            assert host.ask("guest-exec")["error"]["class"] == "CommandNotFound"


def test_what_takes_a_restart_is_named_at_sighup(tmp_path, guest):
    file = tmp_path / "agent.conf"
    file.write_text(f"[agent]\nroot = {guest}\n")
    with Agent(tmp_path, arguments=("--config", str(file))) as agent:
        file.write_text(f"[agent]\nroot = {tmp_path}\nlog-file = /x\nlog-level = debug\n")
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: "configuration reloaded" in agent.stderr.read_text())
        assert "root has changed; that takes a restart" in agent.stderr.read_text()
        assert "log-file has changed; that takes a restart" in agent.stderr.read_text()
        assert "log-level has changed" not in agent.stderr.read_text()


def test_a_state_directory_that_cannot_be_read_keeps_nobody_from_serving(tmp_path, guest):
    (guest / "state").write_text("a file")
    with Agent(tmp_path, arguments=("--root", str(guest), "--statedir", "/state/x")) as agent:
        with agent.host() as host:
            assert host.ask("guest-ping") == {"return": {}}
        assert "cannot tell whether the guest was left frozen: " in agent.stderr.read_text()
        assert "Traceback" not in agent.stderr.read_text()


def test_sighup_starts_and_ends_channels(tmp_path, guest):
    config, second = tmp_path / "agent.conf", tmp_path / "second.sock"
    first = f"unix:{tmp_path}/agent.sock"
    config.write_text(f"[agent]\nchannels = {first}\nroot = {guest}\n")

    def argv(socket_path, statedir):
        line = ours(socket_path, statedir, "--config", str(config))
        at = line.index("--channel")
        return line[:at] + line[at + 2 :]

    with Agent(tmp_path, command=argv) as agent:
        config.write_text(f"[agent]\nchannels = {first}, unix:{second}\nroot = {guest}\n")
        agent.process.send_signal(signal.SIGHUP)
        eventually(second.exists)
        config.write_text(f"[agent]\nchannels = unix:{second}\nroot = {guest}\n")
        agent.process.send_signal(signal.SIGHUP)
        eventually(lambda: not agent.socket.exists())
        agent.socket = second
        with agent.host() as host:
            assert host.ask("guest-ping") == {"return": {}}


def test_systemd_is_told_when_the_agent_is_ready_and_when_it_ends(tmp_path, guest):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(tmp_path / "notify"))
        notices.settimeout(10)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with Agent(tmp_path, arguments=("--root", str(guest)), env=env) as agent:
            assert notices.recv(100) == b"READY=1"
            agent.kill(signal.SIGTERM)
            assert notices.recv(100) == b"STOPPING=1"


def test_nothing_is_done_while_nothing_happens(agent):
    for connected in (False, True):
        host = agent.host() if connected else None
        time.sleep(0.3)
        before = wake_ups(agent)
        time.sleep(2)
        # Other tests' loop devices are news to it, too; looking ten times a second would be 20.
        assert wake_ups(agent) - before < 5
        if host is not None:
            host.close()


def wake_ups(agent):
    total = 0
    for task in os.listdir(f"/proc/{agent.process.pid}/task"):
        with open(f"/proc/{agent.process.pid}/task/{task}/status") as status:
            total += sum(int(line.split()[1]) for line in status if line.startswith("voluntary"))
    return total


def test_without_msgpack_the_native_port_is_not_served_and_all_others_are(tmp_path, guest):
    (tmp_path / "msgpack.py").write_text("raise ImportError(\"No module named 'msgpack'\")")
    extra = ("--channel", f"native+unix:{tmp_path}/native.sock", "--root", str(guest))
    with Agent(tmp_path, arguments=extra, env={"PYTHONPATH": str(tmp_path)}) as agent:
        eventually(lambda: "No module named 'msgpack'; install it" in agent.stderr.read_text())
        assert "Traceback" not in agent.stderr.read_text()
        with agent.host() as host:
            assert host.ask("guest-ping") == {"return": {}}


def test_two_hosts_at_once_do_not_disturb_each_other(agent):
    results = []

    def session(number):
        with agent.host() as host:
            results.append([host.value("guest-sync", id=number + i) for i in range(100)])

    threads = [threading.Thread(target=session, args=(n * 1000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(tuple, results)) == [tuple(range(n, n + 100)) for n in (0, 1000, 2000, 3000)]


def test_a_defect_in_a_transport_is_logged_and_the_other_channels_are_served(tmp_path, guest):
    (tmp_path / "broken_example.py").write_text(
        "TRANSPORTS = {'broken': 'broken_example'}\n"
        "def discover(root): return iter(())\n"
        "def connect(root, address): raise ZeroDivisionError\n"
    )
    config = tmp_path / "agent.conf"
    config.write_text("[agent]\nplugins = broken_example\n")
    arguments = ("--root", str(guest), "--config", str(config), "--channel", "broken:x")
    with Agent(tmp_path, arguments=arguments, env={"PYTHONPATH": str(tmp_path)}) as agent:
        eventually(lambda: "broken:x: defect" in agent.stderr.read_text())
        with agent.host() as host:
            assert host.ask("guest-ping") == {"return": {}}
