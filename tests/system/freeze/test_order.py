from __future__ import annotations

import itertools

import pytest

from guestwire.system.freeze.order import Layer, freeze_order, mount_of
from guestwire.system.storage.mounts import Mount

ROOT, HOME, SRV = (8, 1), (8, 2), (8, 3)
LOOP0, LOOP1, LOOP2 = (7, 0), (7, 1), (7, 2)
DM0, MD0, DISK = (253, 0), (9, 0), (8, 0)


def mount(numbers, mountpoint, fstype="ext4", super_options="rw"):
    major, minor = numbers
    ident = 1000 + hash((numbers, mountpoint)) % 10**9
    return Mount(ident, 1, major, minor, "/", mountpoint, "rw", fstype, "/dev/x", super_options)


def order(mounts, layers, systems=None):
    if systems is None:
        systems = [m for m in mounts if m.major]
    return [system.mountpoint for system in freeze_order(systems, mounts, layers)]


def on(*devices):
    return Layer(devices)


def file(path):
    return Layer((), path)


def test_file_systems_that_share_nothing_go_last_mounted_first():
    assert order([mount(ROOT, "/"), mount(HOME, "/home"), mount(SRV, "/srv")], {}) == [
        "/srv",
        "/home",
        "/",
    ]


CHAINS = {
    "a loop": (
        [mount(ROOT, "/"), mount(LOOP0, "/mnt")],
        {LOOP0: file("/images/a.img")},
        ["/mnt", "/"],
    ),
    "a loop mounted before what holds its file, as after a remount": (
        [mount(LOOP0, "/mnt"), mount(ROOT, "/data")],
        {LOOP0: file("/data/a.img")},
        ["/mnt", "/data"],
    ),
    "a partition of a loop": (
        [mount((259, 1), "/mnt"), mount(ROOT, "/data")],
        {(259, 1): on(LOOP0), LOOP0: file("/data/a.img")},
        ["/mnt", "/data"],
    ),
    "ext4 on a loop on ext4 on dm on a loop": (
        [mount(LOOP1, "/top"), mount(DM0, "/middle"), mount(ROOT, "/")],
        {LOOP1: file("/middle/b"), DM0: on(LOOP0), LOOP0: file("/a")},
        ["/top", "/middle", "/"],
    ),
    "RAID of loops that are stored on two file systems": (
        [mount(MD0, "/raid"), mount(HOME, "/home"), mount(SRV, "/srv")],
        {MD0: on(LOOP0, LOOP1), LOOP0: file("/home/a"), LOOP1: file("/srv/a")},
        ["/raid", "/srv", "/home"],
    ),
    "two volumes of one group on a loop": (
        [mount(DM0, "/a"), mount((253, 1), "/b"), mount(ROOT, "/data")],
        {DM0: on(LOOP0), (253, 1): on(LOOP0), LOOP0: file("/data/pv")},
        ["/b", "/a", "/data"],
    ),
    "cPanel's /tmp: a loop and a second mount of it": (
        [mount(ROOT, "/"), mount(LOOP0, "/tmp"), mount(LOOP0, "/var/tmp")],
        {LOOP0: file("/usr/tmpDSK")},
        ["/tmp", "/"],
    ),
    "a loop whose file is on an overlay": (
        [
            mount(LOOP0, "/mnt"),
            mount((0, 50), "/merged", "overlay", "rw,lowerdir=/l,upperdir=/data/up,workdir=/w"),
            mount(ROOT, "/data"),
        ],
        {LOOP0: file("/merged/a.img")},
        ["/mnt", "/data"],
    ),
    "a loop whose file's path says nothing here, as of a mount that was detached": (
        [mount(LOOP0, "/mnt"), mount(ROOT, "/data")],
        {LOOP0: Layer((), "/a.img", ROOT)},
        ["/mnt", "/data"],
    ),
    "a loop whose file has a number that only its btrfs knows": (
        [mount(LOOP0, "/mnt"), mount(ROOT, "/data")],
        {LOOP0: Layer((), "/data/a.img", (0, 99))},
        ["/mnt", "/data"],
    ),
    "a loop whose file is on a tmpfs": (
        [mount((0, 30), "/run", "tmpfs"), mount(LOOP0, "/mnt"), mount(ROOT, "/data")],
        {LOOP0: file("/run/a.img")},
        ["/data", "/mnt"],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_what_is_stored_on_another_file_system_is_frozen_before_it(name):
    mounts, layers, expected = CHAINS[name]
    systems = list({m[2:4]: m for m in reversed(mounts) if m.major}.values())[::-1]
    assert order(mounts, layers, systems) == expected


def test_every_mount_order_keeps_to_the_dependencies():
    mounts = [mount(ROOT, "/r"), mount(DM0, "/d"), mount(LOOP1, "/l1"), mount(LOOP2, "/l2")]
    layers = {
        LOOP2: file("/l1/x"),
        LOOP1: file("/d/x"),
        DM0: on(LOOP0),
        LOOP0: file("/r/x"),
    }
    for shuffled in itertools.permutations(mounts):
        assert order(shuffled, layers) == ["/l2", "/l1", "/d", "/r"]


def test_the_order_holds_through_a_file_system_that_is_not_to_be_frozen_itself():
    mounts = [mount(LOOP1, "/top"), mount(LOOP0, "/middle"), mount(ROOT, "/data")]
    layers = {LOOP1: file("/middle/x"), LOOP0: file("/data/x")}
    found = order(mounts, layers)
    assert [name for name in found if name != "/middle"] == ["/top", "/data"]


@pytest.mark.parametrize(
    "layers",
    [
        {LOOP0: file("/b/x"), LOOP1: file("/a/x")},
        {LOOP0: file("/a/x"), LOOP1: on(LOOP1)},
        {LOOP0: on(DM0), DM0: on(LOOP0), LOOP1: file("/b/x")},
    ],
)
def test_devices_in_a_circle_neither_loop_for_ever_nor_lose_anything(layers):
    mounts = [mount(LOOP0, "/a"), mount(LOOP1, "/b")]
    assert sorted(order(mounts, layers)) == ["/a", "/b"]


def test_overlays_on_each_other_end():
    mounts = [
        mount((0, 50), "/a", "overlay", "rw,upperdir=/b/up"),
        mount((0, 51), "/b", "overlay", "rw,upperdir=/a/up"),
        mount(LOOP0, "/mnt"),
    ]
    assert order(mounts, {LOOP0: file("/a/x")}) == ["/mnt"]


def test_a_btrfs_holds_files_though_mountinfo_knows_no_device_of_it():
    btrfs = mount((0, 40), "/data", "btrfs")
    loop = mount(LOOP0, "/mnt")
    systems = [loop, btrfs._replace(major=8, minor=5)]
    assert order([loop, btrfs], {LOOP0: file("/data/x")}, systems) == ["/mnt", "/data"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a", "/"),
        ("/data", "/data"),
        ("/data/x", "/data"),
        ("/database", "/"),
        ("/data/deep/x", "/data/deep"),
    ],
)
def test_a_path_belongs_to_the_longest_mount_point_above_it(path, expected):
    mounts = [mount(ROOT, "/"), mount(SRV, "/data/deep"), mount(HOME, "/data")]
    found = mount_of(path, mounts)
    assert found is not None and found.mountpoint == expected


def test_of_two_mounts_at_one_place_the_last_is_seen():
    found = mount_of("/data/x", [mount(HOME, "/data"), mount(SRV, "/data")])
    assert found is not None and (found.major, found.minor) == SRV
    assert mount_of("/other", [mount(HOME, "/data")]) is None
