"""A cage for agents that are asked to do everything: nothing they do reaches this machine.

In namespaces of their own all is read-only but a scratch directory, which both agents see at the
same place, so that their answers can be compared to the letter, and the network is made up. They
may not freeze, trim, set the clock or reboot, and programs that could are replaced.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

SCRATCH = "/media"  # Debian has this directory; what is on it is hidden
USER = "guestwire-test"
UID = 65500
KEYS = f"{SCRATCH}/home/.ssh/authorized_keys"
DENIED = ("sys_admin", "sys_boot", "sys_time", "sys_module", "sys_rawio")
SYS_ADMIN = 21  # linux/capability.h

# Everything that could end, suspend or set the machine says this instead.
REFUSAL = "#!/bin/sh\necho no\necho never >&2\nexit 1\n"
REFUSING = ("poweroff", "halt", "reboot", "shutdown", "systemctl", "hwclock", "pm-hibernate",
            "pm-suspend", "pm-suspend-hybrid", "pm-is-supported")  # fmt: skip

BUILD = """
set -e
scratch=$1; shift
ip link set lo up
ip address add 192.0.2.1/24 dev lo
ip address add 2001:db8::1/64 dev lo
ip route add default dev lo
ip link add veth0 address 02:00:00:00:00:01 type veth peer name veth1 address 02:00:00:00:00:02
mount --make-rprivate /
mount --bind "$scratch" /media
mount -o remount,bind,ro /
mount -o remount,bind,ro /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
cp /media/utmp /run/utmp
if [ -e /sys/power/state ]; then mount --bind /media/power /sys/power/state; fi
while [ "$1" != -- ]; do mount --bind /media/refusal "$1"; shift; done
shift
mount --bind /media/passwd /etc/passwd
cd /media/work
exec setpriv --bounding-set "$CAGE_DENIED" "$@"
"""


def caged(command):
    """A command line for agents.Agent like `command`'s, with the agent in the cage."""

    def caged(socket_path, statedir, *arguments):
        scratch = Path(statedir)
        _furnish(scratch)
        inside = command(f"{SCRATCH}/{socket_path.name}", f"{SCRATCH}/state", *arguments)
        return [
            *("env", "CAGE_DENIED=" + ",".join(f"-{name}" for name in DENIED)),
            *("unshare", "--mount", "--net", "sh", "-c", BUILD, "cage", str(scratch)),
            *(*_present(REFUSING), "--", *inside),
        ]

    return caged


def check(agent):
    """Fail unless the agent has lost what would let it do harm."""
    line = Path(f"/proc/{agent.process.pid}/status").read_text().split("CapEff:")[1]
    assert not int(line.split()[0], 16) >> SYS_ADMIN & 1, "the agent is not caged"


def _present(programs):
    """Where the programs are, links resolved: a mount goes to what a link leads to."""
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    found = (shutil.which(name, path=path) for name in programs)
    return sorted({os.path.realpath(name) for name in found if name})


def _furnish(scratch):
    for name in ("state", "work", "home", "home/.ssh"):
        (scratch / name).mkdir(mode=0o700, exist_ok=True)
    (scratch / "refusal").write_text(REFUSAL)
    (scratch / "refusal").chmod(0o755)
    (scratch / "power").write_text("freeze mem\n")
    own = f"{USER}:x:{UID}:{UID}::{SCRATCH}/home:/bin/sh\n"
    (scratch / "passwd").write_text(Path("/etc/passwd").read_text() + own)
    (scratch / "utmp").write_bytes(_utmp("alice", 1700000000, 250000) + _utmp("bob", 1600000000, 0))
    for name, data in FILES.items():
        (scratch / "work" / name).write_bytes(data)
    os.mkfifo(scratch / "work/fifo")
    for directory in ("home", "home/.ssh"):
        os.chown(scratch / directory, UID, UID)


FILES = {"text": b"one\ntwo\nthree\n", "empty": b"", "binary": bytes(range(256))}


def _utmp(user, seconds, microseconds):
    """A record of somebody who is logged in, as x86 has it; see utmp(5)."""
    line = struct.pack("=h2xi32s4s32s256s4s", 7, 4711, b"tty1", b"1", user.encode(), b"", b"")
    return line + struct.pack("=iIi16s20s", 1, seconds, microseconds, b"", b"")
