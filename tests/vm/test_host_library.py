"""The host's library and command with a real libvirt, and an agent in a real guest."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from guestwire.cli.host.commands import run
from guestwire.client import connect, locate
from guestwire.client.errors import (
    AgentNotRunning,
    ChannelBusy,
    GuestCommandFailed,
    GuestFrozen,
    NoSuchChannel,
    NoSuchGuest,
    ThawedEarly,
    VmOff,
    VmPaused,
)
from vm.guest import AGENT, SIDE

ours_alone = pytest.mark.skipif(
    os.environ.get("GUESTWIRE_VM_AGENT", "guestwire") != "guestwire",
    reason="qemu-ga has no deadline",
)
BARE = """<domain type='qemu'><name>bare</name><memory unit='MiB'>16</memory>
<os><type arch='x86_64'>hvm</type></os><devices/></domain>"""


@pytest.fixture
def address(host, domain):
    return f"libvirt+{host.uri}/{domain.name}"


@pytest.fixture
def guest(address):
    with connect(address) as guest:
        yield guest


@pytest.fixture
def bare(host):
    """A domain without any device; it is off."""
    handle = host.connection.defineXML(BARE)
    yield f"libvirt+{host.uri}/bare"
    if handle.isActive():
        handle.destroy()
    handle.undefine()


def test_a_domain_is_found_by_its_name_and_answers(host, domain, monkeypatch):
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", host.uri)
    found = locate.named(domain.name, locate.census())
    assert (found.state, found.uri) == ("running", host.uri)
    assert found.channels[AGENT].connected is True
    with connect(domain.name) as guest:
        assert guest.summary().hostname == f"guest-{domain.name}"


def test_libvirt_carries_every_request(guest, domain, tmp_path):
    result = guest.exec(["sh", "-c", "cat; echo e >&2; exit 3"], input=b"in")
    assert (result.out, result.err, result.code) == (b"in", b"e\n", 3)
    data = os.urandom(2_500_000)
    (tmp_path / "there").write_bytes(data)
    (tmp_path / "there").chmod(0o750)
    assert guest.copy_to(tmp_path / "there", "/root/there").whole
    assert domain.shell("stat -c %a /root/there") == "750"
    guest.copy_from("/root/there", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    with pytest.raises(GuestCommandFailed, match="has not been found"):
        guest.call("guest-nonsense")


def test_a_guest_is_frozen_inside_and_writable_after(guest, domain):
    with guest.frozen() as frozen:
        assert frozen.file_systems >= 2
        assert guest.is_frozen()
    assert domain.shell("touch /root/after && echo yes") == "yes"


@ours_alone
def test_a_deadline_ends_a_freeze_and_what_was_saved_meanwhile_is_spoilt(guest, domain):
    with guest.frozen(deadline=60) as frozen:
        assert (frozen.file_systems >= 2, frozen.seconds) == (True, 60.0)
        with pytest.raises(GuestFrozen, match="guestwire thaw"):
            guest.exec(["true"])
    with pytest.raises(ThawedEarly, match="longer deadline"), guest.frozen(deadline=1):
        time.sleep(3)
    assert domain.shell("touch /root/after && echo yes") == "yes"


def test_a_paused_domain_is_told_at_once(address, domain):
    domain.handle.suspend()
    try:
        begun = time.monotonic()
        with pytest.raises(VmPaused, match=r"paused \(user\); resume it: virsh"):
            connect(address)
        assert time.monotonic() - begun < 2
    finally:
        domain.handle.resume()
    with connect(address, timeout=30, wait=True):
        pass


def test_a_stopped_agent_is_told_at_once_and_waited_for(address, domain):
    domain.shell(f"systemctl stop {domain.service}")
    try:
        begun = time.monotonic()
        with pytest.raises(AgentNotRunning, match="no agent runs in the guest"):
            connect(address)
        assert time.monotonic() - begun < 2
    finally:
        start = threading.Timer(1, domain.shell, (f"systemctl start {domain.service}",))
        start.start()
    with connect(address, timeout=60, wait=True) as guest:
        guest.ping()
    start.join()


def test_another_port_is_a_stream_and_ours_alone(address, domain):
    domain.drop_side()
    with connect(f"{address}#{SIDE}", timeout=30, wait=True) as guest:
        assert guest.exec(["echo", "hi"]).out == b"hi\n"
        data = os.urandom(1_500_000)
        guest.write_file("/root/stream", data)
        assert guest.read_file("/root/stream") == data
        with pytest.raises(ChannelBusy, match=r"has org.guestwire.side.0 open"):
            connect(f"{address}#{SIDE}")
        guest.ping()


def test_a_domain_that_is_off_is_told_with_what_starts_it(bare, host, capsys):
    with pytest.raises(VmOff, match=r"virsh -c .* start bare"):
        connect(bare)
    assert run(["ping", "--json", bare]) == 1
    error = json.loads(capsys.readouterr().out)["guests"][0]["error"]
    assert error["code"] == "vm-off"


def test_a_running_domain_without_a_channel_is_told_the_xml(bare, host):
    host.connection.lookupByName("bare").create()
    with pytest.raises(NoSuchChannel, match=r"<target type='virtio' name='org.qemu.g"):
        connect(bare)


def test_a_domain_that_is_not_there_is_told(host):
    with pytest.raises(NoSuchGuest, match="has no domain 'nobody'"):
        connect(f"libvirt+{host.uri}/nobody")


def test_the_command_runs_a_program_in_a_domain(address, capfd):
    assert run(["exec", address, "--", "sh", "-c", "echo hi; exit 5"]) == 5
    assert capfd.readouterr().out == "hi\n"
