"""A guest under QEMU alone: named virtio-serial ports, QMP, a console, a plug to pull.

By hand: `python3 tests/vm/guest.py --release bookworm` boots one and says where its
sockets are.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Optional

if __name__ == "__main__":  # run as a file it belongs to no package
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from vm import images, install
from vm.channel import Channel, NoAnswer, Qmp, ask_console, open_agent
from vm.images import Image

AGENT = "org.qemu.guest_agent.0"
NATIVE = "org.guestwire.agent.0"
SPARE = "org.example.spare.0"  # nobody serves it unless a test says so
SIDE = "org.guestwire.side.0"  # the rig's own door: Debian's qemu-ga, whatever is under test
PORTS = (AGENT, NATIVE, SPARE, SIDE)

# Without cx16: QEMU 7.2 spoils the flags of cmpxchg16b now and then, and Linux 6.12 dies of it.
# Without svm: the guest would spend a second on loading kvm.
CPU = "qemu64,-cx16,-svm"
BOOT = "console=ttyS0 root=/dev/vda rw quiet net.ifnames=0 mitigations=off"
BOOT += " modprobe.blacklist=ata_piix"


def kernel_arguments(agent: str) -> str:
    """`agent` is "guestwire" (comes by its udev rule), "qemu-ga" or "none"."""
    if agent == "qemu-ga":
        return f"{BOOT} systemd.wants=qemu-guest-agent.service"
    return BOOT


class Guest:
    """A guest with disks of its own in `directory`; what it wrote outlives `kill` and `start`."""

    def __init__(
        self,
        image: Image,
        directory: Path,
        agent: str = "guestwire",
        ports: tuple[str, ...] = PORTS,
        memory: int = 512,
        boot: str = "",
    ) -> None:
        self.image = image
        self.directory = directory
        self.agent = agent
        self.ports = ports
        self.memory = memory
        self.boot = f"{kernel_arguments(agent)} {boot}"
        self.console = directory / "console.log"
        self.qmp: Optional[Qmp] = None
        self._side: Optional[Channel] = None
        self._process: Optional[subprocess.Popen[bytes]] = None
        disk = install.disk(image, directory) if agent == "guestwire" else image.disk
        overlay(disk, directory / "root.qcow2")
        overlay(image.data, directory / "data.qcow2")

    def port(self, name: str) -> Path:
        """The socket of the port `name` on the host."""
        return self.directory / name

    def start(self) -> None:
        with open(self.directory / "qemu.log", "a") as log:
            command = self._command()
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        end = time.monotonic() + 20
        while self.qmp is None:
            try:
                self.qmp = Qmp(self.directory / "qmp")
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    words = (self.directory / "qemu.log").read_text()
                    raise NoAnswer(f"QEMU did not start: {words}") from None
                time.sleep(0.02)

    def open(self, name: str = AGENT, timeout: float = 240) -> Channel:
        """A channel to the agent on the port `name`, as soon as it answers."""
        try:
            return open_agent(self.port(name), timeout)
        except NoAnswer as error:
            raise NoAnswer(f"{error}\n{why(self.directory)}") from None

    @property
    def side(self) -> Channel:
        """The rig's own way to run programs in this guest."""
        if self._side is None:
            self._side = self.open(SIDE)
        return self._side

    def settle(self) -> None:
        """Until the boot is over: agents answer before the last disk is mounted."""
        settle(self.side)

    def plug(self, name: str) -> None:
        """Add the port `name` to the running guest."""
        assert self.qmp is not None
        path = {"type": "unix", "data": {"path": str(self.port(name))}}
        backend = {"type": "socket", "data": {"addr": path, "server": True, "wait": False}}
        self.qmp.call("chardev-add", {"id": f"c-{name}", "backend": backend})
        port: dict[str, object] = {
            "driver": "virtserialport",
            "id": name,
            "name": name,
            "chardev": f"c-{name}",
        }
        self.qmp.call("device_add", port)

    def unplug(self, name: str) -> None:
        assert self.qmp is not None
        self.qmp.call("device_del", {"id": name})
        self.qmp.event("DEVICE_DELETED", device=name)
        self.qmp.call("chardev-remove", {"id": f"c-{name}"})

    def wait(self, timeout: float = 90) -> None:
        """Until the guest has switched itself off."""
        assert self._process is not None
        self._process.wait(timeout)
        self._gone()

    def kill(self) -> None:
        """Pull the plug."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._gone()

    def stop(self) -> None:
        """End the guest and remove its disks; the console's log stays."""
        self.kill()
        for disk in self.directory.glob("*.qcow2"):
            disk.unlink()
        install.disk_path(self.directory).unlink(missing_ok=True)

    def _gone(self) -> None:
        for channel in (self.qmp, self._side):
            if channel is not None:
                channel.close()
        self.qmp = self._side = self._process = None

    def _command(self) -> list[str]:
        path = self.directory
        argv = ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg,thread=multi"]
        argv += ["-cpu", CPU, "-smp", "2"]
        argv += ["-nodefaults", "-nographic", "-rtc", "base=utc", "-device", "virtio-rng-pci"]
        argv += ["-m", str(self.memory)]
        argv += ["-kernel", str(self.image.path / "vmlinuz")]
        argv += ["-initrd", str(self.image.path / "initrd"), "-append", self.boot]
        for disk in ("root", "data"):
            argv += [
                "-drive",
                f"file={path}/{disk}.qcow2,if=virtio,discard=unmap,cache=writethrough",
            ]
        argv += ["-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net"]
        argv += ["-chardev", f"socket,id=con,path={path}/console,server=on,wait=off,"
                 f"logfile={self.console},logappend=on", "-serial", "chardev:con"]  # fmt: skip
        argv += ["-qmp", f"unix:{path}/qmp,server=on,wait=off"]
        argv += ["-device", "virtio-serial-pci,max_ports=16"]
        for name in self.ports:
            argv += ["-chardev", f"socket,id=c-{name},path={self.port(name)},server=on,wait=off"]
            argv += ["-device", f"virtserialport,id={name},name={name},chardev=c-{name}"]
        return argv


# systemd does not count what udev has yet to announce: the last mount and the address of eth0.
SETTLED = """
systemctl is-system-running --wait
for _ in $(seq 300); do
    findmnt /mnt/loop && ip -4 address show dev eth0 | grep inet && exit
    sleep 0.2
done
"""

QUESTIONS = "systemctl --failed; systemctl list-jobs; journalctl --no-pager -b -n 60"


def settle(side: Channel) -> None:
    """Wait until the guest is as it will stay; a unit that failed is not our matter here."""
    side.run(SETTLED, timeout=180)


def why(directory: Path) -> str:
    """What a guest that does not answer has to say: the end of its log, and of its journal."""
    log = (directory / "console.log").read_text(errors="replace")[-2000:]
    return log + ask_console(directory / "console", QUESTIONS)


def overlay(base: Path, top: Path) -> None:
    """A disk that begins as `base` and keeps its own changes in `top`."""
    images.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(top)])


def main() -> None:
    parser = argparse.ArgumentParser(description="Boot a guest and keep it until Ctrl-C.")
    parser.add_argument("--release", default="bookworm", choices=images.RELEASES)
    parser.add_argument("--agent", default="guestwire", choices=("guestwire", "qemu-ga", "none"))
    parser.add_argument("--memory", type=int, default=512, help="MiB")
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="guestwire-vm-"))
    start = time.monotonic()
    guest = Guest(images.image(options.release), directory, options.agent, memory=options.memory)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        print(
            f"a shell:  socat -,raw,echo=0,escape=0x1d UNIX-CONNECT:{directory}/console  (^] ends)"
        )
        print(f"its log:  {guest.console}")
        print(f'a talk:   echo \'{{"execute":"guest-ping"}}\' | nc -U {guest.port(AGENT)}')
        print(f"others:   {guest.port(NATIVE)}  {guest.port(SIDE)} (the rig's own qemu-ga)")
        sys.stdout.flush()
        guest.start()
        with contextlib.suppress(KeyboardInterrupt):
            guest.open(SIDE if options.agent == "none" else AGENT).close()
            print(f"it answers after {time.monotonic() - start:.1f} s; Ctrl-C ends it", flush=True)
            signal.pause()
    finally:
        guest.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
