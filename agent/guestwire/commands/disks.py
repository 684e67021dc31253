"""Disks and partitions, and where they are plugged in."""

from __future__ import annotations

from ..dispatch.command import Context
from ..system import block, disk_address
from ..system.root import Root

UNKNOWN_PCI = disk_address.Pci(-1, -1, -1, -1)


def get_disks(context: Context) -> list[dict[str, object]]:
    """Every disk that has a size, followed by its partitions."""
    found = []
    for disk in block.disks(context.root):
        found.append(_disk(context.root, disk))
        for partition in block.partitions(context.root, disk):
            found.append(
                {"name": partition.node, "partition": True, "dependencies": [disk.node]},
            )
    return found


def _disk(root: Root, disk: block.Device) -> dict[str, object]:
    made_from = [slave.node for slave in block.slaves(root, disk)]
    reply: dict[str, object] = {"name": disk.node, "partition": False, "dependencies": made_from}
    if not disk.virtual:
        reply["address"] = address(root, disk)
    alias = block.mapping(root, disk) if disk.virtual else ""
    if alias:
        reply["alias"] = alias
    return reply


def address(root: Root, device: block.Device) -> dict[str, object]:
    """A GuestDiskAddress. libvirt refuses one without `pci-controller`, so it is there always."""
    found = disk_address.of(root, device)
    reply: dict[str, object] = {
        "pci-controller": (found.pci or UNKNOWN_PCI)._asdict(),
        "bus-type": found.place.bus_type,
        "bus": found.place.bus,
        "target": found.place.target,
        "unit": found.place.unit,
    }
    if device.node:
        reply["dev"] = device.node
    if found.serial:
        reply["serial"] = found.serial
    if found.ccw is not None:
        reply["ccw-address"] = found.ccw._asdict()
    return reply
