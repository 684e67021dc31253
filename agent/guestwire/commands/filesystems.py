"""File systems that are mounted from disks: where, how full, and on which disks they lie."""

from __future__ import annotations

import os
import posixpath

from ..dispatch.command import Context
from ..system.root import Root
from ..system.storage import block, disk_address
from ..system.storage.mounts import Mount, file_systems


def get_fsinfo(context: Context) -> list[dict[str, object]]:
    """In reverse mount order, as qemu-ga has it; libvirt turns it round again."""
    return [_describe(context.root, mount) for mount in reversed(file_systems(context.root))]


def _describe(root: Root, mount: Mount) -> dict[str, object]:
    try:
        device = block.by_number(root, mount.major, mount.minor)
        name, disks = device.name, _disks(root, device)
    except OSError:  # a container sees mounts of devices that its sysfs does not show
        name, disks = posixpath.basename(mount.source), []
    return {
        "name": name,
        "mountpoint": mount.mountpoint,
        "type": mount.fstype,
        **_sizes(root, mount.mountpoint),
        "disk": disks,
    }


def _disks(root: Root, device: block.Device) -> list[dict[str, object]]:
    below = block.backing(root, device)
    return [disk_address.describe(disk_address.of(root, disk)) for disk in below]


def _sizes(root: Root, mountpoint: str) -> dict[str, int]:
    """Bytes used, those plus what users may still write, and all; {} when it is gone or broken."""
    try:
        status = os.statvfs(root.path(mountpoint))
    except OSError:
        return {}
    used = status.f_blocks - status.f_bfree
    return {
        "used-bytes": used * status.f_frsize,
        "total-bytes": (used + status.f_bavail) * status.f_frsize,
        "total-bytes-privileged": status.f_blocks * status.f_frsize,
    }
