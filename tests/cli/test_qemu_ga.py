"""The agent in the place of qemu-ga, as a program."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import tty

import pytest

from agents import Agent
from drop_in import call, install, with_socket
from guestwire.cli.qemu_ga_service import is_left_frozen
from guestwire.commands.protocol import OWN_VERSION

DEFAULTS = b"""[general]
daemon=false
method=virtio-serial
path=/dev/virtio-ports/org.qemu.guest_agent.0
pidfile=/var/run/qemu-ga.pid
statedir=/var/run
verbose=false
retry-path=false
block-rpcs=
allow-rpcs=
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return install(tmp_path_factory.mktemp("drop-in"))


@pytest.fixture
def config(tmp_path):
    """Write a configuration file; its path."""

    def config(text, name="qemu-ga.conf"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else f"[general]\n{text}\n".encode())
        return str(file)

    return config


@pytest.fixture
def start(program, tmp_path):
    """Start the agent on a unix socket; more options may follow."""
    agents = []

    def start(*arguments, **variables):
        def command(path, statedir, *given):
            return [program, "-m", "unix-listen", "-p", str(path), "-t", str(statedir), *given]

        env = {"QGA_CONF": "/nonexistent/qemu-ga.conf", **variables}
        agents.append(Agent(tmp_path, command, arguments, env))
        return agents[-1]

    yield start
    for agent in agents:
        agent.__exit__()


def dump(program, *arguments, **env):
    """The dump's values by key."""
    code, output, errors = call(program, "-D", *arguments, env=env)
    assert (code, errors) == (0, b"")
    lines = output.decode().splitlines()
    assert lines[0] == "[general]"
    return dict(line.split("=", 1) for line in lines[1:])


def eventually(check, seconds=15):
    give_up = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def enabled(agent):
    with agent.host() as host:
        entries = host.value("guest-info")["supported_commands"]
    return {entry["name"] for entry in entries if entry["enabled"]}


def refusal(host, command):
    return host.ask(command)["error"]["class"]


# What is printed


def test_the_version_is_the_one_whose_commands_we_have(program):
    for option in ("-V", "--version", "-vV", "--vers"):
        assert call(program, option) == (0, f"QEMU Guest Agent {OWN_VERSION}\n".encode(), b"")


def test_the_help_names_every_option(program):
    code, output, errors = call(program, "-h")
    assert (code, errors) == (0, b"")
    for option in b"cmplfFtvVdbaDrh":
        assert b"\n  -%c, --" % option in output
    assert output == call(program, "--help")[1]


@pytest.mark.parametrize("option", ["-b", "-a", "--block-rpcs", "--allow-rpcs", "--blacklist"])
@pytest.mark.parametrize("word", ["help", "?"])
def test_the_lists_help_names_the_commands(program, option, word):
    code, output, errors = call(program, option, word)
    assert (code, errors) == (0, b"")
    names = output.decode().split()
    assert names[:3] == ["guest-sync-delimited", "guest-sync", "guest-ping"]
    assert names[-1] == "guest-network-get-route"
    assert len(names) == 43


def test_an_unknown_option_is_refused_with_a_hint(program):
    hint = f"Unknown option, try '{program} --help' for more information.\n"
    words = f"{program}: unrecognized option '--nope'\n"
    assert call(program, "--nope") == (1, hint.encode(), words.encode())


# The dump


def test_the_defaults_are_qemu_gas(program):
    assert call(program, "-D") == (0, DEFAULTS, b"")


def test_a_dump_needs_no_environment_at_all(program):
    done = subprocess.run(
        ["env", "-i", program, "-D", "-p", "/ä"], capture_output=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "path=/ä\n" in done.stdout.decode()


def test_a_dump_does_not_depend_on_the_locale(program):
    for locale in ("C", "POSIX", "de_DE.ISO-8859-1"):
        assert dump(program, "-p", "/ä€", LC_ALL=locale)["path"] == "/ä€"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["-d", "-v", "-r", "-F", "-l", "/log", "-f", "/pid", "-t", "/state"],
        ["-b", "guest-exec,guest-exec-status,guest-ping", "-b", "a,b", "-a", "c,d", "-a", "e"],
        ["-b", "a;b,c", "-a", ";,"],
        ["-b", "", "-a", ""],
        ["-b", ","],
        ["--fsfreeze-hook="],
        ["-F/dev/null"],
        ["-m", "vsock-listen", "-p", "3:1234"],
        ["-m", "unix-listen", "-p", " \t leading, \\ and \n \r trailing "],
    ],
)
def test_a_dump_read_again_gives_the_same_dump(program, config, arguments):
    code, first, errors = call(program, "-D", *arguments)
    assert (code, errors) == (0, b"")
    assert call(program, "-D", "-c", config(first)) == (0, first, b"")


# Files and precedence


def test_the_command_line_wins_over_the_file(program, config):
    file = config("path=/file\nlogfile=/file.log\nmethod=isa-serial\nblock-rpcs=a")
    found = dump(program, "-c", file, "-p", "/first", "-p", "/second")
    assert found["path"] == "/second"
    assert found["logfile"] == "/file.log"
    assert found["method"] == "isa-serial"


def test_lists_add_up(program, config):
    file = config("block-rpcs=a\nallow-rpcs=x")
    found = dump(program, "-c", file, "-b", "b", "--blacklist=c", "-a", "y")
    assert sorted(found["block-rpcs"].split(",")) == ["a", "b", "c"]
    assert sorted(found["allow-rpcs"].split(",")) == ["x", "y"]


def test_the_last_file_named_is_the_one(program, config):
    one, two = config("path=/one", "one"), config("path=/two", "two")
    assert dump(program, "-c", one, f"--config={two}", QGA_CONF="/nonexistent")["path"] == "/two"
    assert dump(program, QGA_CONF=one)["path"] == "/one"
    assert dump(program, "-c", two, QGA_CONF=one)["path"] == "/two"


def test_a_file_that_is_named_must_exist(program):
    code, output, errors = call(program, "-D", "-c", "/nonexistent")
    assert (code, output) == (1, b"")
    assert b"/nonexistent" in errors
    assert call(program, "-D", env={"QGA_CONF": "/nonexistent"})[0] == 0


@pytest.mark.parametrize("text", ["verbose=yes", "daemon=", "retry-path=TRUE", "junk"])
def test_what_is_wrong_in_a_file_ends_the_start(program, config, text):
    file = config(text)
    code, output, errors = call(program, "-D", "-c", file)
    assert (code, output) == (1, b"")
    assert file.encode() in errors
    assert text.split("=")[0].encode() in errors


def test_keys_that_qemu_ga_does_not_have_are_ignored(program, config):
    file = config("daemonize=true\nunknown=1\n_fields=1\ncount=2\n[other]\nverbose=nonsense")
    assert call(program, "-D", "-c", file) == (0, DEFAULTS, b"")


# The agent


def test_it_serves(start):
    with start().host() as host:
        assert host.value("guest-sync", id=4711) == 4711
        assert host.value("guest-info")["version"] == OWN_VERSION


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(start, number):
    assert start().kill(number) == 0


def test_blocked_commands_are_refused_and_so_are_ours_that_do_the_same(start):
    agent = start("-b", "guest-exec;guest-get-time", "--blacklist=guest-get-osinfo", "-b", "")
    with agent.host() as host:
        for command in ("guest-exec", "guest-get-time", "guest-get-osinfo", "ssh.keys.add"):
            assert refusal(host, command) == "CommandNotFound"
    assert "guest-get-load" in enabled(agent)


def test_with_an_allow_list_nothing_else_runs(start):
    assert enabled(start("-a", "guest-info,guest-ping")) == {"guest-info", "guest-ping"}


def test_the_block_list_wins_over_the_allow_list(start, config):
    agent = start("-c", config("allow-rpcs=guest-info,guest-ping"), "-b", "guest-ping")
    assert enabled(agent) == {"guest-info"}


def test_ours_are_there_when_nothing_is_blocked_or_when_they_are_allowed(start):
    agent = start("-b", "", "-a", "")
    with agent.host() as host:
        assert host.value("hostname.get")
    agent.kill(signal.SIGTERM)
    agent = start("-b", "guest-exec", "-a", "hostname.get")
    with agent.host() as host:
        assert host.value("hostname.get")
        assert refusal(host, "guest-ping") == "CommandNotFound"


def test_names_that_no_command_has_are_warned_of(start, program):
    agent = start("-b", "guest-nonsense,guest-exec", "-a", "guest-info , guest-typo")
    assert enabled(agent) == {"guest-info"}
    eventually(lambda: "no command is named guest-nonsense, guest-typo" in agent.stderr.read_text())
    assert dump(program, "-b", "guest-nonsense")["block-rpcs"] == "guest-nonsense"


def test_an_allow_list_of_wrong_names_allows_nothing(start):
    agent = start("-a", "guest-typo")
    with agent.host() as host:
        assert refusal(host, "guest-info") == "CommandNotFound"


def test_what_our_own_configuration_forbids_is_forbidden_here_too(start, config):
    own = config(
        b"[policy]\nblock = guest-ping\nallow = guest-ping guest-info guest-get-load\n"
        b"[commands]\nqga-version = 8.1.2\n",
        "agent.conf",
    )
    agent = start("-b", "guest-get-time", GUESTWIRE_CONFIG=own)
    with agent.host() as host:
        assert host.value("guest-info")["version"] == "8.1.2"
    assert enabled(agent) == {"guest-info", "guest-get-load"}
    agent.kill(signal.SIGTERM)
    agent = start("-a", "guest-info,guest-ping,guest-exec", GUESTWIRE_CONFIG=own)
    assert enabled(agent) == {"guest-info"}


def test_a_hangup_reads_the_file_again(start, config):
    agent = start("-c", config("block-rpcs=guest-get-time"))
    assert "guest-get-time" not in enabled(agent)
    config("block-rpcs=guest-exec")
    agent.process.send_signal(signal.SIGHUP)
    eventually(lambda: "guest-get-time" in enabled(agent))
    assert "guest-exec" not in enabled(agent)
    config("junk")
    agent.process.send_signal(signal.SIGHUP)
    eventually(lambda: "not reloaded" in agent.stderr.read_text())
    assert "guest-exec" not in enabled(agent)


def test_logs_go_to_the_file(start, tmp_path):
    start("-l", str(tmp_path / "log"), "-v")
    eventually((tmp_path / "log").exists)
    eventually(lambda: "unix:" in (tmp_path / "log").read_text())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "unix-listen"], b"must specify a path"),
        (["-m", "vsock-listen"], b"must specify a path"),
        (["-m", "nonsense", "-p", "x"], b"nonsense"),
        (["-m", "unix-listen", "-p", "/nonexistent/socket"], b"/nonexistent/socket"),
        (["-p", "/nonexistent/port"], b"/nonexistent/port"),
        (["-m", "vsock-listen", "-p", "1"], b"CID:PORT"),
        (["-m", "vsock-listen", "-p", "a:b"], b"a:b"),
        (["-p", "/dev/null", "-l", "/nonexistent/log"], b"/nonexistent/log"),
    ],
)
def test_what_cannot_be_used_ends_the_start(program, tmp_path, arguments, words):
    code, output, errors = call(program, "-t", str(tmp_path), *arguments)
    assert (code, output) == (1, b"")
    assert words in errors
    assert b"Traceback" not in errors


def test_the_state_directory_must_exist(program):
    code, _, errors = call(program, "-t", "/nonexistent/state")
    assert code == 1
    assert b"/nonexistent/state" in errors


def test_a_serial_line_is_served(program, tmp_path):
    host, line = pty.openpty()
    tty.setraw(host)
    command = [program, "-m", "isa-serial", "-p", os.ttyname(line), "-t", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert b"serving" in process.stderr.readline()
        os.write(host, b'{"execute": "guest-ping"}\n')
        assert json.loads(os.read(host, 100)) == {"return": {}}
    finally:
        process.terminate()
        assert process.wait(10) == 0
        process.stderr.close()
        os.close(host)
        os.close(line)


def test_with_retry_path_it_waits_for_the_channel(program, tmp_path):
    late = tmp_path / "late"
    line = [program, "-r", "-m", "unix-listen", "-p", str(late / "socket"), "-t", str(tmp_path)]
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        late.mkdir()
        eventually((late / "socket").exists)
    finally:
        process.terminate()
        assert process.wait(10) == 0


def test_relative_paths_start_from_where_it_was_started(program, tmp_path):
    line = [program, "-m", "unix-listen", "-p", "sock", "-t", ".", "-l", "log", "-d", "-f", "pid"]
    done = subprocess.run(line, cwd=tmp_path, check=False, timeout=30)
    assert done.returncode == 0
    try:
        assert {"sock", "log", "pid"} <= set(os.listdir(tmp_path))
    finally:
        end(tmp_path / "pid")


# In the background


def end(pidfile):
    os.kill(int(pidfile.read_text()), signal.SIGTERM)
    eventually(lambda: not pidfile.exists())


@pytest.fixture
def daemon(program, tmp_path):
    """Options for an agent in the background, which is ended in any case."""
    pidfile = tmp_path / "pid"
    yield [
        *(program, "-d", "-f", str(pidfile), "-t", str(tmp_path)),
        *("-m", "unix-listen", "-p", str(tmp_path / "socket")),
    ]
    if pidfile.exists():
        end(pidfile)


def test_a_daemon_serves_when_its_parent_has_ended(daemon, tmp_path):
    assert call(*daemon) == (0, b"", b"")
    with socket.socket(socket.AF_UNIX) as host:
        host.connect(str(tmp_path / "socket"))
        host.sendall(b'{"execute": "guest-ping"}\n')
        assert json.loads(host.recv(100)) == {"return": {}}


def test_a_daemon_has_left_the_terminal_and_the_directory(daemon, tmp_path):
    call(*daemon)
    pid = (tmp_path / "pid").read_text()
    assert pid.endswith("\n")
    process = f"/proc/{int(pid)}"
    assert os.readlink(f"{process}/cwd") == "/"
    assert [os.readlink(f"{process}/fd/{number}") for number in range(3)] == ["/dev/null"] * 3
    assert os.getsid(int(pid)) == int(pid)
    with open(f"{process}/status") as status:
        assert "Umask:\t0077\n" in status.readlines()


def test_a_second_daemon_is_refused_and_the_first_stays(daemon, tmp_path):
    assert call(*daemon)[0] == 0
    pid = (tmp_path / "pid").read_text()
    code, _, errors = call(*daemon[:-1], str(tmp_path / "other"))
    assert code == 1
    assert str(tmp_path / "pid").encode() in errors
    assert (tmp_path / "pid").read_text() == pid
    os.kill(int(pid), 0)


def test_the_pid_file_goes_with_the_daemon_and_is_not_made_without(daemon, program, tmp_path):
    call(*daemon)
    end(tmp_path / "pid")
    assert call(program, "-f", str(tmp_path / "pid"), "-t", str(tmp_path))[0] == 1
    assert not (tmp_path / "pid").exists()


def test_a_daemon_that_cannot_start_says_so_to_its_parent(program, tmp_path):
    pid = str(tmp_path / "pid")
    line = (program, "-d", "-f", pid, "-t", str(tmp_path), "-p", "/nonexistent/port")
    code, _, errors = call(*line)
    assert code == 1
    assert b"/nonexistent/port" in errors
    assert not os.path.exists(pid)
    assert call(program, "-d", "-f", "/nonexistent/pid", "-t", str(tmp_path))[0] == 1


def test_a_guest_that_a_killed_agent_left_frozen_is_told_from_one_that_has_booted_since(tmp_path):
    marker = tmp_path / "qga.state.isfrozen"
    marker.write_text("")  # as qemu-ga leaves it
    assert is_left_frozen(str(tmp_path))
    marker.write_text('{"phase": "frozen", "boot": "another"}')
    assert not is_left_frozen(str(tmp_path))


# A socket from systemd


def test_a_socket_from_systemd_is_served(program, tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as host:
        listener.bind(path)
        listener.listen()
        line = with_socket(listener, program, "-t", str(tmp_path))
        env = {**os.environ, "LISTEN_FDS": "1", "QGA_CONF": "/nonexistent"}
        process = subprocess.Popen(line, env=env, pass_fds=[listener.fileno()])
        try:
            host.settimeout(20)
            host.connect(path)
            host.sendall(b'{"execute": "guest-ping"}\n')
            assert json.loads(host.recv(100)) == {"return": {}}
        finally:
            process.terminate()
            assert process.wait(10) == 0
    assert os.path.exists(path)  # it is systemd's


def test_two_sockets_are_refused(program, tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        line = with_socket(listener, program, "-t", str(tmp_path))
        code, _, errors = call(*line, env={"LISTEN_FDS": "2"}, pass_fds=[listener.fileno()])
    assert code == 1
    assert b"only supports listening on one socket" in errors


# What it costs


def test_reading_options_imports_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules); import guestwire.cli.qemu_ga as one;"
        "sys.argv = ['qemu-ga']; one.main(['-D']);"
        "print(*(set(sys.modules) - before), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    heavy = {"argparse", "configparser", "getopt", "subprocess", "logging", "socket"}
    assert not heavy & set(done.stderr.split())
