"""What we tell of this machine, beside what the real QEMU guest agent tells of it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time

import pytest

from guestwire.commands import (
    cpus,
    disks,
    filesystems,
    interfaces,
    logins,
    memory,
    osinfo,
    statistics,
)
from guestwire.errors import CommandError
from guestwire.system.root import Root

QEMU_GA = shutil.which("qemu-ga", path=os.environ["PATH"] + ":/usr/sbin")

pytestmark = pytest.mark.skipif(
    QEMU_GA is None or os.geteuid() != 0, reason="needs qemu-ga, and root for it"
)


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Ask the real agent."""
    directory = tmp_path_factory.mktemp("qemu-ga")
    path = str(directory / "socket")
    agent = subprocess.Popen([QEMU_GA, "-m", "unix-listen", "-p", path, "-t", str(directory)])
    deadline = time.monotonic() + 10
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.01)
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(path)
        lines = channel.makefile("rwb")

        def ask(command, **arguments):
            request = {"execute": command, "arguments": arguments}
            lines.write(json.dumps(request).encode() + b"\n")
            lines.flush()
            return json.loads(lines.readline())

        yield ask
    agent.terminate()
    agent.wait()


@pytest.fixture
def live(context):
    return context._replace(root=Root("/"))


def by(key, entries):
    return {entry[key]: entry for entry in entries}


def outcome(handler, *arguments):
    """What a handler returns, or the text of what it raises."""
    try:
        return handler(*arguments)
    except CommandError as error:
        return str(error)


def theirs(answer):
    return answer["return"] if "return" in answer else answer["error"]["desc"]


def without(entry, *names):
    return {key: value for key, value in entry.items() if key not in names}


def test_osinfo_is_the_same(ask, live):
    assert osinfo.get_osinfo(live) == ask("guest-get-osinfo")["return"]


def test_users_are_the_same_where_there_is_utmp(ask, live):
    if not os.path.exists("/run/utmp"):
        pytest.skip("this machine keeps no utmp")
    ours = by("user", logins.get_users(live))
    assert ours == by("user", ask("guest-get-users")["return"])


def test_interfaces_are_the_same_but_for_what_is_counted_meanwhile(ask, live):
    ours = by("name", interfaces.get_interfaces(live))
    theirs = by("name", ask("guest-network-get-interfaces")["return"])
    assert set(ours) == set(theirs)
    for name, entry in ours.items():
        assert without(entry, "statistics") == without(theirs[name], "statistics")
        assert set(entry.get("statistics", ())) == set(theirs[name].get("statistics", ()))


def test_processors_are_the_same(ask, live):
    assert by("logical-id", cpus.get_vcpus(live)) == by(
        "logical-id", ask("guest-get-vcpus")["return"]
    )


@pytest.mark.parametrize(
    "vcpus",
    [
        [],
        [{"logical-id": 0, "online": True}],
        [{"logical-id": 0, "online": True}, {"logical-id": 9999, "online": True}],
        [{"logical-id": 9999, "online": True}],
    ],
)
def test_changes_of_processors_that_change_nothing_have_the_same_outcome(ask, live, vcpus):
    assert outcome(cpus.set_vcpus, live, vcpus) == theirs(ask("guest-set-vcpus", vcpus=vcpus))


def test_memory_blocks_are_the_same(ask, live):
    ours = by("phys-index", memory.get_blocks(live))
    assert ours == by("phys-index", ask("guest-get-memory-blocks")["return"])


def test_the_size_of_memory_blocks_is_the_same_or_missing_for_both(ask, live):
    answer = ask("guest-get-memory-block-info")
    assert outcome(memory.get_block_info, live) == theirs(answer)


def test_changes_of_memory_blocks_that_change_nothing_have_the_same_outcome(ask, live):
    changes = [{"phys-index": 0, "online": True}, {"phys-index": 999999, "online": False}]
    answer = ask("guest-set-memory-blocks", **{"mem-blks": changes})
    assert outcome(memory.set_blocks, live, changes) == theirs(answer)


def test_disks_are_the_same(ask, live):
    ours = by("name", disks.get_disks(live))
    theirs = by("name", ask("guest-get-disks")["return"])
    for entry in (*ours.values(), *theirs.values()):
        entry.pop("smart", None)  # counts on
    assert ours == theirs


def test_file_systems_are_the_same_but_for_what_is_written_meanwhile(ask, live):
    ours = by("mountpoint", filesystems.get_fsinfo(live))
    theirs = by("mountpoint", ask("guest-get-fsinfo")["return"])
    assert set(ours) <= set(theirs)  # qemu-ga before 9.2 lists bind mounts, too
    for mountpoint, entry in ours.items():
        their = theirs[mountpoint]
        changing = ("used-bytes", "total-bytes-privileged")
        assert without(entry, *changing) == without(their, *changing)
        assert abs(entry["used-bytes"] - their["used-bytes"]) < 1 << 30


def test_counters_of_disks_have_the_same_columns(ask, live):
    ours = by("name", statistics.get_diskstats(live))
    theirs = by("name", ask("guest-get-diskstats")["return"])
    assert set(ours) == set(theirs)
    for name, entry in ours.items():
        assert without(entry, "stats") == without(theirs[name], "stats")
        assert set(entry["stats"]) == set(theirs[name]["stats"])
        for counter in ("read-ios", "read-sectors", "write-ios", "write-sectors", "flush-ios"):
            earlier, later = entry["stats"][counter], theirs[name]["stats"][counter]
            assert earlier <= later < earlier + 100_000


def test_counters_of_processors_have_the_same_columns(ask, live):
    ours = by("cpu", statistics.get_cpustats(live))
    theirs = by("cpu", ask("guest-get-cpustats")["return"])
    assert set(ours) == set(theirs)
    for number, entry in ours.items():
        assert set(entry) == set(theirs[number])
        assert abs(entry["user"] - theirs[number]["user"]) < 10_000
