"""Guests found without configuration: command lines as data, and a QEMU that runs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time

import pytest

from guestwire.client import connect, libvirt_host, locate, processes, qemu_options
from guestwire.client.errors import (
    AgentNotRunning,
    ChannelBusy,
    NoSuchChannel,
    NoSuchGuest,
    VmPaused,
)
from guestwire.client.found import Census, Channel, Found

QGA = "org.qemu.guest_agent.0"

BY_HAND = """qemu-system-x86_64 -name web1 -m 512 -chardev socket,path=/run/a,,b.sock,server=on,\
wait=off,id=ch0 -device virtio-serial -device virtserialport,chardev=ch0,name=org.qemu.guest_agent.0
-qmp unix:/run/qmp.sock,server=on,wait=off -device vhost-vsock-pci,guest-cid=7"""
OLD_WORDS = """/usr/libexec/qemu-kvm --name guest=db,debug-threads=on -chardev
socket,id=ch0,path=agent.sock,server,nowait -device virtserialport,name=org.x.0,chardev=ch0
-chardev socket,id=mon,path=/run/mon,server,nowait -mon chardev=mon,mode=control"""
OF_LIBVIRT = """/usr/bin/qemu-system-x86_64 -name guest=web2,debug-threads=on
-uuid 0B2E1C1E-0000-4000-8000-000000000001
-object {"qom-type":"secret","id":"masterKey0"}
-chardev socket,id=charchannel0,fd=30,server=on,wait=off
-device {"driver":"virtserialport","bus":"virtio-serial0.0","nr":1,"chardev":"charchannel0",\
"id":"channel0","name":"org.qemu.guest_agent.0"}"""


@pytest.fixture
def proc(tmp_path):
    """A /proc with three QEMUs and what else there is."""
    top = tmp_path / "proc"
    for pid, text in {
        "101": BY_HAND,
        "102": OLD_WORDS,
        "103": OF_LIBVIRT,
        "104": "vi qemu-system-x86_64",
        "105": "",
    }.items():
        (top / pid).mkdir(parents=True)
        argv = text.split(" ") if "\n" not in text else text.split()
        (top / pid / "cmdline").write_bytes("\0".join(argv).encode() + b"\0")
        (top / pid / "cwd").symlink_to("/srv/vm")
    (top / "self").symlink_to("101")
    (top / "106").mkdir()  # has ended
    return str(top)


def test_qemu_processes_are_found_by_their_command_lines(proc):
    web1, db, web2 = processes.guests(proc, ask_monitors=False)
    assert (web1.name, web1.pid, web1.cid) == ("web1", 101, 7)
    assert web1.channels == {QGA: Channel("/run/a,b.sock")}
    assert web1.monitor == "/run/qmp.sock"
    assert web1.address == "unix:/run/a,b.sock"
    assert (db.name, db.monitor) == ("db", "/run/mon")
    assert db.channels == {"org.x.0": Channel("/srv/vm/agent.sock")}
    assert web2.uuid == "0b2e1c1e-0000-4000-8000-000000000001"
    assert web2.channels == {QGA: Channel(None)}


def test_the_owner_of_a_socket_is_found(proc):
    process, chardev = processes.owner("/srv/vm/../vm/agent.sock", proc)
    assert (process.pid, chardev) == (102, "ch0")
    assert processes.owner("/srv/vm/other.sock", proc) is None


NONSENSE = ["", "-name", "-name ,", "-chardev", "-device {", '-device {"a":[[[]]]}', "-device {}",
            "-chardev socket,path=x -chardev ,,, -device virtserialport",
            "-device virtserialport,chardev=none,name=n", "-qmp unix:", "-mon mode=control",
            "-device vhost-vsock-pci,guest-cid=x"]  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_a_command_line_of_any_kind_is_read_without_a_failure(text):
    assert qemu_options.read(text.split()).uuid == ""


def test_a_socket_that_qemu_connects_to_is_no_way_in():
    machine = qemu_options.read("-chardev socket,id=a,path=/x".split())
    assert machine.chardevs["a"].path is None


def test_a_process_of_a_domain_that_libvirt_told_of_is_not_listed_twice(proc):
    uuid = "0b2e1c1e-0000-4000-8000-000000000001"
    domain = Found("web2", "running", {}, uri="qemu:///system", uuid=uuid)
    running = processes.guests(proc, ask_monitors=False)
    assert [one.name for one in locate.merged([domain], running)] == ["web2", "web1", "db"]


def some(*names, uri=""):
    return Census(tuple(Found(name, "running", {}, uri=uri) for name in names))


def test_a_name_is_enough_when_one_guest_has_it():
    assert locate.named("b", some("a", "b")).name == "b"


@pytest.mark.parametrize(
    ("name", "everything", "words"),
    [
        ("wbe1", some("web1", "db"), "did you mean web1"),
        ("x", some("web1", "db"), "there are db, web1"),
        ("x", Census(()), "no VM was found at all"),
        ("x", Census((), ("qemu:///system: denied",)), "qemu:///system: denied"),
        ("a", some("a", "a", uri="qemu:///system"), "say which: libvirt\\+qemu:///system/a"),
    ],
)
def test_a_name_that_no_guest_has_alone_is_told_with_those_there_are(name, everything, words):
    with pytest.raises(NoSuchGuest, match=words):
        locate.named(name, everything)


XML = """<domain><devices>
<channel type='unix'><source mode='bind' path='/run/x'/>
  <target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/></channel>
<channel type='unix'><target type='virtio' name='org.y.0' state='connected'/></channel>
<channel type='spicevmc'><target type='virtio' name='com.redhat.spice.0'/></channel>
<channel type='unix'><target type='guestfwd' address='10.0.2.1' port='4'/></channel>
</devices></domain>"""


def test_a_domains_xml_tells_its_channels_and_who_holds_them():
    assert libvirt_host.channels(XML) == {
        QGA: Channel("/run/x", False),
        "org.y.0": Channel(None, True),
        "com.redhat.spice.0": Channel(None, None),
    }


def test_a_libvirt_that_hangs_does_not_hang_us():
    pytest.importorskip("libvirt")
    begun = time.monotonic()
    with pytest.raises(libvirt_host.LibvirtRefused, match=r"did not answer within 0.1 s"):
        libvirt_host.within(0.1, "qemu:///system", lambda: time.sleep(2))
    assert time.monotonic() - begun < 1


def test_the_domains_of_a_libvirt_are_listed(monkeypatch):
    pytest.importorskip("libvirt")
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///default")
    found = {one.name: one for one in locate.census("/proc").guests}
    assert found["test"].state == "running"
    assert found["test"].address == "libvirt+test:///default/test"


def test_a_domain_without_a_channel_is_told_the_xml_that_adds_it():
    pytest.importorskip("libvirt")
    with pytest.raises(NoSuchChannel, match=r"<target type='virtio' name='org.qemu.guest_agent"):
        connect("libvirt+test:///default/test")


def test_a_domain_that_is_not_there_is_told_by_name():
    pytest.importorskip("libvirt")
    with pytest.raises(NoSuchGuest, match="test:///default has no domain 'x'"):
        connect("libvirt+test:///default/x")


class Qemu:
    """A QEMU without a disk: enough to be found, and to be paused."""

    def __init__(self, directory, *arguments):
        self.agent = directory / "agent.sock"
        self.qmp = directory / "qmp.sock"
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-m", "32",
             "-name", f"guest={directory.name}", "-device", "virtio-serial",
             "-chardev", f"socket,id=ch0,path={self.agent},server=on,wait=off",
             "-device", f"virtserialport,chardev=ch0,name={QGA},id=port0",
             "-qmp", f"unix:{self.qmp},server=on,wait=off", *arguments],
            stderr=subprocess.PIPE,
        )  # fmt: skip
        end = time.monotonic() + 20
        while not (self.agent.exists() and self.qmp.exists()):
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.02)

    def tell(self, command):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.qmp))
            with connection.makefile("rwb", buffering=0) as lines:
                lines.readline()
                for one in ("qmp_capabilities", command):
                    lines.write(json.dumps({"execute": one}).encode() + b"\n")
                    while "return" not in json.loads(lines.readline()):
                        pass

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def qemu(tmp_path_factory):
    if shutil.which("qemu-system-x86_64") is None:
        if os.environ.get("GUESTWIRE_REQUIRE_VM"):
            pytest.fail("Debian's qemu-system-x86 is not installed")
        pytest.skip("Debian's qemu-system-x86 is not installed")
    running = Qemu(tmp_path_factory.mktemp("vm"), "-S")
    yield running
    running.stop()


def test_a_running_qemu_is_found_with_its_state_and_channels(qemu):
    found = next(one for one in locate.census().guests if one.pid == qemu.process.pid)
    assert found.name == qemu.agent.parent.name
    assert (found.state, found.why) == ("paused", "prelaunch")
    assert found.channels == {QGA: Channel(str(qemu.agent), False)}


@pytest.mark.parametrize("form", ["name", "unix"])
def test_a_paused_vm_is_why_its_agent_is_silent(qemu, form):
    address = f"unix:{qemu.agent}" if form == "unix" else qemu.agent.parent.name
    begun = time.monotonic()
    with pytest.raises(VmPaused, match=r"paused \(prelaunch\); it was started with -S"):
        connect(address)
    assert time.monotonic() - begun < 1.5


def test_a_port_that_the_vm_lacks_is_told_with_the_options_that_add_it(qemu):
    with pytest.raises(NoSuchChannel, match=f"it has {QGA}; start QEMU with: .*name=org.x.0"):
        connect(f"{qemu.agent.parent.name}#org.x.0")


def test_a_channel_in_use_is_busy_before_anything_is_sent(qemu):
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(str(qemu.agent))
        with pytest.raises(ChannelBusy, match="another program is connected"):
            connect(f"unix:{qemu.agent}")


def test_a_running_vm_without_an_agent_is_told_from_a_paused_one(qemu):
    qemu.tell("cont")
    begun = time.monotonic()
    with pytest.raises(AgentNotRunning, match="no agent runs in the guest; start it"):
        connect(f"unix:{qemu.agent}")
    assert time.monotonic() - begun < 1.5
    qemu.tell("stop")
    with pytest.raises(VmPaused, match="resume it"):
        connect(f"unix:{qemu.agent}")
