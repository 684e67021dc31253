"""Programs in a guest, looked at and started through the rig's own door: they do not notice."""

from __future__ import annotations

import contextlib
import re
import time

UNIT = "guestwire-agent.service"
PROGRAM = "/usr/local/bin/guestwire-agent"


def shell(guest, command, timeout=60):
    """What a command of the guest says; it has to succeed."""
    done = guest.side.run(command, timeout)
    assert done.exitcode == 0, f"{command}: {done.out}{done.err}"
    return done.out.strip()


def until(condition, seconds=30):
    """The condition's value, as soon as it is true."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.1)
    return value


class Process:
    """A process of the guest."""

    def __init__(self, guest, pid):
        self.guest = guest
        self.pid = int(pid)

    def alive(self):
        return self.guest.side.run(f"test -d /proc/{self.pid}").exitcode == 0

    def descriptors(self):
        return shell(self.guest, f"ls -l /proc/{self.pid}/fd | grep -c -e '->'")

    def memory(self):
        """Resident, in KiB."""
        return int(shell(self.guest, f"grep VmRSS /proc/{self.pid}/status").split()[1])

    def cpu_ticks(self):
        """Hundredths of a second, its own and the kernel's for it."""
        fields = shell(self.guest, f"cat /proc/{self.pid}/stat").rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def sleeps(self):
        """How often each thread has gone to sleep of its own accord."""
        text = shell(self.guest, f"grep ^voluntary /proc/{self.pid}/task/*/status")
        return {
            int(thread): int(count) for thread, count in re.findall(r"task/(\d+).*\t(\d+)", text)
        }

    def log(self):
        """What it has written to the file that `started` gave it."""
        return shell(self.guest, f"cat {_LOG}")


def serving(guest, unit=UNIT):
    """The agent that runs as a service, as soon as it has told systemd that it is ready."""
    until(lambda: guest.side.run(f"systemctl is-active --quiet {unit}").exitcode == 0)
    return Process(guest, shell(guest, f"systemctl show --property=MainPID --value {unit}"))


_LOG = "/run/by-hand.log"


@contextlib.contextmanager
def started(guest, *arguments, program=PROGRAM):
    """The agent started by hand, outside of systemd; its exit code goes to a file."""
    line = " ".join((program, *arguments))
    shell(guest, "rm -f /run/by-hand.*")
    shell(guest, f"setsid sh -c '{line} & echo $! > /run/by-hand.pid;"
                 f" wait $!; echo $? > /run/by-hand.code' < /dev/null > {_LOG} 2>&1 &")  # fmt: skip
    pid = until(lambda: guest.side.run("cat /run/by-hand.pid").out.strip())
    try:
        yield Process(guest, pid)
    finally:
        guest.side.run(f"kill -KILL {pid}")


def ended(guest, number, process, patience=5):
    """Send a signal; the exit code of what `started` gave, and the seconds that it took."""
    said = shell(guest, f"""
        begin=$(date +%s%N)
        kill -{number} {process.pid}
        for _ in $(seq {patience * 50}); do [ -d /proc/{process.pid} ] || break; sleep 0.02; done
        end=$(date +%s%N)
        sleep 0.2
        echo $(( (end - begin) / 1000000 )) $(cat /run/by-hand.code || echo none)
    """)  # fmt: skip
    took, code = said.split()
    return code, int(took) / 1000
