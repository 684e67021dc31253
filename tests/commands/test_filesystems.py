"""guest-get-fsinfo on made-up guests and on this machine."""

from __future__ import annotations

import os

import pytest

from guestwire.commands import filesystems
from guestwire.system.root import Root
from sysfs_tree import SysfsTree

VDA = "pci0000:00/0000:00:02.0/virtio1/block/vda"


@pytest.fixture
def tree(tmp_path):
    return SysfsTree(tmp_path)


def test_file_systems_come_in_reverse_mount_order(context, tree):
    tree.mountinfo(("254:1", "/", "ext4", "/dev/vda1"), ("254:2", "/etc", "xfs", "/dev/vda2"))
    assert [fs["mountpoint"] for fs in filesystems.get_fsinfo(context)] == ["/etc", "/"]


def test_a_file_system_on_a_partition_is_told_with_sizes_and_disk(context, tree, tmp_path):
    tree.partition(f"{VDA}/vda1", "254:1")
    tree.mountinfo(("254:1", "/etc", "ext4", "/dev/vda1"))
    [told] = filesystems.get_fsinfo(context)
    status = os.statvfs(tmp_path / "etc")
    assert told["total-bytes-privileged"] == status.f_blocks * status.f_frsize
    assert 0 < told["used-bytes"] < told["total-bytes"] <= told["total-bytes-privileged"]
    assert (told["name"], told["mountpoint"], told["type"]) == ("vda1", "/etc", "ext4")
    [disk] = told["disk"]
    assert (disk["dev"], disk["bus-type"]) == ("/dev/vda1", "virtio")


def test_a_volume_over_two_disks_is_told_with_both(context, tree):
    disks = [
        tree.disk(f"pci0000:00/0000:00:0{slot}.0/virtio{slot}/block/vd{name}", f"254:{slot}")
        for slot, name in ((2, "a"), (3, "b"))
    ]
    volume = tree.disk("virtual/block/dm-3", "253:3")
    tree.made_from(volume, *disks)
    tree.mountinfo(("253:3", "/etc", "xfs", "/dev/mapper/vg-lv"))
    [told] = filesystems.get_fsinfo(context)
    assert told["name"] == "dm-3"
    assert [disk["pci-controller"]["slot"] for disk in told["disk"]] == [2, 3]


def test_on_a_loop_device_the_disks_are_an_empty_list(context, tree):
    tree.disk("virtual/block/loop0", "7:0")
    tree.mountinfo(("7:0", "/etc", "ext4", "/dev/loop0"))
    [told] = filesystems.get_fsinfo(context)
    assert (told["name"], told["disk"]) == ("loop0", [])


def test_a_container_names_a_device_its_sysfs_does_not_show(context, tree):
    tree.mountinfo(("8:17", "/etc", "ext4", "/dev/disk/root"))
    [told] = filesystems.get_fsinfo(context)
    assert (told["name"], told["disk"]) == ("root", [])


def test_a_mount_that_vanished_has_no_sizes_and_spoils_nothing(context, tree):
    tree.mountinfo(("8:1", "/gone", "ext4", "/dev/sda1"), ("8:2", "/etc", "ext4", "/dev/sda2"))
    there, gone = filesystems.get_fsinfo(context)
    assert "used-bytes" in there
    assert set(gone) == {"name", "mountpoint", "type", "disk"}


def test_a_guest_without_mounts_has_none(context):
    assert filesystems.get_fsinfo(context) == []


def test_this_machines_file_systems_are_those_of_statvfs(context):
    for told in filesystems.get_fsinfo(context._replace(root=Root("/"))):
        status = os.statvfs(told["mountpoint"])
        assert told["total-bytes-privileged"] == status.f_blocks * status.f_frsize
