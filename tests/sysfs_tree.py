"""A guest's block devices as files below a directory, laid out as the kernel lays out /sys."""

from __future__ import annotations

import os
from pathlib import Path


class SysfsTree:
    """Paths of devices are given below /sys/devices, numbers as "major:minor"."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def file(self, path: str, text: str = "") -> None:
        real = self.top / path.lstrip("/")
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_text(text)

    def link(self, path: str, target: str) -> None:
        real = self.top / path.lstrip("/")
        real.parent.mkdir(parents=True, exist_ok=True)
        real.symlink_to(os.path.relpath(target, os.path.dirname(path)))

    def disk(self, device: str, number: str, size: int = 2048) -> str:
        path = self._device(device, number, "disk")
        self.file(f"{path}/size", f"{size}\n")
        for directory in ("slaves", "holders"):
            (self.top / path.lstrip("/") / directory).mkdir()
        self.link("/sys/block/" + os.path.basename(device), path)
        return path

    def partition(self, device: str, number: str) -> str:
        path = self._device(device, number, "partition")
        self.file(f"{path}/partition", "1\n")
        return path

    def made_from(self, virtual: str, *below: str) -> None:
        """Paths as `disk` and `partition` returned them."""
        for path in below:
            self.link(f"{virtual}/slaves/{os.path.basename(path)}", path)
            self.link(f"{path}/holders/{os.path.basename(virtual)}", virtual)

    def driver(self, device: str, name: str) -> None:
        self.link(f"/sys/devices/{device}/driver", f"/sys/bus/pci/drivers/{name}")

    def mountinfo(self, *mounts: tuple[str, str, str, str]) -> None:
        """Each a number, a mount point, a type and a source."""
        lines = [
            f"{at} 1 {number} / {point} rw,relatime - {kind} {source} rw\n"
            for at, (number, point, kind, source) in enumerate(mounts, 20)
        ]
        self.file("/proc/self/mountinfo", "".join(lines))

    def _device(self, device: str, number: str, kind: str) -> str:
        path = f"/sys/devices/{device}"
        major, minor = number.split(":")
        name = os.path.basename(device)
        uevent = f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE={kind}\nDISKSEQ=9\n"
        self.file(f"{path}/uevent", uevent)
        self.link(f"/sys/dev/block/{number}", path)
        return path
