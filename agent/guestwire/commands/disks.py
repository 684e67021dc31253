"""Disks and partitions, and where they are plugged in."""

from __future__ import annotations

from ..dispatch.command import Context
from ..system.root import Root
from ..system.storage import block, disk_address, nvme

HEALTH_COUNTERS = (  # in the order of nvme.Health.counters
    "data-units-read",
    "data-units-written",
    "host-read-commands",
    "host-write-commands",
    "controller-busy-time",
    "power-cycles",
    "power-on-hours",
    "unsafe-shutdowns",
    "media-errors",
    "number-of-error-log-entries",
)


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
    if disk.virtual:
        alias = block.mapping(root, disk)
        return {**reply, "alias": alias} if alias else reply
    address = disk_address.of(root, disk)
    reply["address"] = disk_address.describe(address)
    if address.place.bus_type == "nvme":
        reply.update(_smart(root, disk))
    return reply


def _smart(root: Root, disk: block.Device) -> dict[str, object]:
    """The member `smart`; {} when the disk does not tell."""
    try:
        health = nvme.health(root, disk.node)
    except OSError:
        return {}
    smart: dict[str, object] = {
        "type": "nvme",
        "critical-warning": health.critical_warning,
        "temperature": health.temperature,
        "available-spare": health.available_spare,
        "available-spare-threshold": health.available_spare_threshold,
        "percentage-used": health.percentage_used,
    }
    for name, (low, high) in zip(HEALTH_COUNTERS, health.counters):
        smart[f"{name}-lo"] = low
        smart[f"{name}-hi"] = high
    return {"smart": smart}
