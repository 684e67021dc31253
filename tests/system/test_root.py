from __future__ import annotations

import errno
import os
import stat
import struct
import subprocess
import threading

import pytest

from guestwire.system.root import ACL, Root

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def outside(tmp_path):
    """A file beside the guest, which no path in it may reach."""
    path = tmp_path.parent / f"{tmp_path.name}-outside"
    path.mkdir()
    (path / "secret").write_text("host")
    return path


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


# Paths.


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/", ""),
        ("/etc", "etc"),
        ("//etc///hosts", "etc/hosts"),
        ("/etc/./hosts", "etc/hosts"),
        ("/etc/../etc/hosts", "etc/hosts"),
        ("/../../../etc", "etc"),
        ("/..", ""),
        ("/etc/", "etc"),
        ("/none/deep/../file", "none/file"),
    ],
)
def test_a_path_is_found_below_the_top(root, tmp_path, path, real):
    assert os.path.normpath(root.path(path)) == str(tmp_path / real)


@pytest.mark.parametrize("path", ["etc", "", "./etc", "../etc"])
def test_a_path_must_start_at_the_top(root, path):
    with pytest.raises(ValueError, match="not an absolute path"):
        root.path(path)


@pytest.mark.parametrize(
    "target",
    [
        "/secret",
        "../{outside}/secret",
        "../../../../../../../../..{outside_path}/secret",
        "{outside_path}/secret",
        "/..{outside_path}/secret",
        "/etc/../../../{outside}/secret",
    ],
)
def test_no_symbolic_link_leads_out(root, tmp_path, outside, target):
    target = target.format(outside=outside.name, outside_path=outside)
    (tmp_path / "etc/link").symlink_to(target)
    assert root.path("/etc/link").startswith(str(tmp_path) + "/")
    with pytest.raises(FileNotFoundError):
        root.read_text("/etc/link")


def test_a_write_that_fails_names_the_file_that_was_meant(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        Root(tmp_path).write("/none/motd", "x")
    assert caught.value.filename == str(tmp_path / "none/motd")


def test_no_link_to_a_directory_leads_out(root, tmp_path, outside):
    (tmp_path / "up").symlink_to(outside)
    (tmp_path / "far").symlink_to("up/../up")
    for path in ("/up/secret", "/far/secret", "/up/../up/secret"):
        assert not root.exists(path)
    assert root.names("/up") == []
    with pytest.raises(FileNotFoundError):
        root.write("/up/secret", "x")
    assert (outside / "secret").read_text() == "host"


def test_dots_after_a_link_start_from_where_it_led(root, tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/file").write_text("found")
    (tmp_path / "link").symlink_to("/a/b")
    assert root.read_text("/link/../file") == "found"


def test_links_in_links_are_followed_from_the_guests_top(root, tmp_path):
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("ID=x")
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "etc/os-release").symlink_to("../lib/os-release")
    (tmp_path / "etc/again").symlink_to("/etc/os-release")
    assert root.read_text("/etc/again") == "ID=x"
    assert root.glob("/etc/ag*").__next__() == "/etc/again"


def test_a_loop_of_links_is_an_error_and_not_a_hang(root, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("/a")
    (tmp_path / "self").symlink_to("self/x")
    for path in ("/a", "/b/x", "/self"):
        with pytest.raises(OSError, match="symbolic links") as caught:
            root.read_text(path)
        assert caught.value.errno == errno.ELOOP


def test_forty_links_are_followed_as_the_kernel_does(root, tmp_path):
    (tmp_path / "0").write_text("end")
    for number in range(1, 42):
        (tmp_path / str(number)).symlink_to(str(number - 1))
    assert root.read_text("/40") == "end"
    with pytest.raises(OSError, match="symbolic links"):
        root.read_text("/41")


def test_a_link_that_is_not_to_be_followed_stays_one(root, tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/link").symlink_to("/etc")
    (tmp_path / "way").symlink_to("dir")
    assert root.path("/way/link", follow=False) == str(tmp_path / "dir/link")
    assert root.readlink("/way/link") == "/etc"
    assert stat.S_ISLNK(root.stat("/way/link", follow=False).st_mode)
    assert root.remove("/way/link")
    assert (tmp_path / "etc").is_dir()
    assert not root.remove("/way/link")


def test_the_live_root_changes_no_path():
    assert Root("/").path("/etc/../etc/./x") == "/etc/../etc/./x"


# Reading.


def test_bytes_that_are_not_text_survive_a_round_trip(root, tmp_path):
    (tmp_path / "etc/odd").write_bytes(b"caf\xe9\n\xff")
    root.write("/etc/odd", root.read_text("/etc/odd"))
    assert (tmp_path / "etc/odd").read_bytes() == b"caf\xe9\n\xff"


def test_a_missing_file_is_the_given_text_or_an_error(root):
    assert root.read_text("/etc/none", "nothing") == "nothing"
    with pytest.raises(FileNotFoundError):
        root.read_text("/etc/none")
    with pytest.raises(IsADirectoryError):
        root.read_text("/etc", "nothing")


def test_names_and_globs_are_sorted_and_empty_where_nothing_is(root, tmp_path):
    for name in ("b", "a", ".hidden"):
        (tmp_path / "etc" / name).mkdir()
        (tmp_path / "etc" / name / "x").touch()
    (tmp_path / "etc/file").touch()
    assert root.names("/etc") == [".hidden", "a", "b", "file"]
    assert root.names("/none") == root.names("/etc/file") == []
    assert list(root.glob("/etc/*/x")) == ["/etc/.hidden/x", "/etc/a/x", "/etc/b/x"]
    assert list(root.glob("/etc/[ab]")) == ["/etc/a", "/etc/b"]
    assert list(root.glob("/etc/none*")) == list(root.glob("/none")) == []


def test_a_descriptor_is_not_inherited(root, tmp_path):
    fd = root.open("/etc/new", os.O_WRONLY | os.O_CREAT)
    try:
        assert not os.get_inheritable(fd)
        assert mode_of(tmp_path / "etc/new") == 0o600
    finally:
        os.close(fd)


# Writing.


def test_a_new_file_is_readable_by_all_whatever_the_umask(root, tmp_path):
    umask = os.umask(0o077)
    try:
        root.write("/etc/new", "text")
        root.write("/etc/private", "text", mode=0o600)
        root.make_directory("/var/lib/new", 0o775)
    finally:
        os.umask(umask)
    assert mode_of(tmp_path / "etc/new") == 0o644
    assert mode_of(tmp_path / "etc/private") == 0o600
    assert mode_of(tmp_path / "var/lib/new") == 0o775
    assert mode_of(tmp_path / "var") == mode_of(tmp_path / "var/lib") == 0o755


def test_a_replaced_file_keeps_its_mode_or_gets_the_one_asked_for(root, tmp_path):
    file = tmp_path / "etc/file"
    file.write_text("old")
    file.chmod(0o4711)
    root.write("/etc/file", "new")
    assert (mode_of(file), file.read_text()) == (0o4711, "new")
    root.write("/etc/file", "newer", mode=0o600)
    assert mode_of(file) == 0o600


@root_only
def test_a_replaced_file_keeps_its_owner_or_gets_the_one_asked_for(root, tmp_path):
    file = tmp_path / "etc/file"
    file.write_text("old")
    os.chown(file, 1234, 4321)
    root.write("/etc/file", "new")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 4321)
    root.write("/etc/file", "new", owner=(0, 0))
    assert (file.stat().st_uid, file.stat().st_gid) == (0, 0)
    root.make_directory("/home/x", owner=(1234, 4321))
    assert (tmp_path / "home/x").stat().st_uid == 1234
    assert (tmp_path / "home").stat().st_uid == 0


@root_only
def test_the_group_of_a_set_gid_directory_does_not_stick(root, tmp_path):
    os.chown(tmp_path / "etc", 0, 4321)
    (tmp_path / "etc").chmod(0o2755)
    root.write("/etc/file", "x", owner=(0, 0))
    assert (tmp_path / "etc/file").stat().st_gid == 0


def acl(user, *, group=4, mask=6):
    """user::rw- user:<user>:rw- group::r-- mask::rw- other::---, as the kernel stores it."""
    entries = [(1, 6, -1), (2, 6, user), (4, group, -1), (0x10, mask, -1), (0x20, 0, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def set_acl(path, name, value):
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        pytest.skip("no ACLs on this file system")


@root_only
def test_a_replaced_file_keeps_its_acl(root, tmp_path):
    file = tmp_path / "etc/file"
    file.write_text("old")
    set_acl(file, ACL, acl(1234))
    before = file.stat().st_mode
    root.write("/etc/file", "new")
    assert os.getxattr(file, ACL) == acl(1234)
    assert file.stat().st_mode == before
    root.write("/etc/file", "new", mode=0o600)
    assert mode_of(file) == 0o600, "what is asked for closes the ACL's mask"


@root_only
def test_a_file_without_an_acl_does_not_get_the_directorys(root, tmp_path):
    file = tmp_path / "etc/file"
    file.write_text("old")
    file.chmod(0o640)
    set_acl(tmp_path / "etc", "system.posix_acl_default", acl(1234))
    root.write("/etc/file", "new")
    assert ACL not in os.listxattr(file)
    assert mode_of(file) == 0o640


@root_only
def test_a_replaced_file_keeps_its_selinux_label(root, tmp_path):
    file = tmp_path / "etc/file"
    file.write_text("old")
    label = b"system_u:object_r:etc_t:s0\0"
    try:
        os.setxattr(file, "security.selinux", label)
    except OSError:
        pytest.skip("no labels on this file system")
    root.write("/etc/file", "new")
    assert os.getxattr(file, "security.selinux") == label


@pytest.mark.parametrize("top", ["live", "directory"])
def test_a_link_stays_one_and_what_it_leads_to_is_replaced(tmp_path, top):
    root = Root("/") if top == "live" else Root(tmp_path)
    base = str(tmp_path) if top == "live" else ""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/file").write_text("old")
    (tmp_path / "link").symlink_to("run/file")
    (tmp_path / "dangling").symlink_to("run/new")
    root.write(base + "/link", "new")
    root.write(base + "/dangling", "made")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "run/file").read_text() == "new"
    assert (tmp_path / "run/new").read_text() == "made"


def test_a_reader_sees_the_old_file_or_the_new_one_and_nothing_between(root, tmp_path):
    old, new = b"a" * 100_000, b"b" * 100_000
    root.write("/etc/file", old)
    stop = threading.Event()

    def rewrite():
        while not stop.is_set():
            root.write("/etc/file", new)
            root.write("/etc/file", old)

    thread = threading.Thread(target=rewrite)
    thread.start()
    try:
        assert {root.read_bytes("/etc/file") for _ in range(300)} <= {old, new}
    finally:
        stop.set()
        thread.join()


def test_what_a_power_cut_left_behind_is_taken_up(root, tmp_path):
    (tmp_path / "etc/.file.guestwire-new").write_text("half")
    root.write("/etc/file", "whole")
    assert root.names("/etc") == ["file"]


def test_a_link_laid_in_the_way_of_the_new_file_is_not_followed(root, tmp_path, outside):
    (tmp_path / "etc/.file.guestwire-new").symlink_to(outside / "secret")
    root.write("/etc/file", "x")
    assert (outside / "secret").read_text() == "host"
    assert root.read_text("/etc/file") == "x"


def test_a_very_long_name_can_be_written(root):
    name = "/etc/" + "n" * 255
    root.write(name, "x")
    assert root.read_text(name) == "x"


def test_a_directory_cannot_be_replaced_by_a_file_or_a_link(root, tmp_path):
    (tmp_path / "etc/dir").mkdir()
    with pytest.raises(IsADirectoryError):
        root.write("/etc/dir", "x")
    with pytest.raises(IsADirectoryError):
        root.symlink("/x", "/etc/dir")
    assert root.names("/etc") == ["dir"]


def test_a_file_where_no_directory_is_cannot_be_written(root, tmp_path):
    with pytest.raises(FileNotFoundError):
        root.write("/none/file", "x")
    (tmp_path / "etc/file").touch()
    with pytest.raises(NotADirectoryError):
        root.write("/etc/file/x", "x")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        root.make_directory("/etc/file")


@root_only
def test_a_full_disk_leaves_the_old_file_and_no_other(root, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        root.write("/disk/file", "old")
        with pytest.raises(OSError, match="No space left") as caught:
            root.write("/disk/file", bytes(1 << 20))
        assert caught.value.errno == errno.ENOSPC
        assert root.names("/disk") == ["file"]
        assert root.read_text("/disk/file") == "old"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_link_is_made_in_place_of_what_was_there(root, tmp_path):
    (tmp_path / "etc/localtime").write_text("x")
    for target in ("/usr/share/zoneinfo/UTC", "../usr/share/zoneinfo/Europe/Berlin"):
        root.symlink(target, "/etc/localtime")
        assert os.readlink(tmp_path / "etc/localtime") == target
    assert root.names("/etc") == ["localtime"]


def test_a_directory_that_exists_is_left_as_it_is(root, tmp_path):
    (tmp_path / "etc").chmod(0o700)
    root.make_directory("/etc", 0o755)
    assert mode_of(tmp_path / "etc") == 0o700
