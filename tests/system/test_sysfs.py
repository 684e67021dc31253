"""Attributes and links of sysfs."""

from __future__ import annotations

import errno

import pytest

from guestwire.system import sysfs
from guestwire.system.root import Root


def test_an_attribute_is_read_without_its_newline(root, tmp_path):
    (tmp_path / "etc/size").write_text(" 12\n")
    assert sysfs.attribute(root, "/etc/size") == " 12"


def test_an_attribute_that_is_missing_or_unreadable_is_an_error_unless_a_default_is_given(root):
    with pytest.raises(FileNotFoundError):
        sysfs.attribute(root, "/etc/gone")
    assert sysfs.attribute(root, "/etc/gone", missing="0") == "0"
    assert sysfs.attribute(root, "/etc", missing="0") == "0"


def test_a_value_is_written_in_place(root, tmp_path):
    online = tmp_path / "etc/online"
    online.write_text("1")
    inode = online.stat().st_ino
    sysfs.set_attribute(root, "/etc/online", "0")
    assert online.read_text() == "0"
    assert online.stat().st_ino == inode


def test_no_attribute_is_made_that_the_kernel_did_not_offer(root, tmp_path):
    with pytest.raises(FileNotFoundError):
        sysfs.set_attribute(root, "/etc/online", "0")
    assert not (tmp_path / "etc/online").exists()


def test_what_the_kernel_refuses_names_the_attribute():
    with pytest.raises(OSError, match="/dev/full") as refused:
        sysfs.set_attribute(Root("/"), "/dev/full", "0")
    assert refused.value.errno == errno.ENOSPC


def test_a_link_is_a_path_below_sys(root, tmp_path):
    (tmp_path / "sys/block").mkdir(parents=True)
    (tmp_path / "sys/block/vda").symlink_to("../devices/virtio1/block/vda")
    assert sysfs.link(root, "/sys/block/vda") == "/sys/devices/virtio1/block/vda"
    assert sysfs.link(root, "/sys/block/vdb", missing="") == ""


def test_numbers_rise_and_other_names_are_passed_over(root, tmp_path):
    for name in ("cpu10", "cpu2", "cpufreq", "cpu", "cpu3x", "xcpu1"):
        (tmp_path / "etc" / name).touch()
    assert sysfs.numbered(root, "/etc", "cpu") == [2, 10]
