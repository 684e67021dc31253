"""Both agents as processes of this machine, each on a unix socket."""

from __future__ import annotations

import compileall
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import guestwire
from cheap_client import AgentFailed, Client, connect, request
from results import PROCESS, UNIX, Row, paired
from talks import MIB, Pair

QEMU_GA = shutil.which("qemu-ga", path=os.environ.get("PATH", "") + ":/usr/sbin") or "qemu-ga"
GUESTWIRE = str(Path(sys.executable).with_name("guestwire-agent"))  # as pip installs it
BARE = [sys.executable, "-c", "pass"]
PING = request("guest-ping")
BIG = {"read": 48, "write": 47}  # MiB, the most that qemu-ga takes in one message


class Agent:
    """A running agent; `directory` is its own."""

    def __init__(self, kind: str, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.socket = directory / "agent.sock"
        self._stderr = directory / "stderr"
        self._argv = {
            "ours": [
                *(sys.executable, GUESTWIRE, "run", "--channel", f"unix:{self.socket}"),
                *("--statedir", str(directory)),
            ],
            "theirs": [
                *(QEMU_GA, "-m", "unix-listen", "-p", str(self.socket)),
                *("-t", str(directory), "-f", str(directory / "pid")),
            ],
        }[kind]
        self.start()

    def start(self) -> None:
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def must_run(self) -> None:
        if self._process.poll() is not None:
            raise AgentFailed(f"{self._argv[0]} ended: {self._stderr.read_text()[-2000:]}")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.socket.unlink(missing_ok=True)  # qemu-ga leaves it, and then does not start again


@contextlib.contextmanager
def both(directory: Path) -> Iterator[tuple[Agent, Agent]]:
    """Ours and theirs, running until the block ends."""
    agents = Agent("ours", directory / "ours"), Agent("theirs", directory / "theirs")
    try:
        yield agents
    finally:
        for agent in agents:
            agent.stop()


@contextlib.contextmanager
def pair(directory: Path) -> Iterator[Pair]:
    """Both, as the conversations want them."""
    with both(directory) as (ours, theirs):

        def wake_ups_of_both() -> tuple[int, int]:
            return wake_ups(ours.pid), wake_ups(theirs.pid)

        yield Pair(UNIX, ours.socket, theirs.socket, str(directory), wake_ups_of_both)


def status(pid: int, field: str) -> float:
    """A figure of /proc/PID/status; memory is in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return float(line.split()[1])
    raise KeyError(field)


def compile_ours() -> None:
    """What installing does, and the agent itself never: it writes no byte code."""
    compileall.compile_dir(str(Path(guestwire.__file__).parent), quiet=1)


def start_row(directory: Path, rounds: int) -> Row:
    """From the start of the program until the first answer has come, by trying to connect."""
    bare, found = [], []
    for number in range(rounds + 1):
        bare.append(_bare_start())
        order = ("ours", "theirs") if number % 2 else ("theirs", "ours")
        took = {kind: _start(kind, directory / kind) for kind in order}
        found.append((took["ours"], took["theirs"]))
    row = paired(PROCESS, "start to first reply", "ms", found[1:])
    return row._replace(bare=statistics.median(bare[1:]))


def _bare_start() -> float:
    start = time.perf_counter_ns()
    subprocess.run(BARE, check=True, stdin=subprocess.DEVNULL)
    return (time.perf_counter_ns() - start) / 1e6


def _start(kind: str, directory: Path) -> float:
    start = time.perf_counter_ns()
    agent = Agent(kind, directory)
    try:
        while True:
            try:
                client = Client(agent.socket, room=4096)
                break
            except OSError:
                agent.must_run()
                time.sleep(0.0005)
        client.exchange(PING)
        elapsed = (time.perf_counter_ns() - start) / 1e6
        client.value()
        client.close()
    finally:
        agent.stop()
    return elapsed


def memory_rows(directory: Path) -> Iterator[Row]:
    """Resident memory: of new agents that have answered one ping, then at the peak of a transfer.

    Each transfer has new agents, since a peak is never forgotten.
    """
    with both(directory) as agents:
        for agent in agents:
            connect(agent.socket).close()
        time.sleep(0.5)
        figures = [status(agent.pid, "VmRSS") / 1024 for agent in agents]
    row = paired(PROCESS, "memory idle", "MiB", [(figures[0], figures[1])])
    yield row._replace(bare=_bare_memory())
    for what, transfer in (("read", _read_big), ("write", _write_big)):
        size = BIG[what]
        with both(directory) as agents:
            peaks = []
            for agent in agents:
                transfer(connect(agent.socket), str(directory / "big"), size * MIB)
                peaks.append(status(agent.pid, "VmHWM") / 1024)
        yield paired(PROCESS, f"peak, {what} {size} MiB", "MiB", [(peaks[0], peaks[1])])


def _bare_memory() -> float:
    """Of an interpreter that waits for its standard input, and has imported nothing."""
    code = "import os; os.read(0, 1)"
    idle = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    time.sleep(0.5)
    try:
        return status(idle.pid, "VmRSS") / 1024
    finally:
        idle.communicate(b"x")


def _read_big(client: Client, name: str, size: int) -> None:
    with open(name, "wb") as file:
        file.write(os.urandom(MIB) * (size // MIB))
    handle = client.ask("guest-file-open", path=name, mode="r")
    client.exchange(request("guest-file-read", handle=handle, count=size))
    client.close()


def _write_big(client: Client, name: str, size: int) -> None:
    handle = client.ask("guest-file-open", path=name, mode="w")
    text = "QUJD" * (size // 3)
    client.exchange(request("guest-file-write", handle=handle, buf_b64=text))
    client.value()
    client.close()


def wake_ups(pid: int) -> int:
    """How often the threads of a process have gone to sleep until now."""
    tasks = Path(f"/proc/{pid}/task").glob("*/status")
    lines = [line for task in tasks for line in task.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))
