"""What changes a guest, asked of our agent and of the real qemu-ga that runs beside it.

tests/peer compares all that can be asked without doing anything; this is the rest.
"""

from __future__ import annotations

import time

import pytest

from vm.channel import Refused

SECOND = 10**9
ALLOWED = {"guest-ping", "guest-info", "guest-sync", "guest-sync-delimited",
           "guest-fsfreeze-status", "guest-fsfreeze-thaw"}  # fmt: skip
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1XoIoBzpvv6TkVhpPzXqLvXkjJmMbkTGlVhYQJbV9z a@b"


@pytest.fixture(autouse=True)
def _ours(guest):
    if guest.agent != "guestwire":
        pytest.skip("qemu-ga beside qemu-ga tells nothing")


@pytest.fixture
def ours(guest):
    with guest.open() as channel:
        yield channel
        channel.call("guest-fsfreeze-thaw")


@pytest.fixture
def both(guest, ours):
    """Our agent and theirs, by name."""
    return {"ours": ours, "theirs": guest.side}


@pytest.fixture
def version(guest):
    """Theirs, as (major, minor)."""
    found = guest.side.call("guest-info")["version"]
    return tuple(int(number) for number in found.split(".")[:2])


def outcome(agent, command, **arguments):
    """What a command returns, or the class and the text of its error without the last newline."""
    try:
        return agent.call(command, {name.replace("_", "-"): v for name, v in arguments.items()})
    except Refused as error:
        return f"{error.kind}: {error}".rstrip("\n")


def same(both, command, **arguments):
    """The outcome, which must be the same for both."""
    ours, theirs = (outcome(agent, command, **arguments) for agent in both.values())
    assert ours == theirs
    return ours


def by(key, entries):
    return {entry[key]: entry for entry in entries}


def test_a_processor_goes_offline_and_online_for_both(both):
    for first, second in (both.values(), reversed(both.values())):
        first.call("guest-set-vcpus", {"vcpus": [{"logical-id": 1, "online": False}]})
        seen = [by("logical-id", agent.call("guest-get-vcpus")) for agent in (first, second)]
        assert seen[0] == seen[1]
        assert not seen[0][1]["online"]
        second.call("guest-set-vcpus", {"vcpus": [{"logical-id": 1, "online": True}]})
        assert all(cpu["online"] for cpu in first.call("guest-get-vcpus"))


def test_the_first_processor_stays_online_for_both(both):
    cpus = [{"logical-id": 0, "online": False}]
    assert "can't be offlined" in same(both, "guest-set-vcpus", vcpus=cpus)
    cpus.insert(0, {"logical-id": 1, "online": True})
    assert same(both, "guest-set-vcpus", vcpus=cpus) == 1


def test_memory_blocks_are_the_same_and_the_first_stays_for_both(both):
    ours, theirs = (agent.call("guest-get-memory-blocks") for agent in both.values())
    assert by("phys-index", ours) == by("phys-index", theirs)
    number = min(by("phys-index", ours))
    changes = [{"phys-index": at, "online": on} for at, on in ((number, False), (9999, False))]
    done = same(both, "guest-set-memory-blocks", **{"mem-blks": changes})
    assert [one["response"] for one in done] == ["operation-failed", "not-found"]
    assert same(both, "guest-get-memory-block-info")["size"] > 0


def shadow(guest):
    line = guest.side.run("grep ^alice: /etc/shadow").out
    return line.split(":")[1]


def test_a_password_is_set_by_both_in_the_same_way(guest, both):
    methods = set()
    for agent in both.values():
        before = shadow(guest)
        arguments = {"username": "alice", "password": "c2VjcmV0", "crypted": False}
        assert outcome(agent, "guest-set-user-password", **arguments) == {}
        assert shadow(guest) != before
        methods.add(shadow(guest).split("$")[1])
    assert len(methods) == 1


def test_a_hash_is_stored_as_it_is_by_both(guest, both):
    for agent in both.values():
        guest.side.run("usermod -p '*' alice")
        crypted = "JDYkc2FsdHNhbHQkcUZtRkguYlFtbXRYenlCWTBzOXY3T2ljZDJ6NFhTSWVjRHpsQjVLaUEyL2pj"
        arguments = {"username": "alice", "password": crypted, "crypted": True}
        assert outcome(agent, "guest-set-user-password", **arguments) == {}
        assert shadow(guest).startswith("$6$saltsalt$")


def test_a_user_that_is_not_there_is_chpasswd_s_business_for_both(both, version):
    arguments = {"username": "nobody-here", "password": "c2VjcmV0", "crypted": False}
    ours, theirs = (outcome(a, "guest-set-user-password", **arguments) for a in both.values())
    assert ours.startswith(theirs)  # before 8.2 it did not say why
    assert version < (8, 2) or ours == theirs


@pytest.fixture
def right_time(guest):
    yield
    guest.side.call("guest-set-time", {"time": time.time_ns()})


@pytest.mark.usefixtures("right_time")
def test_the_clock_and_the_hardware_clock_are_set_by_both(both):
    names = list(both)
    for number, (name, agent) in enumerate(both.items()):
        other = both[names[1 - number]]
        wanted = (1_500_000_000 + number * 100_000) * SECOND
        assert outcome(agent, "guest-set-time", time=wanted) == {}
        assert 0 <= other.call("guest-get-time") - wanted < 60 * SECOND
        other.run("date -s @1")
        assert outcome(agent, "guest-set-time") == {}, name
        assert 0 <= other.call("guest-get-time") - wanted < 120 * SECOND


def test_keys_of_one_are_those_of_the_other(guest, both):
    user = {"username": "alice"}
    for first, second in (both.values(), reversed(both.values())):
        first.call("guest-ssh-add-authorized-keys", {**user, "keys": [KEY]})
        for agent in (first, second):
            assert agent.call("guest-ssh-get-authorized-keys", user) == {"keys": [KEY]}
        modes = guest.side.run("cd /home/alice; stat -c '%a %U %n' .ssh .ssh/authorized_keys").out
        assert modes == "700 alice .ssh\n600 alice .ssh/authorized_keys\n"
        second.call("guest-ssh-remove-authorized-keys", {**user, "keys": [KEY]})
        assert first.call("guest-ssh-get-authorized-keys", user) == {"keys": []}
        guest.side.run("rm -r /home/alice/.ssh")


def test_the_same_file_systems_are_trimmed(both):
    ours, theirs = (by("path", agent.call("guest-fstrim")["paths"]) for agent in both.values())
    assert set(ours) == {"/", "/mnt/data", "/mnt/loop"}
    assert {path: sorted(entry) for path, entry in ours.items()} == {
        path: sorted(entry) for path, entry in theirs.items()
    }


def test_the_same_file_systems_and_disks_are_told(both, version):
    passing = {"used-bytes", "total-bytes"}
    if version < (9, 2):
        passing.add("total-bytes-privileged")
    for command, key in (("guest-get-fsinfo", "mountpoint"), ("guest-get-disks", "name")):
        ours, theirs = (
            [
                {name: value for name, value in entry.items() if name not in passing}
                for entry in agent.call(command)
            ]
            for agent in both.values()
        )
        assert by(key, ours) == by(key, theirs)
        if command == "guest-get-fsinfo":
            assert [one[key] for one in ours] == [one[key] for one in theirs]


def test_interfaces_are_the_same_but_with_those_of_a_device_first(both):
    ours, theirs = (agent.call("guest-network-get-interfaces") for agent in both.values())
    for entry in (*ours, *theirs):
        assert sorted(entry.pop("statistics")) == sorted(
            f"{way}-{what}"
            for way in ("rx", "tx")
            for what in ("bytes", "packets", "errs", "dropped")
        )
    assert by("name", ours) == by("name", theirs)
    assert [entry["name"] for entry in ours] == ["eth0", "lo"]
    assert [entry["name"] for entry in theirs] == ["lo", "eth0"]


def test_a_freeze_has_the_same_answers(both, version):
    asked = {}
    for name, agent in both.items():
        asked[name] = [
            outcome(agent, "guest-fsfreeze-freeze"),
            outcome(agent, "guest-fsfreeze-status"),
            outcome(agent, "guest-ping"),
            outcome(agent, "guest-get-time"),
            outcome(agent, "guest-file-read", handle="wrong"),
            outcome(agent, "guest-fsfreeze-freeze"),
            {
                one["name"]
                for one in agent.call("guest-info")["supported_commands"]
                if one["enabled"]
            },
            outcome(agent, "guest-fsfreeze-thaw"),
            outcome(agent, "guest-fsfreeze-thaw"),
            outcome(agent, "guest-fsfreeze-status"),
        ]
    assert asked["ours"][0] == 3
    assert asked["ours"][6] == ALLOWED
    if version < (9, 1):
        assert "command guest-get-time has been disabled" in asked["theirs"][3].lower()
        asked["theirs"][3:6] = asked["ours"][3:6]
    assert asked["ours"] == asked["theirs"]


def test_a_freeze_of_some_file_systems_has_the_same_answers(both):
    for mountpoints in ([], ["/nowhere"], ["/mnt/loop"], ["/mnt/data", "/nowhere", "/mnt/loop"]):
        counts = []
        for agent in both.values():
            frozen = outcome(agent, "guest-fsfreeze-freeze-list", mountpoints=mountpoints)
            status = outcome(agent, "guest-fsfreeze-status")
            counts.append((frozen, status, outcome(agent, "guest-fsfreeze-thaw")))
        assert counts[0] == counts[1]
        assert counts[0][0] == len([path for path in mountpoints if path != "/nowhere"])


def test_a_hibernation_that_cannot_be_is_an_error_and_no_silence(ours):
    """qemu-ga 10.0 answers nothing here: systemd has refused, and the kernel was not asked."""
    assert outcome(ours, "guest-suspend-disk").startswith("GenericError: ")
    assert outcome(ours, "guest-suspend-hybrid").startswith("GenericError: ")
