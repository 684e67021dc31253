"""Both agents in one guest, each on a virtio-serial port of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from cheap_client import connect
from results import VIRTIO, Row, paired
from talks import Pair
from vm import images
from vm.guest import AGENT, SIDE, Guest

RELEASE = "bookworm"
THEIRS = "org.guestwire.bench.0"
START_THEIRS = (
    "systemd-run --quiet --unit bench-qemu-ga --property RuntimeDirectory=bench"
    f" qemu-ga -m virtio-serial -p /dev/virtio-ports/{THEIRS} -t /run/bench -f /run/bench/pid"
)
UNITS = ("guestwire-agent", "bench-qemu-ga")
SCRATCH = "/dev/shm"


@contextlib.contextmanager
def both(directory: Path) -> Iterator[TwoAgents]:
    """A guest in which both run, until the block ends."""
    guest = Guest(images.image(RELEASE), directory, ports=(AGENT, THEIRS, SIDE))
    try:
        guest.start()
        guest.settle()
        yield TwoAgents(guest)
    finally:
        guest.stop()


class TwoAgents:
    """What is asked of the guest itself goes through the rig's own agent, a third one."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.shell(START_THEIRS)
        self.pids = [self.shell(f"systemctl show --property MainPID --value {u}") for u in UNITS]
        self.pair = Pair(VIRTIO, guest.port(AGENT), guest.port(THEIRS), SCRATCH, self._wake_ups)
        for path in (self.pair.ours, self.pair.theirs):
            connect(path).close()

    def memory_row(self) -> Row:
        ours, theirs = (self._resident(pid) for pid in self.pids)
        row = paired(VIRTIO, "memory idle", "MiB", [(ours, theirs)])
        return row._replace(bare=self._resident_bare())

    def versions(self) -> dict[str, str]:
        """Of what the guest consists."""
        return {
            "guest": f"Debian {self.shell('cat /etc/debian_version')}",
            "guest's kernel": self.shell("uname -r"),
            "guest's Python": self.shell("python3 -V").split()[-1],
            "guest's qemu-ga": self.shell("qemu-ga -V").split()[-1],
        }

    def shell(self, command: str) -> str:
        done = self._guest.side.run(command)
        if done.exitcode:
            raise RuntimeError(f"{command}: {done.err}")
        return done.out.strip()

    def _resident(self, pid: str) -> float:
        return int(self.shell(f"grep VmRSS /proc/{pid}/status").split()[1]) / 1024

    def _resident_bare(self) -> float:
        """Of an interpreter that has imported nothing."""
        code = "import os; os.write(1, os.read(os.open('/proc/self/status', 0), 4096))"
        said = self.shell(f'python3 -c "{code}"').split("VmRSS:")[1]
        return int(said.split()[0]) / 1024

    def _wake_ups(self) -> tuple[int, int]:
        ours, theirs = (self._switches(pid) for pid in self.pids)
        return ours, theirs

    def _switches(self, pid: str) -> int:
        lines = self.shell(f"grep -h ^voluntary_ctxt /proc/{pid}/task/*/status")
        return sum(int(line.split()[1]) for line in lines.splitlines())
