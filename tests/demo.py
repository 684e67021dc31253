"""`make demo`: the real agent, a scratch guest, a host that asks, and what changed.

Needs no root and no virtual machine. With VM=1 the same requests go to a booted guest.
"""

from __future__ import annotations

import base64
import difflib
import json
import os
import pwd
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

AGENT = Path(__file__).resolve().parent.parent / "agent"
KEY = (
    "ssh-ed25519 "
    + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes(range(32))).decode()
    + " demo@host"
)


def requests(user: str, interface: str) -> list[tuple[str, dict[str, object]]]:
    ethernet = {
        "addresses": ["192.0.2.10/24", "2001:db8::10/64"],
        "routes": [{"to": "default", "via": "192.0.2.1"}],
        "nameservers": {"addresses": ["192.0.2.53"], "search": ["example.org"]},
    }
    return [
        ("guest-ping", {}),
        ("guest-get-osinfo", {}),
        ("hostname.set", {"name": "web-1.example.org"}),
        ("hostname.set", {"name": "not a name"}),
        ("ssh.keys.add", {"user": user, "keys": [KEY]}),
        ("ssh.keys.list", {"user": user}),
        ("network.apply", {"config": {"ethernets": {interface: ethernet}}}),
        ("guest-fsfreeze-freeze", {}),
        ("guest-fsfreeze-status", {}),
        ("guest-fsfreeze-thaw", {}),
    ]


def main() -> int:
    if os.environ.get("VM"):
        return in_a_virtual_machine()
    with tempfile.TemporaryDirectory(prefix="guestwire-demo-") as scratch:
        guest, channel = Path(scratch, "guest"), Path(scratch, "agent.sock")
        furnish(guest)
        before = contents(guest)
        agent = subprocess.Popen(
            [sys.executable, "-m", "guestwire", "run", "--root", str(guest), "--log-level",
             "warning", "--statedir", f"{scratch}/state", "--channel", f"unix:{channel}"],
            env={**os.environ, "PYTHONPATH": str(AGENT)},
        )  # fmt: skip
        print(f"the agent serves unix:{channel}; its guest is the directory {guest}\n")
        try:
            with connect(channel) as host:
                for command, arguments in requests(me(), "eth0"):
                    ask(host, command, arguments)
        finally:
            agent.terminate()
        code = agent.wait()
        show_changes(before, contents(guest))
        print(
            "\n(a directory has no file system of its own to freeze; `make demo VM=1` freezes some)"
        )
        print(f"\nthe agent was told to end, and exited with {code}")
        return code


def in_a_virtual_machine() -> int:
    sys.path.insert(0, str(Path(__file__).parent))
    from vm import demo

    return demo.main(requests, ask)


def me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def furnish(guest: Path) -> None:
    """Just enough of a Debian guest, with the user who runs this in it."""
    files = {
        "etc/hostname": "template\n",
        "etc/hosts": "127.0.0.1\tlocalhost\n127.0.1.1\ttemplate\n",
        "etc/os-release": 'ID=debian\nPRETTY_NAME="A scratch directory"\nVERSION_ID="12"\n',
        "etc/passwd": f"{me()}:x:{os.getuid()}:{os.getgid()}::/home/{me()}:/bin/sh\n",
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service": "",  # enabled
        "etc/systemd/network/80-dhcp.network": "[Match]\nName=e*\n\n[Network]\nDHCP=yes\n",
    }
    for name, text in files.items():
        (guest / name).parent.mkdir(parents=True, exist_ok=True)
        (guest / name).write_text(text)
    (guest / "home" / me()).mkdir(parents=True)


def connect(channel: Path) -> socket.socket:
    host = socket.socket(socket.AF_UNIX)
    give_up = time.monotonic() + 10
    while True:
        try:
            host.connect(str(channel))
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return host


def ask(host: socket.socket, command: str, arguments: dict[str, object]) -> None:
    request = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
    host.sendall(json.dumps(request).encode() + b"\n")
    reply = json.loads(host.makefile("rb").readline())
    print(f"host   {short(json.dumps(request))}")
    if "error" in reply:
        print(f"guest  {reply['error']['class']}: {reply['error']['desc']}\n")
    else:
        print(f"guest  {short(json.dumps(reply['return']))}\n")


def short(text: str, width: int = 230) -> str:
    return text if len(text) <= width else text[: width - 4] + " ..."


def contents(guest: Path) -> dict[str, list[str]]:
    return {
        str(path.relative_to(guest)): path.read_text().splitlines()
        for path in sorted(guest.rglob("*"))
        if path.is_file()
    }


def show_changes(before: dict[str, list[str]], after: dict[str, list[str]]) -> None:
    print("what changed in the guest:")
    for name in sorted({*before, *after}):
        old, new = before.get(name, []), after.get(name, [])
        if old != new:
            print(f"\n  /{name}")
            for line in list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]:
                if not line.startswith("@@"):
                    print(f"    {line}")


if __name__ == "__main__":
    sys.exit(main())
