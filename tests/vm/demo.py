"""`make demo VM=1`: the same requests, over the virtio-serial port of a real guest."""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

from vm import conftest, images
from vm.channel import Channel
from vm.guest import AGENT, Guest

Requests = Callable[[str, str], list[tuple[str, dict[str, object]]]]
Ask = Callable[[socket.socket, str, dict[str, object]], None]

RELEASE = "bookworm"
USER = "alice"  # whom the image has
INTERFACE = "eth1"  # plugged in for the demo: nobody has configured it
CHANGES = (
    "hostname",
    "cat /etc/hosts",
    f"cat /home/{USER}/.ssh/authorized_keys",
    f"ip -brief address show dev {INTERFACE}",
    f"ip route show dev {INTERFACE}",
    f"cat /etc/network/interfaces.d/guestwire-{INTERFACE}",
)


def main(requests: Requests, ask: Ask) -> int:
    lacking = conftest.missing(conftest.TOOLS)
    if lacking:
        print(f"no demo: {lacking}", file=sys.stderr)
        return 1
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="guestwire-demo-") as scratch:
        image = images.image(RELEASE)
        guest = Guest(image, Path(scratch))
        try:
            print(f"a guest of Debian {RELEASE} boots, with the agent in it, without KVM ...")
            guest.start()
            guest.open(AGENT).close()
            print(f"the agent answers after {time.monotonic() - begin:.0f} s")
            _plug_interface(guest)
            print(f"its port on the host is {guest.port(AGENT)}\n")
            with socket.socket(socket.AF_UNIX) as host:
                host.connect(str(guest.port(AGENT)))
                for command, arguments in requests(USER, INTERFACE):
                    ask(host, command, arguments)
            _show_changes(guest.side)
        finally:
            guest.stop()
    print(f"\nthe guest is gone, after {time.monotonic() - begin:.0f} s")
    return 0


def _plug_interface(guest: Guest) -> None:
    """A network card that leads nowhere."""
    assert guest.qmp is not None
    guest.settle()
    guest.qmp.call("netdev_add", {"type": "user", "id": "demo", "restrict": True})
    guest.qmp.call("device_add", {"driver": "virtio-net-pci", "netdev": "demo"})
    guest.side.run(f"while ! ip link show {INTERFACE}; do sleep 0.1; done")


def _show_changes(side: Channel) -> None:
    print("what is so in the guest now, seen through another door (Debian's own qemu-ga):")
    for command in CHANGES:
        done = side.run(command)
        print(f"\n  # {command}")
        for line in (done.out + done.err).splitlines():
            print(f"  {line}")
