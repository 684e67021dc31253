from __future__ import annotations

import os

import pytest

from guestwire.system.freeze.layers import layers
from guestwire.system.freeze.order import Layer

SDA, SDA1, LOOP0, DM0, DM1 = (8, 0), (8, 1), (7, 0), (253, 0), (253, 1)


@pytest.fixture
def device(tmp_path):
    """Make a block device in sysfs, as the kernel lays them out."""

    def make(path, numbers, **files):
        number = "{}:{}".format(*numbers)
        here = tmp_path / "sys/devices" / path
        here.mkdir(parents=True)
        (here / "dev").write_text(number + "\n")
        kind = "partition" if "partition" in files else "disk"
        (here / "uevent").write_text(
            "MAJOR={}\nMINOR={}\nDEVNAME={}\nDEVTYPE={}\n".format(*numbers, here.name, kind)
        )
        links = tmp_path / "sys/dev/block"
        links.mkdir(parents=True, exist_ok=True)
        (links / number).symlink_to(f"../../devices/{path}")
        for name, text in files.items():
            (here / name).parent.mkdir(exist_ok=True)
            (here / name).write_text(text)
        return here

    return make


def link(directory, target):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / target.name).symlink_to(os.path.relpath(target, directory))


def test_a_partition_lies_on_its_disk(root, device):
    device("pci/sda", SDA)
    device("pci/sda/sda1", SDA1, partition="1\n")
    assert layers(root, [SDA1]) == {SDA1: Layer((SDA,)), SDA: Layer()}


def test_a_mapped_volume_lies_on_others_down_to_a_loop_s_file(root, device):
    loop = device("virtual/block/loop0", LOOP0)
    (loop / "loop").mkdir()
    (loop / "loop/backing_file").write_text("/images/with space.img\n")
    lower = device("virtual/block/dm-0", DM0)
    upper = device("virtual/block/dm-1", DM1)
    link(lower / "slaves", loop)
    link(upper / "slaves", lower)
    assert layers(root, [DM1]) == {
        DM1: Layer((DM0,)),
        DM0: Layer((LOOP0,)),
        LOOP0: Layer((), "/images/with space.img"),
    }


def test_a_loop_s_file_that_was_deleted_still_has_its_place(root, device):
    loop = device("virtual/block/loop0", LOOP0)
    (loop / "loop").mkdir()
    (loop / "loop/backing_file").write_text("/images/a.img (deleted)\n")
    assert layers(root, [LOOP0])[LOOP0].file == "/images/a.img"


def test_a_btrfs_lies_on_all_of_its_devices(root, tmp_path, device):
    sda, loop = device("pci/sda", SDA), device("virtual/block/loop0", LOOP0)
    members = tmp_path / "sys/fs/btrfs/some-uuid/devices"
    link(members, sda)
    link(members, loop)
    assert LOOP0 in layers(root, [SDA])[SDA].devices


def test_a_device_that_sysfs_does_not_know_lies_on_nothing(root):
    assert layers(root, [(8, 99)]) == {(8, 99): Layer()}
