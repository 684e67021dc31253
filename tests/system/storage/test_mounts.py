"""The parser of mountinfo, and the list of real file systems."""

from __future__ import annotations

import os
import stat

import pytest

from guestwire.system.root import Root
from guestwire.system.storage import mounts

MOUNTINFO = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
30 27 254:1 / /srv/with\040space\134and\011tab rw - xfs /dev/mapper/a\040b rw,attr2
31 27 254:0 /var/lib /mnt/bind rw - ext4 /dev/vda rw,discard
32 27 0:40 / /tmp rw - tmpfs  rw,size=1g
33 27 0:41 / /nfs rw - nfs4 server:/export rw,vers=4.2
34 27 0:42 /@home /home rw - btrfs /dev/vdb rw,subvol=/@home
35 27 7:0 / /loop rw - ext4 /dev/loop0 rw
"""


@pytest.fixture
def guest(root, tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(MOUNTINFO)
    (tmp_path / "dev").mkdir()
    return root


def test_each_line_is_a_mount_in_mount_order(guest):
    assert [mount.id for mount in mounts.mounted(guest)] == [22, 27, 30, 31, 32, 33, 34, 35]


def test_propagation_tags_do_not_shift_the_fields(guest):
    slash = list(mounts.mounted(guest))[1]
    assert slash == mounts.Mount(
        27, 1, 254, 0, "/", "/", "rw,relatime", "ext4", "/dev/vda", "rw,discard"
    )


def test_octal_escapes_are_read(guest):
    mount = list(mounts.mounted(guest))[2]
    assert mount.mountpoint == "/srv/with space\\and\ttab"
    assert mount.source == "/dev/mapper/a b"


def test_a_source_may_be_empty(guest):
    assert list(mounts.mounted(guest))[4].source == ""


def test_a_bind_mount_tells_which_directory_it_shows(guest):
    assert list(mounts.mounted(guest))[3].root == "/var/lib"


def test_only_the_first_mount_of_each_block_device_is_a_file_system(guest):
    found = [mount.mountpoint for mount in mounts.file_systems(guest)]
    assert found == ["/", "/srv/with space\\and\ttab", "/loop"]


def test_btrfs_counts_with_the_numbers_of_its_block_device(guest, tmp_path):
    try:
        os.mknod(tmp_path / "dev/vdb", stat.S_IFBLK | 0o600, os.makedev(254, 16))
    except PermissionError:
        pytest.skip("making device nodes needs root")
    home = next(m for m in mounts.file_systems(guest) if m.mountpoint == "/home")
    assert (home.fstype, home.major, home.minor) == ("btrfs", 254, 16)


def test_btrfs_whose_source_is_a_plain_file_does_not_count(guest, tmp_path):
    (tmp_path / "dev/vdb").touch()
    assert "/home" not in [mount.mountpoint for mount in mounts.file_systems(guest)]


def test_a_guest_without_proc_has_no_mounts(root):
    assert list(mounts.mounted(root)) == []
    assert mounts.file_systems(root) == []


def test_the_root_of_this_machine_is_mounted():
    assert "/" in [mount.mountpoint for mount in mounts.mounted(Root("/"))]
