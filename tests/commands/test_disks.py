"""guest-get-disks on made-up guests and on this machine."""

from __future__ import annotations

import pytest

from guestwire.commands import disks
from guestwire.system.root import Root
from sysfs_tree import SysfsTree

VDA = "pci0000:00/0000:00:02.0/virtio1/block/vda"
NO_PCI = {"domain": -1, "bus": -1, "slot": -1, "function": -1}


@pytest.fixture
def tree(tmp_path):
    return SysfsTree(tmp_path)


def test_a_disk_with_partitions_and_a_volume(context, tree):
    tree.disk(VDA, "254:0")
    tree.partition(f"{VDA}/vda1", "254:1")
    second = tree.partition(f"{VDA}/vda2", "254:2")
    volume = tree.disk("virtual/block/dm-0", "253:0")
    tree.file(f"{volume}/dm/name", "vg-root\n")
    tree.made_from(volume, second)
    tree.file("/run/udev/data/b254:0", "E:ID_BUS=virtio\nE:ID_SERIAL=abc\n")
    assert disks.get_disks(context) == [
        {
            "name": "/dev/dm-0",
            "partition": False,
            "dependencies": ["/dev/vda2"],
            "alias": "vg-root",
        },
        {
            "name": "/dev/vda",
            "partition": False,
            "dependencies": [],
            "address": {
                "pci-controller": {"domain": 0, "bus": 0, "slot": 2, "function": 0},
                "bus-type": "virtio",
                "bus": 0,
                "target": 0,
                "unit": 0,
                "dev": "/dev/vda",
                "serial": "abc",
            },
        },
        {"name": "/dev/vda1", "partition": True, "dependencies": ["/dev/vda"]},
        {"name": "/dev/vda2", "partition": True, "dependencies": ["/dev/vda"]},
    ]


def test_a_disk_without_pci_still_has_the_four_numbers_libvirt_asks_for(context, tree):
    tree.disk("vbd-51712/block/xvda", "202:0")
    [xvda] = disks.get_disks(context)
    assert xvda["address"]["pci-controller"] == NO_PCI
    assert xvda["address"]["bus-type"] == "xen"


def test_a_channel_address_of_s390_is_told(context, tree):
    tree.disk("css0/0.0.0007/0.0.0a01/virtio1/block/vda", "254:0")
    [vda] = disks.get_disks(context)
    ccw = {"cssid": 0, "ssid": 0, "subchno": 7, "devno": 0xA01}
    assert vda["address"]["ccw-address"] == ccw


def test_loop_devices_count_once_they_have_a_size_and_have_no_address(context, tree):
    tree.disk("virtual/block/loop0", "7:0", size=64)
    tree.disk("virtual/block/loop1", "7:1", size=0)
    assert disks.get_disks(context) == [
        {"name": "/dev/loop0", "partition": False, "dependencies": []}
    ]


def test_an_nvme_disk_that_does_not_tell_how_it_fares_is_told_of_without(context, tree):
    tree.disk("pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "259:0")
    tree.file("/dev/nvme0n1")
    [disk] = disks.get_disks(context)
    assert disk["address"]["bus-type"] == "nvme"
    assert "smart" not in disk


def test_a_guest_without_sysfs_has_no_disks(context):
    assert disks.get_disks(context) == []


def test_on_this_machine_every_reply_has_the_required_keys(context):
    for disk in disks.get_disks(context._replace(root=Root("/"))):
        assert disk["name"].startswith("/dev/")
        assert isinstance(disk["partition"], bool)
        if "address" in disk:
            assert set(disk["address"]) >= {"pci-controller", "bus-type", "bus", "target", "unit"}
