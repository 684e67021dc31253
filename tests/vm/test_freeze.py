"""Freezes of whole guests: their root too, with the agent's own files on it."""

from __future__ import annotations

import time

import pytest

from vm.channel import Refused

UNIT = "guestwire-agent.service"
CONFIG = "/etc/guestwire/agent.conf"
STATE_ON_DISK = "[agent]\nstatedir = /var/lib/guestwire\nlog-file = /var/log/guestwire.log\n"
ALL = {"/", "/mnt/data", "/mnt/loop"}


@pytest.fixture
def configure(guest):
    """Give the agent a configuration, and take it back after the test."""
    if guest.agent != "guestwire":
        pytest.skip("qemu-ga has neither our configuration nor our commands")

    def write(text):
        done = guest.side.run(
            f"mkdir -p /etc/guestwire && printf %s '{text}' > {CONFIG} && systemctl restart {UNIT}"
        )
        assert done.exitcode == 0, done.err

    yield write
    guest.side.run(f"rm -f {CONFIG}; systemctl restart {UNIT}")


@pytest.fixture
def agent(guest):
    """A way to ask the agent, also across its restarts; nothing stays frozen."""

    def ask(command, **arguments):
        with guest.open() as channel:
            return channel.call(command, {k.replace("_", "-"): v for k, v in arguments.items()})

    yield ask
    ask("guest-fsfreeze-thaw")


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.2)


def frozen(report):
    return {mount["mountpoint"] for mount in report["mounts"] if mount["result"] == "frozen"}


def main_pid(guest):
    return guest.side.run(f"systemctl show --property=MainPID --value {UNIT}").out.strip()


def test_a_whole_guest_is_frozen_and_the_file_in_a_file_first(configure, agent):
    configure("")
    report = agent("fs.freeze", timeout=60)
    assert frozen(report) == ALL
    order = [mount["mountpoint"] for mount in report["mounts"]]
    assert order.index("/mnt/loop") < order.index("/mnt/data")
    with pytest.raises(Refused, match="has been disabled"):
        agent("guest-get-host-name")
    assert agent("guest-fsfreeze-thaw") == 3


def test_at_the_deadline_a_guest_thaws_though_state_and_log_are_frozen_and_memory_is_short(
    guest, configure, agent
):
    configure(STATE_ON_DISK)
    assert frozen(agent("fs.freeze", timeout=10)) == ALL
    guest.side.run("head -c 300M /dev/zero | tail -c 1 > /dev/null")
    until(lambda: agent("guest-fsfreeze-status") == "thawed")
    last = agent("fs.status")["last"]
    assert (last["ended"], last["thawed"]) == ("deadline", 3)
    assert 10 <= last["after"] < 20
    log = guest.side.run("cat /var/log/guestwire.log; ls /var/lib/guestwire")
    assert "thawed 3 file systems" in log.out and "isfrozen" not in log.out


@pytest.mark.parametrize("config", ["", STATE_ON_DISK], ids=["state-in-run", "state-on-disk"])
def test_an_agent_that_was_killed_is_followed_by_one_that_can_thaw(guest, configure, agent, config):
    configure(config)
    before = main_pid(guest)  # also reads into memory what is needed while frozen
    assert agent("fs.freeze", timeout=300)["frozen"] == 3
    guest.side.run(f"systemctl kill --signal=KILL --kill-who=main {UNIT}")
    until(lambda: main_pid(guest) not in (before, "0"))
    assert agent("guest-fsfreeze-status") == "frozen"
    assert 0 < agent("fs.status")["left"] < 300
    assert agent("guest-fsfreeze-thaw") == 3
    assert agent("guest-fsfreeze-status") == "thawed"
    done = guest.side.run("touch /after /mnt/data/after /mnt/loop/after; find / -name '*isfrozen'")
    assert (done.exitcode, done.out) == (0, "")


def test_a_frozen_guest_is_not_left_alone_at_sigterm(guest, configure, agent):
    configure("")
    before = main_pid(guest)
    assert agent("guest-fsfreeze-freeze") == 3
    guest.side.run(f"kill -TERM {before}")
    time.sleep(1)
    assert agent("guest-fsfreeze-status") == "frozen" and main_pid(guest) == before
    assert agent("guest-fsfreeze-thaw") == 3
    until(lambda: main_pid(guest) not in (before, "0"))
