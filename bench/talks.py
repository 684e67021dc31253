"""The conversations that are timed, the same words to both agents in turn."""

from __future__ import annotations

import base64
import os
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NamedTuple

from cheap_client import AgentFailed, Client, connect, request
from results import Row, paired, single

KIB, MIB = 1 << 10, 1 << 20
SIZES = {  # of a chunk, how many of them a round moves, and how many rounds
    "4 KiB": (4 * KIB, 32, 15),
    "64 KiB": (64 * KIB, 16, 9),
    "1 MiB": (MIB, 4, 5),
    "8 MiB": (8 * MIB, 1, 5),
}
FILE = 8 * MIB  # bytes that are in the file that is read


class Amount(NamedTuple):
    """How much is done: rounds of a few requests each, ours and theirs in turn."""

    rounds: int = 25
    pings: int = 24  # few enough that the journal keeps up with what qemu-ga writes for each
    infos: int = 15
    execs: int = 4
    bulk_rounds: int = 15  # at most, as `chunks`
    chunks: int = 32
    reconnects: int = 100
    gap: float = 0.15  # seconds, the longest pause before a reconnection
    starts: int = 15
    idle: float = 60.0  # seconds


QUICK = Amount(2, 10, 3, 1, 1, 4, 4, 0.05, 2, 1.0)


class Pair(NamedTuple):
    """Both agents in one place: their sockets, and a directory that both can write to.

    `wake_ups` says how often each has gone to sleep until now.
    """

    place: str
    ours: Path
    theirs: Path
    scratch: str
    wake_ups: Callable[[], tuple[int, int]]


def rows(pair: Pair, amount: Amount) -> Iterator[Row]:
    """Every row of a place that needs no more than the agents' sockets."""
    clients = connect(pair.ours), connect(pair.theirs)
    for command, count in (
        ("guest-ping", amount.pings),
        ("guest-info", amount.infos),
        ("guest-get-fsinfo", amount.infos),
    ):
        yield _latency(pair.place, command, clients, amount.rounds, count)
    yield _exec(pair.place, clients, amount)
    for client in clients:
        client.close()
    yield from _files(pair, amount)
    yield from _reconnect(pair, amount)


def _alternate(
    clients: tuple[Client, Client], rounds: int, measure: Callable[[Client], float]
) -> list[tuple[float, float]]:
    """(ours, theirs) of each round, who begins changes; one round before is for warming up."""
    found = []
    for number in range(rounds + 1):
        if number % 2:
            ours, theirs = measure(clients[0]), measure(clients[1])
        else:
            theirs, ours = measure(clients[1]), measure(clients[0])
        found.append((ours, theirs))
    return found[1:]


def _latency(
    place: str, command: str, clients: tuple[Client, Client], rounds: int, count: int
) -> Row:
    line = request(command)

    def measure(client: Client) -> float:
        times = []
        for _ in range(count):
            start = time.perf_counter_ns()
            client.exchange(line)
            times.append(time.perf_counter_ns() - start)
        client.value()
        return statistics.median(times) / 1e3

    return paired(place, command, "µs", _alternate(clients, rounds, measure))


def _exec(place: str, clients: tuple[Client, Client], amount: Amount) -> Row:
    """From the request until the agent says that it has exited, asked without a pause."""
    start_line = request("guest-exec", path="/bin/true")

    def once(client: Client) -> float:
        start = time.perf_counter_ns()
        client.exchange(start_line)
        started = client.value()
        assert isinstance(started, dict)
        status_line = request("guest-exec-status", pid=started["pid"])
        while True:
            client.exchange(status_line)
            if b'"exited": true' in client.answer():
                break
        elapsed = time.perf_counter_ns() - start
        status = client.value()
        if status != {"exited": True, "exitcode": 0}:
            raise AgentFailed(f"/bin/true: {status}")
        return elapsed / 1e6

    def measure(client: Client) -> float:
        return statistics.median(once(client) for _ in range(amount.execs))

    return paired(place, "exec /bin/true", "ms", _alternate(clients, amount.rounds, measure))


def _files(pair: Pair, amount: Amount) -> Iterator[Row]:
    clients = connect(pair.ours), connect(pair.theirs)
    content = os.urandom(FILE)
    name = f"{pair.scratch}/read"
    _store(clients[0], name, content)
    readers = {client: client.ask("guest-file-open", path=name, mode="r") for client in clients}
    writers = {
        client: client.ask("guest-file-open", path=f"{pair.scratch}/write{at}", mode="w+")
        for at, client in enumerate(clients)
    }
    for label, (size, count, most_rounds) in SIZES.items():
        chunks, rounds = min(count, amount.chunks), min(most_rounds, amount.bulk_rounds)

        def read(client: Client, size: int = size, chunks: int = chunks) -> float:
            return _read(client, readers[client], content, size, chunks)

        def write(client: Client, size: int = size, chunks: int = chunks) -> float:
            return _write(client, writers[client], content, size, chunks)

        for what, measure in (("read", read), ("write", write)):
            found = _alternate(clients, rounds, measure)
            yield paired(pair.place, f"{what} {label}", "MiB/s", found, speed=True)
    for client in clients:
        client.close()


def _store(client: Client, name: str, content: bytes) -> None:
    handle = client.ask("guest-file-open", path=name, mode="w")
    for at in range(0, len(content), MIB):
        piece = base64.b64encode(content[at : at + MIB]).decode()
        client.ask("guest-file-write", handle=handle, buf_b64=piece)
    client.ask("guest-file-close", handle=handle)


def _read(client: Client, handle: object, content: bytes, size: int, chunks: int) -> float:
    """MiB a second; what came is compared with what is there, after the clock."""
    client.ask("guest-file-seek", handle=handle, offset=0, whence=0)
    line = request("guest-file-read", handle=handle, count=size)
    start = time.perf_counter_ns()
    for _ in range(chunks):
        client.exchange(line)
    elapsed = time.perf_counter_ns() - start
    last = client.value()
    assert isinstance(last, dict)
    if base64.b64decode(last["buf-b64"]) != content[(chunks - 1) * size : chunks * size]:
        raise AgentFailed("the file has other bytes")
    return chunks * size / MIB / (elapsed / 1e9)


def _write(client: Client, handle: object, content: bytes, size: int, chunks: int) -> float:
    """MiB a second; the end of what was written is read back, after the clock."""
    client.ask("guest-file-seek", handle=handle, offset=0, whence=0)
    piece = content[:size]
    line = request("guest-file-write", handle=handle, buf_b64=base64.b64encode(piece).decode())
    start = time.perf_counter_ns()
    for _ in range(chunks):
        client.exchange(line)
    elapsed = time.perf_counter_ns() - start
    if client.value() != {"count": size, "eof": False}:
        raise AgentFailed("not all was written")
    client.ask("guest-file-flush", handle=handle)
    client.ask("guest-file-seek", handle=handle, offset=-min(size, 4096), whence=1)
    back = client.ask("guest-file-read", handle=handle, count=4096)
    assert isinstance(back, dict)
    if base64.b64decode(back["buf-b64"]) != piece[-4096:]:
        raise AgentFailed("other bytes were written")
    return chunks * size / MIB / (elapsed / 1e9)


def _reconnect(pair: Pair, amount: Amount) -> Iterator[Row]:
    """As Proxmox VE asks: a connection for each command, with two lines in one write."""
    chance = random.Random(1)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(amount.reconnects):
        for path, found in ((pair.ours, ours), (pair.theirs, theirs)):
            time.sleep(chance.uniform(0.02, amount.gap))
            found.append(_one_command(path, 1000 + number))
    for label, percent in (("p50", 50), ("p95", 95)):
        figures = _percentile(ours, percent), _percentile(theirs, percent)
        yield single(pair.place, f"reconnect {label}", "ms", *figures)


def _one_command(path: Path, number: int) -> float:
    lines = request("guest-sync-delimited", id=number) + request("guest-ping")
    start = time.perf_counter_ns()
    client = Client(path, room=4096)
    client.send(lines)
    client.receive_lines(2)
    elapsed = time.perf_counter_ns() - start
    answer = client.answer().rpartition(b"\xff")[2]
    client.close()
    if b'"return": %d' % number not in answer:
        raise AgentFailed(f"out of step: {answer[:200]!r}")
    return elapsed / 1e6


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]
