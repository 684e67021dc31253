"""A libvirt of our own, and guests as its domains.

The daemon runs in a mount namespace where its directories are ours, so a libvirt that
this machine may have is neither used nor disturbed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Optional

import libvirt

from vm import install
from vm.channel import Channel, NoAnswer, open_agent
from vm.guest import AGENT, SIDE, kernel_arguments, overlay, settle, why
from vm.images import Image

# The guests are ours, and so are their files: no other user, no labels, no cgroups, no virtlogd.
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = [ ]
cgroup_controllers = [ ]
stdio_handler = "file"
"""
LIBVIRTD_CONF = 'auth_unix_ro = "none"\nauth_unix_rw = "none"\n'

PLACES = {"run": "/run/libvirt", "etc": "/etc/libvirt", "lib": "/var/lib/libvirt",
          "log": "/var/log/libvirt", "cache": "/var/cache/libvirt"}  # fmt: skip

DOMAIN = """\
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{image}/vmlinuz</kernel>
    <initrd>{image}/initrd</initrd>
    <cmdline>{boot}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact' check='none'>
    <model>qemu64</model>
    <feature policy='disable' name='cx16'/>
    <feature policy='disable' name='svm'/>
  </cpu>
  <clock offset='utc'/>
  <on_reboot>restart</on_reboot>
  <devices>
    {disks}
    <controller type='usb' model='none'/>
    <interface type='user'><model type='virtio'/></interface>
    <serial type='unix'>
      <source mode='bind' path='{directory}/console'/>
      <log file='{directory}/console.log' append='on'/>
    </serial>
    <channel type='unix'><target type='virtio' name='{agent_port}'/></channel>
    <channel type='unix'>
      <source mode='bind' path='{directory}/{side_port}'/>
      <target type='virtio' name='{side_port}'/>
    </channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='none'/>
  </devices>
</domain>
"""
DISK = """\
<disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='writethrough' discard='unmap'/>
      <source file='{path}'/><target dev='{device}' bus='virtio'/>
    </disk>"""


class VirshError(Exception):
    """virsh refused; the text is what it said."""


class Host:
    """libvirtd below `directory`, from `start` to `stop`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.uri = f"qemu+unix:///system?socket={directory}/run/libvirt-sock"
        self.connection: Optional[libvirt.virConnect] = None
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        for name in PLACES:
            (self.directory / name).mkdir(exist_ok=True)
        (self.directory / "etc/qemu.conf").write_text(QEMU_CONF)
        (self.directory / "etc/libvirtd.conf").write_text(LIBVIRTD_CONF)
        mounts = [f"mkdir -p {to} && mount --bind {name} {to}" for name, to in PLACES.items()]
        script = " && ".join([*mounts, "exec libvirtd --pid-file run/libvirtd.pid"])
        with open(self.directory / "libvirtd.log", "w") as log:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "/bin/sh", "-c", script],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )  # fmt: skip
        _run_event_loop()
        self.connection = self._connect()

    def virsh(self, *arguments: str, timeout: float = 90) -> str:
        """What the real virsh prints; VirshError when it fails."""
        done = subprocess.run(
            ["virsh", "--connect", self.uri, *arguments],
            capture_output=True, text=True, timeout=timeout, env={**os.environ, "LC_ALL": "C"}
        )  # fmt: skip
        if done.returncode:
            raise VirshError(done.stderr.strip())
        return done.stdout.strip()

    def stop(self) -> None:
        """End every guest and the daemon."""
        if self.connection is not None:
            for domain in self.connection.listAllDomains():
                with contextlib.suppress(libvirt.libvirtError):
                    domain.destroy()
            self.connection.close()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def _connect(self) -> libvirt.virConnect:
        end = time.monotonic() + 60
        while True:
            try:
                return libvirt.open(self.uri)
            except libvirt.libvirtError as error:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > end:
                    words = (self.directory / "libvirtd.log").read_text()
                    raise NoAnswer(f"libvirtd does not answer: {words}") from error
                time.sleep(0.1)


class Domain:
    """A guest that libvirt runs."""

    def __init__(self, host: Host, image: Image, directory: Path, agent: str = "guestwire") -> None:
        self.host = host
        self.image = image
        self.directory = directory
        self.name = image.release
        self.agent = agent
        self.agent_events: list[str] = []
        self._side: Optional[Channel] = None
        disk = install.disk(image, directory) if agent == "guestwire" else image.disk
        overlay(disk, directory / "root.qcow2")
        overlay(image.data, directory / "data.qcow2")
        assert host.connection is not None
        self.handle = host.connection.defineXML(self._xml())
        host.connection.domainEventRegisterAny(
            self.handle, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, self._agent_event, None
        )

    @property
    def service(self) -> str:
        """The unit of the agent under test."""
        return "qemu-guest-agent" if self.agent == "qemu-ga" else "guestwire-agent"

    @property
    def side(self) -> Channel:
        """The rig's own way to run programs in this guest."""
        if self._side is None:
            self._side = open_agent(self.directory / SIDE)
        return self._side

    def virsh(self, command: str, *arguments: str, timeout: float = 90) -> str:
        return self.host.virsh(command, self.name, *arguments, timeout=timeout)

    def shell(self, command: str) -> str:
        """Standard output of a shell command in the guest; it must succeed."""
        done = self.side.run(command)
        assert done.exitcode == 0, done
        return done.out.strip()

    def start(self) -> None:
        self.handle.create()
        self.wait_for_agent()

    def wait_for_agent(self, timeout: float = 240) -> None:
        """Until the boot is over and libvirt reaches the agent."""
        try:
            settle(self.side)
            until(lambda: self.channel_state() == "connected", timeout)
        except NoAnswer as error:
            raise NoAnswer(f"{error}\n{why(self.directory)}") from None

    def drop_side(self) -> None:
        """Forget the side door's connection, as after a reboot."""
        if self._side is not None:
            self._side.close()
        self._side = None

    def channel_state(self) -> Optional[str]:
        """libvirt's view of the agent's channel: connected or disconnected."""
        target = f"devices/channel/target[@name='{AGENT}']"
        found = ElementTree.fromstring(self.handle.XMLDesc()).find(target)
        return None if found is None else found.get("state")

    def stop(self) -> None:
        """End the guest and remove its disks; the console's log stays."""
        self.drop_side()
        if self.handle.isActive():
            self.handle.destroy()
        self.handle.undefine()
        for disk in self.directory.glob("*.qcow2"):
            disk.unlink()
        install.disk_path(self.directory).unlink(missing_ok=True)

    def _agent_event(self, _conn: object, _dom: object, state: int, _why: int, _: object) -> None:
        connected = libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
        self.agent_events.append("connected" if state == connected else "disconnected")

    def _xml(self) -> str:
        disks = {"vda": self.directory / "root.qcow2", "vdb": self.directory / "data.qcow2"}
        return DOMAIN.format(
            name=self.name,
            memory=512,
            image=self.image.path,
            boot=kernel_arguments(self.agent),
            directory=self.directory,
            disks="\n    ".join(DISK.format(path=p, device=d) for d, p in disks.items()),
            agent_port=AGENT,
            side_port=SIDE,
        )


def until(true: object, timeout: float = 30) -> None:
    """Wait for `true()`."""
    assert callable(true)
    end = time.monotonic() + timeout
    while not true():
        if time.monotonic() > end:
            raise NoAnswer(f"not so within {timeout} s")
        time.sleep(0.1)


_loop: Optional[threading.Thread] = None


def _run_event_loop() -> None:
    """libvirt's events need a loop, once a process, and before the first connection."""
    global _loop
    if _loop is None:
        libvirt.registerErrorHandler(lambda *_: None, None)  # errors are raised; also printed else
        libvirt.virEventRegisterDefaultImpl()
        _loop = threading.Thread(target=_turn, daemon=True)
        _loop.start()


def _turn() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
