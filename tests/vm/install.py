"""Our agent in a guest's disk, as a user would put it there: a wheel, by the guest's own pip."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from vm import images
from vm.images import BuildError, Image

TREE = Path(__file__).resolve().parents[2]
SOURCES = ("agent", "pyproject.toml", "README.md", "LICENSE", "service-units")
UNITS = "/etc/systemd/system"
RULES = "/etc/udev/rules.d"
# Debian's package python3-pip-whl has pip as a wheel, which runs without being installed.
# (A pattern that goes on behind the wheel's name would match no file.)
PIP = "$(echo /usr/share/python-wheels/pip-*.whl)/pip install --quiet --no-deps --no-index"
# debugfs on a directory that is there already, and on a file that is not there yet.
EXPECTED = ("Ext2 directory already exists", "File not found by ext2_lookup")


def disk_path(directory: Path) -> Path:
    return directory / "disk.img"


def disk(image: Image, directory: Path) -> Path:
    """A copy of the image's disk in `directory`, with the agent of this tree installed."""
    made = disk_path(directory)
    images.run(["cp", "--sparse=always", "--reflink=auto", str(image.disk), str(made)])
    with tempfile.TemporaryDirectory(prefix="guestwire-wheel-") as work:
        _write(made, _stage(image, Path(work)))
    return made


@functools.cache
def wheel() -> tuple[str, bytes]:
    """(name, bytes) of a wheel of this tree, built once a run from a copy: the tree stays clean."""
    with tempfile.TemporaryDirectory(prefix="guestwire-wheel-") as work:
        for name in SOURCES:
            source = TREE / name
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(source, Path(work, name), ignore=ignore)
            elif source.exists():
                shutil.copy(source, work)
        argv = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *_isolation()]
        images.run([*argv, "--wheel-dir", f"{work}/wheel", work])
        (made,) = Path(work, "wheel").glob("*.whl")
        return made.name, made.read_bytes()


def _isolation() -> list[str]:
    """Where the build's tools are here already, nothing has to be downloaded."""
    have = all(importlib.util.find_spec(name) for name in ("setuptools", "wheel"))
    return ["--no-build-isolation"] if have else []


def _stage(image: Image, work: Path) -> Path:
    """What an installation adds to the guest, below a directory of its own in `work`."""
    name, data = wheel()
    with tempfile.TemporaryDirectory(prefix="guestwire-", dir=image.tree / "tmp") as shared:
        inside = "/tmp/" + os.path.basename(shared)
        Path(shared, name).write_bytes(data)
        _in_tree(image, f"python3 {PIP} --root {inside}/stage {inside}/{name}")
        _add_units(image, Path(shared, "stage"), f"{inside}/stage")
        shutil.copytree(Path(shared, "stage"), work / "stage", symlinks=True)
    return work / "stage"


def _add_units(image: Image, stage: Path, inside: str) -> None:
    for kind, target in ((".service", UNITS), (".socket", UNITS), (".rules", RULES)):
        for source in sorted((TREE / "service-units").glob(f"*{kind}")):
            path = stage / target[1:] / source.name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, path)
            if kind != ".rules" and "\n[Install]\nWantedBy" in source.read_text():
                _in_tree(image, f"systemctl --root={inside} enable {source.name}")


def _in_tree(image: Image, command: str) -> None:
    """Run a command of the guest, without a trace in the tree."""
    clean = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    clean["PIP_BREAK_SYSTEM_PACKAGES"] = "1"  # older pips do not know the option
    images.run(["chroot", str(image.tree), "/bin/sh", "-c", command], env=clean)


def _write(disk: Path, stage: Path) -> None:
    """Copy `stage` into an ext4 image; debugfs needs no mount, hence no loop device."""
    lines = []
    for path in sorted(stage.rglob("*")):
        name = "/" + str(path.relative_to(stage))
        if path.is_symlink():
            lines.append(f"symlink {name} {os.readlink(path)}")
        elif path.is_dir():
            lines.append(f"mkdir {name}")
        else:
            # A .pyc counts only with the mtime of its source, and debugfs writes "now".
            lines += [f"rm {name}", f"write {path} {name}"]
            lines.append(f"sif {name} mtime @{int(path.stat().st_mtime)}")
    done = subprocess.run(
        ["debugfs", "-w", "-f", "-", str(disk)],
        input="\n".join(lines), capture_output=True, text=True
    )  # fmt: skip
    said = done.stderr.splitlines()[1:]
    wrong = [line for line in said if line.strip() and not any(one in line for one in EXPECTED)]
    if done.returncode or wrong:
        raise BuildError("debugfs: " + "\n".join(wrong))
