"""The qemu-ga of several releases: this machine's, and those in the trees of the guests' images."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

import agents
from vm import images

RELEASES = {"10.0": "trixie"}  # whose image has it


def theirs(version):
    """A function like agents.theirs for a qemu-ga of this version; skips where there is none."""
    agents.require_qemu_ga()
    if version in RELEASES and shutil.which("mmdebstrap"):
        images.image(RELEASES[version])  # made now, if no guest has needed it yet
    for start in _starts():
        said = subprocess.run([*start, "-V"], capture_output=True, text=True, check=False).stdout
        if said.startswith(f"QEMU Guest Agent {version}."):
            return _command(start)
    reason = f"there is no qemu-ga {version} here; `python3 tests/vm/images.py` makes trees with it"
    if os.environ.get("GUESTWIRE_REQUIRE_VM"):
        pytest.fail(reason)
    return pytest.skip(reason)


def _starts():
    """Command lines that start one; that of another release needs its own libraries."""
    yield [agents.QEMU_GA]
    for path in sorted(images.cache().glob("*/tree/usr/sbin/qemu-ga")):
        tree = path.parents[2]
        loader = tree / "usr/lib64/ld-linux-x86-64.so.2"
        if loader.exists():
            yield [str(loader), "--library-path", f"{tree}/usr/lib/x86_64-linux-gnu", str(path)]


def _command(start):
    def command(socket_path, statedir, *arguments):
        _, *options = agents.theirs(socket_path, statedir, *arguments)
        return [*start, *options]

    return command
