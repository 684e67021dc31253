import os
import signal
import time

import pytest

from guestwire.errors import CommandError
from guestwire.system.accounts import Account
from guestwire.system.home import files

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act for another user")

ANN = Account("ann", 12345, 23456, "/home/ann", "/bin/sh")
KEYS = "/home/ann/.ssh/authorized_keys"
SECRET = b"root's own\n"


@pytest.fixture
def top(tmp_path):
    """A guest with ann's home, and directories of root's that hold what is not ann's."""
    (tmp_path / "home/ann").mkdir(parents=True)
    os.chown(tmp_path / "home/ann", ANN.uid, ANN.gid)
    for victim in ("root/.ssh", "etc/victim"):
        (tmp_path / victim).mkdir(parents=True, exist_ok=True)
        (tmp_path / victim / "authorized_keys").write_bytes(SECRET)
        (tmp_path / victim / "authorized_keys").chmod(0o600)
    return tmp_path


def make(path, uid=ANN.uid, mode=0o700):
    path.mkdir(mode=mode)
    os.chown(path, uid, uid)
    return path


def untouched(top):
    return all(
        (top / victim / "authorized_keys").read_bytes() == SECRET
        and os.listdir(top / victim) == ["authorized_keys"]
        and (top / victim).stat().st_uid == 0
        for victim in ("root/.ssh", "etc/victim")
    )


@pytest.mark.parametrize("target", ["/root/.ssh", "../../root/.ssh", "{top}/root/.ssh", ".other"])
def test_a_directory_that_is_a_link_of_the_users_is_not_entered(root, top, target):
    make(top / "home/ann/.other")
    (top / "home/ann/.ssh").symlink_to(target.format(top=top))
    for attempt in (
        lambda: files.read(root, ANN, KEYS),
        lambda: files.write(root, ANN, KEYS, b"x"),
    ):
        with pytest.raises(CommandError, match=r"'/home/ann/.ssh' is a symbolic link"):
            attempt()
    assert untouched(top)


def test_a_link_that_root_made_in_a_users_directory_is_not_followed_either(root, top):
    make(top / "home/ann/.ssh")
    (top / "home/ann/.ssh/authorized_keys").symlink_to("/etc/victim/authorized_keys")
    with pytest.raises(CommandError, match="symbolic link"):
        files.write(root, ANN, KEYS, b"x")
    assert untouched(top)


def test_links_on_the_way_to_the_home_are_roots_and_followed(root, top):
    (top / "home").rename(top / "data")
    (top / "var").mkdir()
    (top / "var/home").symlink_to("../data")
    (top / "home").symlink_to("/var/home")
    files.write(root, ANN, KEYS, b"x")
    assert (top / "data/ann/.ssh/authorized_keys").read_bytes() == b"x"
    assert files.read(root, ANN, KEYS) == b"x"


def test_links_cannot_turn_in_circles(root, top):
    (top / "home/loop").symlink_to("loop")
    with pytest.raises(OSError, match="/home/loop"):
        files.read(root, ANN._replace(home="/home/loop/ann"), "/home/loop/ann/x")


def test_dots_do_not_lead_above_the_top(root, top):
    ann = ANN._replace(home="/../../home/../home/ann")
    files.write(root, ann, ann.home + "/x/../y", b"x")
    assert (top / "home/ann/y").read_bytes() == b"x"


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_hard_link_to_what_the_user_may_not_read_is_not_copied(root, top, mode):
    make(top / "home/ann/.ssh")
    (top / "etc/victim/authorized_keys").chmod(mode)
    os.link(top / "etc/victim/authorized_keys", top / "home/ann/.ssh/authorized_keys")
    with pytest.raises(CommandError, match="belongs to uid 0, and 'ann' may not read it"):
        files.read(root, ANN, KEYS)
    assert untouched(top)


def test_a_hard_link_is_replaced_and_what_it_shared_stays(root, top):
    make(top / "home/ann/.ssh")
    os.link(top / "etc/victim/authorized_keys", top / "home/ann/.ssh/authorized_keys")
    files.write(root, ANN, KEYS, b"x")
    assert (top / "home/ann/.ssh/authorized_keys").stat().st_uid == ANN.uid
    assert (top / "home/ann/.ssh/authorized_keys").read_bytes() == b"x"
    assert untouched(top)
    assert (top / "etc/victim/authorized_keys").stat().st_uid == 0


def test_a_file_of_roots_that_the_user_may_read_is_read(root, top):
    make(top / "home/ann/.ssh")
    (top / "home/ann/.ssh/authorized_keys").write_bytes(b"x")
    (top / "home/ann/.ssh/authorized_keys").chmod(0o644)
    assert files.read(root, ANN, KEYS) == b"x"


def test_the_file_of_another_user_is_not_read(root, top):
    make(top / "home/ann/.ssh")
    (top / "home/ann/.ssh/authorized_keys").write_bytes(b"x")
    (top / "home/ann/.ssh/authorized_keys").chmod(0o600)
    os.chown(top / "home/ann/.ssh/authorized_keys", 777, 777)
    with pytest.raises(CommandError, match="belongs to uid 777"):
        files.read(root, ANN, KEYS)


@pytest.mark.parametrize("name", ["home/ann", "home/ann/.ssh"])
def test_a_directory_of_another_user_is_not_entered(root, top, name):
    make(top / "home/ann/.ssh")
    os.chown(top / name, 777, 777)
    with pytest.raises(CommandError, match=f"'/{name}' belongs to uid 777, not to 'ann'"):
        files.write(root, ANN, KEYS, b"x")


def test_a_directory_of_roots_that_the_user_may_have_put_there_is_not_written_in(root, top):
    make(top / "home/ann/.ssh", uid=0, mode=0o755)
    with pytest.raises(CommandError, match=r"'/home/ann/.ssh' belongs to uid 0, not to 'ann'"):
        files.write(root, ANN, KEYS, b"x")
    assert files.read(root, ANN, KEYS) is None


def test_a_home_of_roots_as_sftp_has_it_is_taken(root, top):
    os.chown(top / "home/ann", 0, 0)
    assert files.write(root, ANN, KEYS, b"x") == ["/home/ann/.ssh", KEYS]
    assert (top / "home/ann/.ssh").stat().st_uid == ANN.uid


def test_root_may_link_its_own_files_elsewhere(root, top):
    admin = Account("root", 0, 0, "/root", "/bin/sh")
    (top / "root/.ssh/authorized_keys").unlink()
    (top / "root/.ssh/authorized_keys").symlink_to("/etc/victim/authorized_keys")
    files.write(root, admin, "/root/.ssh/authorized_keys", b"x")
    assert (top / "etc/victim/authorized_keys").read_bytes() == b"x"
    assert (top / "root/.ssh/authorized_keys").is_symlink()


def test_a_pipe_in_the_place_of_the_file_keeps_nobody_waiting(root, top):
    make(top / "home/ann/.ssh")
    os.mkfifo(top / "home/ann/.ssh/authorized_keys")
    for attempt in (
        lambda: files.read(root, ANN, KEYS),
        lambda: files.write(root, ANN, KEYS, b"x"),
    ):
        with pytest.raises(CommandError, match="is not a file"):
            attempt()


def test_a_file_without_end_is_not_read_into_memory(root, top):
    make(top / "home/ann/.ssh")
    with open(top / "home/ann/.ssh/authorized_keys", "wb") as file:
        file.truncate(1 << 40)
    os.chown(top / "home/ann/.ssh/authorized_keys", ANN.uid, ANN.gid)
    with pytest.raises(CommandError, match="larger than"):
        files.read(root, ANN, KEYS)


PLANTS = {
    "link": lambda place: place.symlink_to("/etc/victim"),
    "file": lambda place: place.touch(),
    "full directory": lambda place: (place / "x").mkdir(parents=True),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_in_the_place_of_a_directory_that_we_need_does_no_harm(root, top, plant):
    PLANTS[plant](top / "home/ann/.guestwire-new")
    with pytest.raises(OSError, match=r"/home/ann/.ssh"):
        files.write(root, ANN, KEYS, b"x")
    assert untouched(top)


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_in_the_place_of_a_file_that_we_need_does_no_harm(root, top, plant):
    make(top / "home/ann/.ssh")
    PLANTS[plant](top / "home/ann/.ssh/.authorized_keys.guestwire-new")
    try:
        files.write(root, ANN, KEYS, b"x")
        assert os.listdir(top / "home/ann/.ssh") == ["authorized_keys"]
    except IsADirectoryError:
        assert plant == "full directory"
    assert untouched(top)


def test_modes_that_sshd_refuses_are_not_kept(root, top):
    make(top / "home/ann/.ssh")
    path = top / "home/ann/.ssh/authorized_keys"
    for before, after in ((0o666, 0o644), (0o600, 0o600), (0o400, 0o400)):
        path.touch()
        os.chown(path, ANN.uid, ANN.gid)
        path.chmod(before)
        files.write(root, ANN, KEYS, b"x")
        assert path.stat().st_mode & 0o7777 == after


def test_no_descriptor_is_left_open(root, top):
    (top / "home/ann/.link").symlink_to("/root")
    before = os.listdir("/proc/self/fd")
    files.write(root, ANN, KEYS, b"x")
    files.read(root, ANN, KEYS)
    for path in ("/home/ann/.link/x", "/home/ann", "/nowhere/x", "/home/ann/.ssh"):
        for attempt in (files.read, lambda *place: files.write(*place, b"x")):
            try:
                attempt(root, ANN, path)
            except (CommandError, OSError):
                pass
    assert os.listdir("/proc/self/fd") == before


def swap_until_killed(place):
    """As ann, with the right to nothing else, make .ssh one thing after the other."""
    os.chdir(place)
    os.setgroups([])
    os.setgid(ANN.gid)
    os.setuid(ANN.uid)
    while True:
        for target in ("../../root/.ssh", "../../etc/victim", ".mine", None):
            for step in (
                lambda: os.rename(".ssh", f".old{time.monotonic_ns() % 7}"),
                lambda: os.unlink(".ssh"),
                lambda: os.rename("roots", ".guestwire-new"),
                lambda: os.rename(".guestwire-new", "roots"),
                lambda: os.mkdir(".ssh", 0o700),
                lambda: target and (os.rmdir(".ssh"), os.symlink(target, ".ssh")),  # noqa: B023
                lambda: os.link("../../etc/victim/authorized_keys", ".ssh/authorized_keys"),
            ):
                try:
                    step()
                except OSError:
                    pass


def test_a_user_who_swaps_the_directory_all_the_time_gets_root_to_write_nowhere_else(root, top):
    make(top / "home/ann/.mine")
    make(top / "home/ann/roots", uid=0).joinpath(".ssh").mkdir()
    (top / "home/ann/roots/.ssh/authorized_keys").write_bytes(SECRET)
    user = os.fork()
    if user == 0:
        try:
            swap_until_killed(top / "home/ann")
        finally:
            os._exit(1)
    outcomes = {"written": 0, "refused": 0}
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            try:
                files.write(root, ANN, KEYS, b"x")
                outcomes["written"] += 1
            except (CommandError, OSError):
                outcomes["refused"] += 1
            assert untouched(top)
        assert os.waitpid(user, os.WNOHANG) == (0, 0)
    finally:
        os.kill(user, signal.SIGKILL)
        os.waitpid(user, 0)
    assert untouched(top)
    assert all(outcomes.values()), outcomes
    for directory in ("roots", ".guestwire-new"):
        kept = top / "home/ann" / directory / ".ssh/authorized_keys"
        if kept.exists():
            assert kept.read_bytes() == SECRET
            assert kept.parent.stat().st_uid == 0
            break
    else:
        pytest.fail("the directory of root's is gone")
