"""Disk images of Debian guests, made from the packages of this machine's own mirror.

An image is a directory in the cache: `tree` (the guest's files), `disk.img` (the same
as ext4), `data.img` (a second disk with a file system inside a file system), `vmlinuz`
and `initrd`. Its name ends with a hash of the recipe, so that a changed recipe makes a
new image and an unchanged one is made once.

By hand: `python3 tests/vm/images.py [RELEASE...]`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

RELEASES = ("bullseye", "bookworm", "trixie")  # Python 3.9, 3.11 and 3.13

PACKAGES = (
    "systemd-sysv udev dbus iproute2 openssh-server linux-image-cloud-amd64 kmod e2fsprogs tzdata"
    " python3 python3-msgpack python3-serial qemu-guest-agent"
)
MORE_PACKAGES = {
    "bullseye": "ifupdown python-pip-whl python3-distutils",
    "bookworm": "ifupdown python3-pip-whl util-linux-extra",  # -extra: hwclock
    "trixie": "python3-pip-whl util-linux-extra",  # systemd-networkd is in systemd
}

MMDEBSTRAP = (
    "--variant=minbase",
    "--mode=root",
    "--format=directory",
    "--aptopt=Acquire::Check-Valid-Until false",  # mirrors may be snapshots
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    # An initrd of only what finds the root is a third of the size, and of the time to unpack.
    "--essential-hook=mkdir -p $1/etc/initramfs-tools/conf.d",
    "--essential-hook=echo MODULES=list > $1/etc/initramfs-tools/conf.d/guestwire",
    "--essential-hook=printf '%s\\n' virtio_pci virtio_blk ext4 > $1/etc/initramfs-tools/modules",
)

FSTAB = """\
/dev/vda / ext4 noatime 0 0
/dev/vdb /mnt/data ext4 nofail 0 0
/mnt/data/loop.img /mnt/loop ext4 loop,nofail 0 0
"""

AUTOLOGIN = """\
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --keep-baud 115200 %I linux
"""

# The rig's own way in: Debian's qemu-ga on a port that no agent under test looks at.
SIDE_DOOR = """\
[Unit]
Description=The test rig's own way into this guest
DefaultDependencies=no
BindsTo=dev-virtio\\x2dports-org.guestwire.side.0.device
After=dev-virtio\\x2dports-org.guestwire.side.0.device
StartLimitIntervalSec=0

[Service]
RuntimeDirectory=guestwire-side
ExecStart=/usr/sbin/qemu-ga -m virtio-serial -p /dev/virtio-ports/org.guestwire.side.0 \\
    -t /run/guestwire-side -f /run/guestwire-side/pid
Restart=always
RestartSec=1
"""

# Debian's rule of this name would start qemu-ga with its port; this one only lets units name ports.
PORT_RULES = """\
SUBSYSTEM=="virtio-ports", TAG+="systemd"
SUBSYSTEM=="virtio-ports", ATTR{name}=="org.guestwire.side.0", \\
  ENV{SYSTEMD_WANTS}="guestwire-side.service"
"""

FILES = {
    "/etc/fstab": FSTAB,
    "/etc/machine-id": "6775657374776972652d746573740a00\n",  # an empty one means "first boot"
    "/etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf": AUTOLOGIN,
    "/etc/systemd/system/guestwire-side.service": SIDE_DOOR,
    "/etc/udev/rules.d/60-qemu-guest-agent.rules": PORT_RULES,
}

IFUPDOWN = """\
auto lo
allow-hotplug eth0
iface lo inet loopback
iface eth0 inet static
    address 10.0.2.15/24
    gateway 10.0.2.2
"""
NETWORKD = "[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n"
NETWORK_FILES = {
    "bullseye": {"/etc/network/interfaces": IFUPDOWN},
    "bookworm": {"/etc/network/interfaces": IFUPDOWN},
    "trixie": {"/etc/systemd/network/10-eth0.network": NETWORKD},
}

MASKED = (
    "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer"
    " e2scrub_reap.service fstrim.timer getty@tty1.service"
    " systemd-networkd-wait-online.service systemd-timesyncd.service"
)
# Run in the new tree. The ssh server is there for those who start it: its start is slow under TCG.
FINISH = (
    f"systemctl mask --quiet {MASKED}",
    "systemctl disable --quiet ssh.service 2>/dev/null",
    "systemctl enable --quiet serial-getty@ttyS0.service",
    "useradd --create-home --shell /bin/bash alice",
    "mkdir -p /mnt/data /mnt/loop",
    "rm -f /etc/apt/apt.conf.d/99mmdebstrap /etc/resolv.conf",
    "touch /etc/.updated /var/.updated",  # newer than /usr: nothing is brought up to date at boot
)
FINISH_MORE = {"bullseye": (), "bookworm": (), "trixie": ("systemctl enable systemd-networkd",)}


class BuildError(Exception):
    """An image cannot be made on this machine; the text says why."""


class Image(NamedTuple):
    """A guest that can be booted; never written to."""

    release: str
    path: Path

    @property
    def tree(self) -> Path:
        return self.path / "tree"

    @property
    def disk(self) -> Path:
        return self.path / "disk.img"

    @property
    def data(self) -> Path:
        return self.path / "data.img"


def image(release: str, rebuild: bool = False) -> Image:
    """The image of `release`, made first when the cache lacks it (about a minute)."""
    made = Image(release, cache() / f"{release}-{key(release)}")
    with _alone(release):
        if rebuild and made.path.exists():
            shutil.rmtree(made.path)
        if not made.path.exists():
            _build(made)
    return made


def cache() -> Path:
    """Where images are kept: outside the tree, shared by all checkouts."""
    own = os.environ.get("GUESTWIRE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(own or Path(home, "guestwire")) / "vm"


def key(release: str) -> str:
    text = json.dumps([_packages(release), MMDEBSTRAP, _files(release), _finish(release), "1"])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def mirror() -> str:
    """The Debian mirror that apt uses here, or the one GUESTWIRE_DEBIAN_MIRROR names."""
    chosen = os.environ.get("GUESTWIRE_DEBIAN_MIRROR")
    if chosen:
        return chosen
    argv = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    sites = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
    for site in sites:
        if site.rstrip("/").endswith("/debian") or "/archive/debian/" in site:
            return site
    raise BuildError("apt has no Debian mirror here: name one in GUESTWIRE_DEBIAN_MIRROR")


def _build(made: Image) -> None:
    parent = made.path.parent
    for left_over in parent.glob(f".{made.release}-*"):  # of a build that was interrupted
        shutil.rmtree(left_over)
    work = Path(tempfile.mkdtemp(prefix=f".{made.release}-", dir=parent))
    unfinished = Image(made.release, work)
    _bootstrap(unfinished)
    _configure(unfinished)
    _disks(unfinished)
    work.chmod(0o755)
    work.rename(made.path)


def _bootstrap(made: Image) -> None:
    include = ",".join(_packages(made.release))
    argv = ["mmdebstrap", *MMDEBSTRAP, *_apt_network_options(), f"--include={include}"]
    run([*argv, made.release, str(made.tree), mirror()])


def _apt_network_options() -> list[str]:
    """mmdebstrap does not read this machine's apt.conf: a proxy set there must be passed on."""
    argv = ["apt-config", "dump", "--format", '%f "%v";%n']
    lines = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    return [f"--aptopt={line}" for line in lines if line.startswith("Acquire::http")]


def _configure(made: Image) -> None:
    for name, text in _files(made.release).items():
        path = made.tree / name[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for command in _finish(made.release):
        run(["chroot", str(made.tree), "/bin/sh", "-c", command])


def _disks(made: Image) -> None:
    for kind, name in (("vmlinuz-*", "vmlinuz"), ("initrd.img-*", "initrd")):
        (found,) = (made.tree / "boot").glob(kind)
        shutil.move(str(found), made.path / name)
    run(["mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(made.tree), str(made.disk), "2G"])
    inside = made.path / "data"
    inside.mkdir()
    run(["mke2fs", "-q", "-t", "ext4", "-L", "loop", str(inside / "loop.img"), "16M"])
    run(["mke2fs", "-q", "-t", "ext4", "-L", "data", "-d", str(inside), str(made.data), "64M"])
    shutil.rmtree(inside)


def _packages(release: str) -> list[str]:
    return (PACKAGES + " " + MORE_PACKAGES[release]).split()


def _files(release: str) -> dict[str, str]:
    name = f"guest-{release}"
    hosts = f"127.0.0.1 localhost\n127.0.1.1 {name}\n"
    return {**FILES, **NETWORK_FILES[release], "/etc/hostname": name + "\n", "/etc/hosts": hosts}


def _finish(release: str) -> tuple[str, ...]:
    return FINISH + FINISH_MORE[release]


def run(argv: list[str], **options: object) -> str:
    """What `argv` says; a BuildError with its last words when it fails."""
    done = subprocess.run(  # type: ignore[call-overload]
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        raise BuildError(f"{' '.join(argv)[:200]}: exit {done.returncode}\n{text[-3000:]}")
    return str(text)


@contextmanager
def _alone(release: str) -> Iterator[None]:
    """Two runs at once must not both build: the second waits and finds the image."""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / f"{release}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> None:
    for release in sys.argv[1:] or RELEASES:
        start = time.monotonic()
        print(f"{image(release).path}  ({time.monotonic() - start:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
