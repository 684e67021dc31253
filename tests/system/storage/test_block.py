"""Block devices of small made-up guests."""

from __future__ import annotations

import pytest

from guestwire.system.root import Root
from guestwire.system.storage import block
from sysfs_tree import SysfsTree

VDA = "pci0000:00/0000:00:02.0/virtio1/block/vda"


@pytest.fixture
def tree(tmp_path):
    return SysfsTree(tmp_path)


@pytest.fixture
def lvm(tree):
    """A volume on the second partition of a disk."""
    tree.disk(VDA, "254:0")
    tree.partition(f"{VDA}/vda1", "254:1")
    second = tree.partition(f"{VDA}/vda2", "254:2")
    volume = tree.disk("virtual/block/dm-0", "253:0")
    tree.file(f"{volume}/dm/name", "vg-root\n")
    tree.made_from(volume, second)


def test_a_disk_is_found_by_its_number(root, lvm):
    assert block.by_number(root, 254, 0) == block.Device(
        "/sys/devices/" + VDA, "/dev/vda", 254, 0, False
    )


def test_a_partition_is_told_from_a_disk(root, lvm):
    assert block.by_number(root, 254, 2).partition
    assert not block.by_number(root, 254, 0).partition


def test_an_unknown_number_is_an_error(root, lvm):
    with pytest.raises(OSError, match="9:9"):
        block.by_number(root, 9, 9)


def test_disks_without_a_size_are_left_out(root, tree, lvm):
    tree.disk("virtual/block/loop0", "7:0", size=0)
    assert [disk.node for disk in block.disks(root)] == ["/dev/dm-0", "/dev/vda"]


def test_partitions_are_told_below_their_disk(root, lvm):
    disk = block.by_number(root, 254, 0)
    assert [part.name for part in block.partitions(root, disk)] == ["vda1", "vda2"]


def test_a_volume_lies_on_its_partition_and_the_partition_knows(root, lvm):
    volume, second = block.by_number(root, 253, 0), block.by_number(root, 254, 2)
    assert list(block.slaves(root, volume)) == [second]
    assert list(block.holders(root, second)) == [volume]
    assert block.mapping(root, volume) == "vg-root"


def test_backing_goes_down_to_real_devices_through_any_number_of_layers(root, tree, lvm):
    other = tree.disk("pci0000:00/0000:00:03.0/virtio2/block/vdb", "254:16")
    mirror = tree.disk("virtual/block/md0", "9:0")
    tree.made_from(mirror, other, "/sys/devices/virtual/block/dm-0")
    found = block.backing(root, block.by_number(root, 9, 0))
    assert [device.name for device in found] == ["vda2", "vdb"]


def test_a_real_disk_backs_itself(root, lvm):
    disk = block.by_number(root, 254, 0)
    assert list(block.backing(root, disk)) == [disk]


def test_a_loop_device_names_its_file(root, tree):
    path = tree.disk("virtual/block/loop0", "7:0")
    tree.file(f"{path}/loop/backing_file", "/srv/a b.img\n")
    loop = block.by_number(root, 7, 0)
    assert block.backing_file(root, loop) == "/srv/a b.img"
    assert list(block.backing(root, loop)) == []


def test_the_serial_is_udevs(root, tree, lvm):
    tree.file("/run/udev/data/b254:0", "S:disk/x\nE:ID_SERIAL_SHORT=no\nE:ID_SERIAL=abc 1\nG:x\n")
    assert block.serial(root, block.by_number(root, 254, 0)) == "abc 1"
    assert block.serial(root, block.by_number(root, 254, 1)) == ""


def test_a_device_that_goes_away_is_passed_over(root, tree, lvm):
    tree.link("/sys/block/vdz", "/sys/devices/gone")
    tree.file("/sys/devices/gone/size", "8\n")
    assert [disk.name for disk in block.disks(root)] == ["dm-0", "vda"]


def test_this_machines_devices_have_nodes_of_their_number():
    live = Root("/")
    for disk in block.disks(live):
        assert block.by_number(live, disk.major, disk.minor) == disk
