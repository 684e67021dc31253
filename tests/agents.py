"""Agents as processes on a unix socket, ours and the real qemu-ga, and a host for them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

QEMU_GA = shutil.which("qemu-ga", path=os.environ.get("PATH", "") + ":/usr/sbin")


def require_qemu_ga():
    """Skip by name where there is no qemu-ga, and fail where there must be one."""
    if QEMU_GA is None or os.geteuid() != 0:
        reason = "Debian's qemu-guest-agent is not installed, or we are not root"
        if os.environ.get("GUESTWIRE_REQUIRE_VM"):
            pytest.fail(reason)
        pytest.skip(reason)


def ours(socket_path, statedir, *arguments):
    """Our agent, on this machine's own root unless the arguments say otherwise."""
    return [
        *(sys.executable, "-m", "guestwire", "run"),
        *("--channel", f"unix:{socket_path}", "--statedir", str(statedir), *arguments),
    ]


def native(socket_path, statedir, *arguments):
    """Our agent, speaking the native dialect."""
    line = ours(socket_path, statedir, *arguments)
    line[line.index("--channel") + 1] = f"native+unix:{socket_path}"
    return line


def theirs(socket_path, statedir, *arguments):
    return [QEMU_GA, "-m", "unix-listen", "-p", str(socket_path), "-t", str(statedir), *arguments]


class Agent:
    """A running agent. `stderr` is a file beside its socket."""

    def __init__(self, directory, command=ours, arguments=(), env=None):
        self.socket = Path(directory, "agent.sock")
        self.stderr = Path(directory, "stderr")
        self._argv = command(self.socket, directory, *arguments)
        self._env = {**os.environ, **(env or {})}
        self.start()

    def start(self):
        with self.stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                self._argv, env=self._env, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr
            )
        self.host().close()

    def host(self, timeout=30):
        """A connection, as soon as the agent takes one."""
        give_up = time.monotonic() + 20
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self.socket))
            except OSError:
                connection.close()
                assert self.process.poll() is None, self.stderr.read_text()
                assert time.monotonic() < give_up, "the agent does not listen"
                time.sleep(0.01)
            else:
                connection.settimeout(timeout)
                return Host(connection)

    def status(self, field):
        """A number of /proc/PID/status, e.g. VmRSS in KiB."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith(field)).split()[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Host:
    """A client with a line at a time, and no more manners than a host has."""

    def __init__(self, connection):
        self.connection = connection
        self._lines = connection.makefile("rb")

    def send(self, data):
        self.connection.sendall(data)

    def line(self):
        return self._lines.readline()

    def ask(self, command, arguments=None, **members):
        """The reply as an object, 0xFF taken off."""
        request = {"execute": command, **members}
        if arguments is not None:
            request["arguments"] = arguments
        self.send(json.dumps(request).encode() + b"\n")
        return json.loads(self.line().lstrip(b"\xff"))

    def value(self, command, **arguments):
        reply = self.ask(command, arguments)
        assert "return" in reply, reply
        return reply["return"]

    def silent(self, seconds=0.2):
        """Whether nothing more comes."""
        self.connection.settimeout(seconds)
        try:
            return self._lines.read(1) == b""
        except socket.timeout:  # TimeoutError itself from Python 3.10 on
            return True

    def close(self):
        with contextlib.suppress(OSError):
            self._lines.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
