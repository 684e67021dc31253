"""Addresses of disks on the controllers that QEMU and Xen give to guests."""

from __future__ import annotations

import pytest

from guestwire.system.storage import block, disk_address
from guestwire.system.storage.disk_address import Ccw, Pci, Place
from sysfs_tree import SysfsTree


@pytest.fixture
def tree(tmp_path):
    return SysfsTree(tmp_path)


def address(root, number):
    return disk_address.of(root, block.by_number(root, *map(int, number.split(":"))))


PCI_DISKS = {
    "virtio-blk": (
        "pci0000:00/0000:00:02.0/0000:01:00.0/virtio1/block/vda",
        Pci(0, 1, 0, 0),
        Place("virtio"),
    ),
    "virtio-scsi": (
        "pci0000:00/0000:00:05.0/virtio2/host2/target2:0:1/2:0:1:7/block/sda",
        Pci(0, 0, 5, 0),
        Place("scsi", 0, 1, 7),
    ),
    "nvme": ("pci0000:00/0000:00:1c.3/nvme/nvme0/nvme0n1", Pci(0, 0, 0x1C, 3), Place("nvme")),
    "usb": (
        "pci0000:00/0000:00:1d.7/usb1/1-1/1-1:1.0/host6/target6:0:0/6:0:0:0/block/sdc",
        Pci(0, 0, 0x1D, 7),
        Place("usb"),
    ),
    "mmc": ("pci0000:00/0000:00:06.0/mmc_host/mmc0/mmc0:4567/block/mmcblk0",
            Pci(0, 0, 6, 0), Place("mmc")),
    "vmd": ("pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:01.0/nvme/nvme1/nvme1n1",
            Pci(0x10000, 0xE0, 1, 0), Place("nvme")),
}  # fmt: skip


@pytest.mark.parametrize("kind", PCI_DISKS)
def test_a_disk_on_pci_is_told_with_its_controller(root, tree, kind):
    device, pci, place = PCI_DISKS[kind]
    tree.disk(device, "8:0")
    told = address(root, "8:0")
    assert (told.pci, told.place, told.ccw) == (pci, place, None)


def test_a_partition_has_the_address_of_its_disk(root, tree):
    tree.partition("pci0000:00/0000:00:02.0/virtio1/block/vda/vda1", "254:1")
    assert address(root, "254:1").place == Place("virtio")


def test_of_sata_the_unit_is_the_port_of_that_controller(root, tree):
    """The kernel's ata9 is the third port of a controller whose first is ata7."""
    controller = "pci0000:00/0000:00:1f.2"
    tree.driver(controller, "ahci")
    for port in (7, 8, 9, 10, 11, 12):
        tree.file(f"/sys/devices/{controller}/ata{port}/uevent")
    tree.disk(f"{controller}/ata9/host8/target8:0:0/8:0:0:0/block/sda", "8:0")
    told = address(root, "8:0")
    assert (told.pci, told.place) == (Pci(0, 0, 0x1F, 2), Place("sata", 0, 0, 2))


def test_of_ide_the_bus_is_the_channel_and_the_unit_the_drive(root, tree):
    controller = "pci0000:00/0000:00:01.1"
    tree.driver(controller, "ata_piix")
    for channel in (1, 2):
        tree.file(f"/sys/devices/{controller}/ata{channel}/uevent")
    tree.disk(f"{controller}/ata2/host1/target1:0:1/1:0:1:0/block/sr0", "11:0")
    assert address(root, "11:0").place == Place("ide", 1, 0, 1)


@pytest.mark.parametrize(
    ("driver", "place"),
    [("sym53c8xx", Place("scsi", 0, 0, 3)), ("vmw_pvscsi", Place("scsi", 0, 3, 0))],
)
def test_lsi_controllers_have_a_unit_where_other_scsi_has_a_target(root, tree, driver, place):
    tree.driver("pci0000:00/0000:00:04.0", driver)
    tree.disk("pci0000:00/0000:00:04.0/host2/target2:0:3/2:0:3:0/block/sda", "8:0")
    told = address(root, "8:0")
    assert (told.pci, told.place) == (Pci(0, 0, 4, 0), place)


def test_a_disk_of_an_nvme_subsystem_is_at_its_first_controller(root, tree):
    tree.disk("virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "259:0")
    controller = "/sys/devices/pci0000:00/0000:00:04.0/nvme/nvme0"
    tree.file(f"{controller}/uevent")
    tree.link("/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0", controller)
    told = address(root, "259:0")
    assert (told.pci, told.place) == (Pci(0, 0, 4, 0), Place("nvme"))


@pytest.mark.parametrize(
    ("device", "place"),
    [
        ("platform/a003e00.virtio_mmio/virtio3/block/vda", Place("virtio")),
        ("platform/a.virtio_mmio/virtio3/host0/target0:0:2/0:0:2:1/block/sda",
         Place("scsi", 0, 2, 1)),
        ("vbd-51712/block/xvda", Place("xen", 0, 0, 0)),
        ("vbd-51744/block/xvdc", Place("xen", 0, 0, 2)),
        ("vbd-268439808/block/xvdr", Place("xen", 0, 0, 17)),
        ("vbd-5696/block/xvdd", Place("xen", 0, 0, 3)),
        ("platform/floppy.0/block/fd0", Place("unknown")),
    ],
)  # fmt: skip
def test_a_disk_without_pci_is_told_by_its_bus(root, tree, device, place):
    tree.disk(device, "8:0")
    told = address(root, "8:0")
    assert (told.pci, told.place) == (None, place)


def test_a_channel_device_of_s390_is_told(root, tree):
    tree.disk("css0/0.1.0007/0.1.0a01/virtio1/block/vda", "254:0")
    told = address(root, "254:0")
    assert (told.ccw, told.place) == (Ccw(0, 1, 7, 0xA01), Place("virtio"))
