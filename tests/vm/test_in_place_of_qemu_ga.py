"""/usr/sbin/qemu-ga is our agent; everything else of Debian's package stays as it is."""

from __future__ import annotations

import pytest

from vm import inside
from vm.guest import AGENT, SPARE

pytestmark = pytest.mark.parametrize("image", ["bookworm"], indirect=True)

QEMU_GA = "/usr/sbin/qemu-ga"
UNIT = "qemu-guest-agent.service"
INIT_SCRIPT = "/etc/init.d/qemu-guest-agent"
RIGS_RULES = "/etc/udev/rules.d/60-qemu-guest-agent.rules"  # hides Debian's file of this name

# The rig's side door runs Debian's binary, and goes on to.
REPLACE = f"""
    set -e
    systemctl disable --now --quiet {inside.UNIT}
    mkdir -p /run/aside
    mv /etc/udev/rules.d/60-guestwire-agent.rules /run/aside
    mv {RIGS_RULES} /etc/udev/rules.d/60-rig.rules
    cp -p {QEMU_GA} /run/aside/qemu-ga
    ln -sf {inside.PROGRAM} {QEMU_GA}
    udevadm control --reload
"""
RESTORE = f"""
    set -e
    systemctl stop {UNIT}
    rm {QEMU_GA}
    cp -p /run/aside/qemu-ga {QEMU_GA}
    mv /etc/udev/rules.d/60-rig.rules {RIGS_RULES}
    mv /run/aside/60-guestwire-agent.rules /etc/udev/rules.d
    udevadm control --reload
    systemctl enable --now --quiet {inside.UNIT}
"""


@pytest.fixture(scope="module")
def replaced(guest):
    """A guest where qemu-ga is ours, and nothing of it has been started yet."""
    if guest.agent != "guestwire":
        pytest.skip("there is nothing to put in qemu-ga's place")
    inside.shell(guest, REPLACE)
    yield guest
    inside.shell(guest, RESTORE)


def who_answers(guest, port=AGENT):
    with guest.open(port, timeout=60) as host:
        assert host.call("guest-info")["version"]
        host.call("agent.commands")  # which the other one does not know
        return True


def test_debians_udev_rule_starts_debians_unit_with_the_port(replaced):
    replaced.unplug(AGENT)
    replaced.plug(AGENT)
    assert who_answers(replaced)
    assert inside.serving(replaced, UNIT).alive()


def test_debians_unit_restarts_it(replaced):
    inside.shell(replaced, f"systemctl start {UNIT}")
    before = inside.serving(replaced, UNIT)
    inside.shell(replaced, f"systemctl restart {UNIT}")
    assert who_answers(replaced)
    assert inside.serving(replaced, UNIT).pid != before.pid
    assert not before.alive()


def test_debians_unit_ends_with_the_port_and_comes_with_it(replaced):
    inside.shell(replaced, f"systemctl start {UNIT}")
    for _ in range(2):
        replaced.unplug(AGENT)
        inside.until(
            lambda: inside.shell(replaced, f"systemctl is-active {UNIT} || true") == "inactive"
        )
        replaced.plug(AGENT)
        assert who_answers(replaced)


def test_with_r_it_waits_for_its_port(replaced):
    path = f"/dev/virtio-ports/{SPARE}"
    with inside.started(replaced, "-r", "-p", path, program=QEMU_GA) as process:
        assert who_answers(replaced, SPARE)
        replaced.unplug(SPARE)
        replaced.plug(SPARE)
        assert who_answers(replaced, SPARE)
        assert process.alive()


def test_debians_init_script_starts_and_stops_it(replaced):
    """With -d and a pid file, by start-stop-daemon, which looks for its name."""
    inside.shell(replaced, f"systemctl stop {UNIT}")
    script = f"SYSTEMCTL_SKIP_REDIRECT=1 {INIT_SCRIPT}"
    inside.shell(replaced, f"{script} start")
    process = inside.Process(replaced, inside.shell(replaced, "cat /run/qemu-ga.pid"))
    assert who_answers(replaced)
    inside.shell(replaced, f"{script} restart")
    assert not process.alive()
    process = inside.Process(replaced, inside.shell(replaced, "cat /run/qemu-ga.pid"))
    assert who_answers(replaced)
    inside.shell(replaced, f"{script} stop")
    assert not process.alive()
    inside.shell(replaced, "test ! -e /run/qemu-ga.pid")
