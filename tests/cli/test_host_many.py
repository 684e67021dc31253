"""guestwire with fifty guests at once, some of which do not answer."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time

import pytest

import agents

ALIVE, SILENT, GONE = 45, 3, 2
TIMEOUT = 4  # seconds for each guest


@pytest.fixture(scope="module")
def guests(tmp_path_factory):
    """Addresses: of real agents, of sockets that say nothing, of sockets that are not there."""
    directory = tmp_path_factory.mktemp("many")
    alive = [f"unix:{directory}/alive{number}" for number in range(ALIVE)]
    gone = [f"unix:{directory}/gone{number}" for number in range(GONE)]
    more = [word for address in alive for word in ("--channel", address)]
    listeners = []
    for number in range(SILENT):
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(f"{directory}/silent{number}")
        listeners[-1].listen()
    silent = [f"unix:{directory}/silent{number}" for number in range(SILENT)]
    with agents.Agent(directory, agents.ours, ("--root", "/", *more)):
        yield [*alive, *silent, *gone]
    for listener in listeners:
        listener.close()


def guestwire(*arguments):
    code = "import sys; from guestwire.cli.host import main; sys.exit(main())"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, timeout=60)
    return done, time.monotonic() - started


def test_each_has_a_result_within_the_time_for_one(guests):
    many = [word for address in guests for word in ("-g", address)]
    options = ("-j", "50", "--json", "--timeout", str(TIMEOUT))
    done, seconds = guestwire("exec", *options, *many, "--", "echo", "hi")
    results = {one["guest"]: one for one in json.loads(done.stdout)["guests"]}
    assert list(results) == guests
    assert [results[one]["result"]["out"] for one in guests[:ALIVE]] == ["hi\n"] * ALIVE
    assert all(results[one]["error"]["code"] for one in guests[ALIVE:])
    assert done.returncode == 125
    assert seconds < 3 * TIMEOUT + 10  # not ALIVE times, nor SILENT times


def test_ping_names_those_that_do_not_answer(guests):
    done, _ = guestwire("ping", "-j", "50", "--timeout", "2", *guests)
    assert done.stdout.count(b"answers in") == ALIVE
    for dead in guests[ALIVE:]:
        assert dead.encode() in done.stderr
