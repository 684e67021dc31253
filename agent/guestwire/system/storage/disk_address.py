"""Where a disk is plugged in, read off its path in sysfs: controller, bus, target and unit.

The numbers are those by which libvirt finds the disk among the ones it gave to the guest.
"""

from __future__ import annotations

import posixpath
from typing import NamedTuple, Optional

from .. import sysfs
from ..root import Root
from . import block

IDE_MAJORS = (3, 22)  # two disks each


class Pci(NamedTuple):
    domain: int
    bus: int
    slot: int
    function: int


UNKNOWN_PCI = Pci(-1, -1, -1, -1)


class Ccw(NamedTuple):
    """A channel device of s390."""

    cssid: int
    ssid: int
    subchno: int
    devno: int


class Place(NamedTuple):
    """`bus_type` is one of QEMU's GuestDiskBusType: "virtio", "scsi", "ide", "unknown" ..."""

    bus_type: str = "unknown"
    bus: int = 0
    target: int = 0
    unit: int = 0


class DiskAddress(NamedTuple):
    device: block.Device
    place: Place
    pci: Optional[Pci]
    ccw: Optional[Ccw]
    serial: str


def of(root: Root, device: block.Device) -> DiskAddress:
    """The address of a real disk or partition; of a virtual one, see `block.backing`."""
    path = _through_controller(root, device.path)
    parts = path.split("/")
    controller = _controller(parts)
    return DiskAddress(
        device,
        _place(root, parts, controller),
        _pci(parts[controller]),
        _ccw(parts),
        block.serial(root, device),
    )


def describe(address: DiskAddress) -> dict[str, object]:
    """A GuestDiskAddress of QEMU's schema. libvirt refuses one without `pci-controller`."""
    told: dict[str, object] = {
        "pci-controller": (address.pci or UNKNOWN_PCI)._asdict(),
        "bus-type": address.place.bus_type,
        "bus": address.place.bus,
        "target": address.place.target,
        "unit": address.place.unit,
    }
    if address.device.node:
        told["dev"] = address.device.node
    if address.serial:
        told["serial"] = address.serial
    if address.ccw is not None:
        told["ccw-address"] = address.ccw._asdict()
    return told


def _through_controller(root: Root, path: str) -> str:
    """A disk of an NVMe subsystem lies below no controller; the first of its own stands for all."""
    if "/nvme-subsystem/" not in path:
        return path
    subsystem = "/".join(path.split("/")[:6])
    for number in sysfs.numbered(root, subsystem, "nvme"):
        return sysfs.link(root, f"{subsystem}/nvme{number}", missing=path)
    return path


def _controller(parts: list[str]) -> int:
    """Where in the path the last PCI device is, those before it being bridges; 0 for none."""
    return max((at for at, part in enumerate(parts) if _pci(part)), default=0)


def _pci(part: str) -> Optional[Pci]:
    """As in 0000:00:1f.2."""
    domain, _, rest = part.partition(":")
    bus, _, rest = rest.partition(":")
    slot, _, function = rest.partition(".")
    try:
        return Pci(int(domain, 16), int(bus, 16), int(slot, 16), int(function, 16))
    except ValueError:
        return None


def _ccw(parts: list[str]) -> Optional[Ccw]:
    """As in css0/0.0.0007/0.0.0a01, the subchannel and the device on it."""
    if not parts[3].startswith("css"):
        return None
    try:
        cssid, ssid, subchannel = (int(number, 16) for number in parts[4].split("."))
        devno = int(parts[5].split(".")[2], 16)
    except (ValueError, IndexError):
        return None
    return Ccw(cssid, ssid, subchannel, devno)


def _place(root: Root, parts: list[str], controller: int) -> Place:
    """What is nearest to the controller decides: a SCSI disk behind USB is a disk on USB."""
    for at, part in enumerate(parts[controller:], controller):
        kind = part.rstrip("0123456789")
        if kind == "usb":
            return Place("usb")
        if kind == "mmc_host":
            return Place("mmc")
        if kind == "nvme":
            return Place("nvme")
        if kind == "vbd-":
            return Place("xen", unit=_xen_disk(int(part[4:])))
        if kind == "virtio":
            return _scsi(parts) or Place("virtio")
        if kind == "ata" and part != kind:
            return _ata(root, parts, controller, at)
    return _other(root, parts, controller)


def _scsi(parts: list[str]) -> Optional[Place]:
    """As in target2:0:1/2:0:1:5, where 2 is the host: channel, target, LUN."""
    for part, following in zip(parts, parts[1:]):
        numbers = following.split(":")
        if part.startswith("target") and len(numbers) == 4:
            return Place("scsi", *map(int, numbers[1:]))
    return None


def _ata(root: Root, parts: list[str], controller: int, at: int) -> Place:
    """The kernel counts ports over all controllers; the host counts those of each."""
    number = int(parts[at][3:])
    port = sum(n < number for n in sysfs.numbered(root, "/".join(parts[:at]), "ata"))
    if _driver(root, parts, controller) == "ata_piix":
        disk = _scsi(parts)
        return Place("ide", bus=port, unit=disk.target if disk else 0)
    return Place("sata", unit=port)


def _other(root: Root, parts: list[str], controller: int) -> Place:
    disk = _scsi(parts)
    if disk is None:
        return Place()
    if _driver(root, parts, controller) == "sym53c8xx":
        return Place("scsi", unit=disk.target)  # libvirt calls an lsilogic target the unit
    return disk


def _driver(root: Root, parts: list[str], controller: int) -> str:
    device = "/".join(parts[: controller + 1])
    return posixpath.basename(sysfs.link(root, f"{device}/driver", missing=""))


def _xen_disk(number: int) -> int:
    """The disk's number in a virtual device's (xen-vbd-interface(7)): 0 for xvda, sda, hda."""
    if number >> 28:  # the extended numbering, for more than 16 disks
        return (number >> 8) & 0xFFFFF
    if number >> 8 in IDE_MAJORS:
        return 2 * IDE_MAJORS.index(number >> 8) + (number >> 6 & 1)
    return (number >> 4) & 0xF
