import os
import random
import shutil
import subprocess

import pytest

from guestwire.commands import ssh
from guestwire.errors import CommandError, InvalidArgument, Unsupported

# As root the user is another one, so that owners tell; else it is who runs the tests.
UID = 12345 if os.geteuid() == 0 else os.getuid()
GID = 23456 if os.geteuid() == 0 else os.getgid()
ED = "AAAAC3NzaC1lZDI1NTE5AAAAI"
ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f one@host"
TWO = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA two words"


@pytest.fixture
def home(tmp_path):
    """The home of ann, who is the only user."""
    lines = ["root:x:0:0::/root:/bin/sh", f"ann:x:{UID}:{GID}::/home/ann:/bin/sh"]
    lines.append(f"ben:x:{UID}:{GID}::/home/ben:/bin/sh")
    (tmp_path / "etc/passwd").write_text("\n".join(lines) + "\n")
    home = tmp_path / "home/ann"
    home.mkdir(parents=True)
    os.chown(home, UID, GID)
    return home


@pytest.fixture
def keys(home):
    """Ann's authorized_keys, not there yet, in a directory that is."""
    (home / ".ssh").mkdir(mode=0o700)
    os.chown(home / ".ssh", UID, GID)
    return home / ".ssh/authorized_keys"


def put(path, text):
    path.write_text(text)
    os.chown(path, UID, GID)


def config(tmp_path, text, name="sshd_config"):
    path = tmp_path / "etc/ssh" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def listed(context):
    return [key["comment"] for key in ssh.list_keys(context, "ann")["keys"]]


# The guest-ssh commands


def test_a_first_key_makes_the_directory_and_the_file_the_users_own(context, home):
    assert ssh.qga_add(context, "ann", [ONE]) == {}
    for path, mode in ((home / ".ssh", 0o40700), (home / ".ssh/authorized_keys", 0o100600)):
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode) == (UID, GID, mode)
    assert (home / ".ssh/authorized_keys").read_text() == ONE + "\n"
    assert sorted(os.listdir(home)) == [".ssh"]


def test_keys_come_back_in_the_order_of_the_file(context, keys):
    put(keys, f"# mine\n\n{TWO}\n  {ONE}\nwhatever else\n")
    assert ssh.qga_get(context, "ann") == {"keys": [TWO, ONE, "whatever else"]}


def test_a_key_that_is_there_as_the_same_line_is_not_added_again(context, keys):
    put(keys, f"# mine\n{ONE}")
    ssh.qga_add(context, "ann", [ONE, TWO, TWO])
    assert keys.read_text() == f"# mine\n{ONE}\n{TWO}\n"


def test_reset_leaves_only_what_is_given(context, keys):
    put(keys, f"# mine\n{ONE}\n")
    ssh.qga_add(context, "ann", [TWO], True)
    assert keys.read_text() == TWO + "\n"
    ssh.qga_add(context, "ann", [], True)
    assert keys.read_text() == ""
    assert ssh.qga_get(context, "ann") == {"keys": []}


def test_remove_takes_exact_lines_and_keeps_all_others(context, keys):
    put(keys, f'# mine\n\n{TWO}\nfrom="x" {ONE}\n{ONE}\t\nwhatever')
    assert ssh.qga_remove(context, "ann", [ONE, "never there"]) == {}
    assert keys.read_text() == f'# mine\n\n{TWO}\nfrom="x" {ONE}\nwhatever'


def test_removing_from_nothing_is_no_error_and_makes_nothing(context, home):
    assert ssh.qga_remove(context, "ann", [ONE]) == {}
    assert os.listdir(home) == []


def test_no_file_is_an_error_to_read_in_the_words_of_qemu_ga(context, home):
    with pytest.raises(CommandError, match=r"^failed to read '/home/ann/.ssh/authorized_keys': "):
        ssh.qga_get(context, "ann")


@pytest.mark.parametrize("key", ["#x", " # x", "a\nb", "a\0b", "a\rb", "\ud800"])
def test_what_cannot_be_a_line_of_keys_is_refused_before_the_user_is_looked_up(context, home, key):
    for command in (ssh.qga_add, ssh.qga_remove):
        with pytest.raises(InvalidArgument, match=r"^invalid OpenSSH public key: '"):
            command(context, "nobody-here", [ONE, key])


@pytest.mark.parametrize("command", [ssh.qga_get, ssh.qga_add, ssh.qga_remove])
def test_an_unknown_user_is_told_of_in_the_words_of_qemu_ga(context, home, command):
    arguments = [] if command is ssh.qga_get else [[ONE]]
    with pytest.raises(CommandError, match=r"^failed to lookup user 'eve': Success$"):
        command(context, "eve", *arguments)


def test_virsh_sends_an_empty_line_which_is_no_key(context, keys):
    ssh.qga_add(context, "ann", [ONE, "", TWO + "\r"])
    assert keys.read_text() == f"{ONE}\n{TWO}\n"


def test_bytes_that_are_not_utf_8_stay_in_the_file(context, keys):
    keys.write_bytes(b"# M\xfcller\n" + ONE.encode() + b" M\xfcller\n")
    os.chown(keys, UID, GID)
    assert ssh.qga_get(context, "ann") == {"keys": [ONE + " M\ufffdller"]}
    assert listed(context) == ["one@host M\ufffdller"]
    ssh.qga_add(context, "ann", [TWO])
    assert (
        keys.read_bytes()
        == b"# M\xfcller\n" + ONE.encode() + b" M\xfcller\n" + TWO.encode() + b"\n"
    )


# Our own commands


def test_add_tells_what_is_new_and_what_was_there(context, keys):
    assert ssh.add_keys(context, "ann", [ONE]) == {"added": 1, "present": 0}
    before = keys.stat()
    assert ssh.add_keys(context, "ann", [ONE]) == {"added": 0, "present": 1}
    assert keys.stat() == before
    assert ssh.add_keys(context, "ann", [ONE, TWO, TWO]) == {"added": 1, "present": 1}
    assert keys.read_text() == f"{ONE}\n{TWO}\n"


def test_a_key_is_the_same_under_another_comment(context, keys):
    ssh.add_keys(context, "ann", [ONE])
    other = ONE.replace("one@host", "elsewhere")
    assert ssh.add_keys(context, "ann", [other]) == {"added": 0, "present": 1}
    assert listed(context) == ["one@host"]


def test_a_key_with_other_options_takes_the_place_of_its_line(context, keys):
    put(keys, f"# first\n{ONE}\n{TWO}\n")
    new = f'restrict,command="echo \\"a, b\\"" {ONE}'
    assert ssh.add_keys(context, "ann", [new]) == {"added": 1, "present": 0}
    assert keys.read_text() == f"# first\n{new}\n{TWO}\n"
    [first, _] = ssh.list_keys(context, "ann")["keys"]
    assert first["options"] == ["restrict", 'command="echo \\"a, b\\""']
    assert (first["file"], first["line"]) == ("/home/ann/.ssh/authorized_keys", 2)


def test_an_authority_and_a_key_are_two_things(context, keys):
    ssh.add_keys(context, "ann", [ONE, f"cert-authority {ONE}"])
    assert keys.read_text() == f"{ONE}\ncert-authority {ONE}\n"


def test_reset_counts_what_stays(context, keys):
    put(keys, f"# mine\n{ONE}\n")
    answer = ssh.add_keys(context, "ann", [TWO, ONE], reset=True)
    assert answer == {"added": 1, "present": 1}
    assert keys.read_text() == f"{TWO}\n{ONE}\n"


def test_a_key_is_removed_by_line_or_fingerprint_whatever_its_options(context, keys):
    put(keys, f"# a\n{ONE}\nno-pty {ONE} again\n{TWO}\n")
    [first, *_] = ssh.list_keys(context, "ann")["keys"]
    assert ssh.remove_keys(context, "ann", [first["fingerprint"]]) == {"removed": 2}
    assert ssh.remove_keys(context, "ann", [first["fingerprint"]]) == {"removed": 0}
    assert ssh.remove_keys(context, "ann", [TWO.replace("two words", "")]) == {"removed": 1}
    assert keys.read_text() == "# a\n"


@pytest.mark.parametrize("bad", ["", "#x", "ssh-ed25519", "hello world", ONE[:40], f"foo=1 {ONE}"])
def test_the_key_that_is_none_is_named_and_nothing_changes(context, keys, bad):
    put(keys, TWO + "\n")
    with pytest.raises(InvalidArgument, match=r"^keys\[1\] is no public key: "):
        ssh.add_keys(context, "ann", [ONE, bad], reset=True)
    assert keys.read_text() == TWO + "\n"


def test_what_is_neither_key_nor_fingerprint_is_not_removed(context, keys):
    with pytest.raises(InvalidArgument, match=r"^keys\[0\] is neither"):
        ssh.remove_keys(context, "ann", ["SHA256:short"])


def test_a_user_without_keys_has_an_empty_list(context, home):
    assert ssh.list_keys(context, "ann") == {"keys": []}


def test_a_home_that_is_missing_is_named(context, home):
    for command in (ssh.add_keys, ssh.qga_add):
        with pytest.raises(CommandError, match="home directory of 'ben' does not exist: /home/ben"):
            command(context, "ben", [ONE])
    assert os.listdir(home.parent) == ["ann"]


# Where sshd looks


def test_sshds_own_places_are_used(context, home, tmp_path):
    config(tmp_path, "AuthorizedKeysFile %h/.keys/%u /etc/ssh/shared\n")
    config(tmp_path, TWO + "\n", "shared")
    ssh.add_keys(context, "ann", [ONE])
    assert (home / ".keys/ann").read_text() == ONE + "\n"
    assert listed(context) == ["one@host", "two words"]
    ssh.add_keys(context, "ann", [], reset=True)
    assert listed(context) == ["two words"]


def test_a_key_that_lets_in_all_users_is_not_removed_for_one(context, home, tmp_path):
    config(tmp_path, "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/shared\n")
    config(tmp_path, TWO + "\n", "shared")
    ssh.add_keys(context, "ann", [ONE, TWO])
    with pytest.raises(CommandError, match="'/etc/ssh/shared', which is for all users"):
        ssh.remove_keys(context, "ann", [TWO])
    assert listed(context) == ["one@host", "two words", "two words"]


def test_a_key_is_added_to_the_first_file_that_takes_it_and_removed_from_all(
    context, home, tmp_path
):
    config(tmp_path, "AuthorizedKeysFile /etc/nowhere/%u .ssh/a .ssh/b\n")
    ssh.add_keys(context, "ann", [ONE])
    assert os.listdir(home / ".ssh") == ["a"]
    put(home / ".ssh/b", ONE + "\n")
    assert ssh.remove_keys(context, "ann", [ONE]) == {"removed": 2}
    assert not (tmp_path / "etc/nowhere").exists()


def test_when_sshd_reads_no_file_there_is_nowhere_to_add_a_key(context, home, tmp_path):
    config(tmp_path, "AuthorizedKeysFile none\n")
    with pytest.raises(Unsupported, match="'ann'"):
        ssh.add_keys(context, "ann", [ONE])
    assert ssh.list_keys(context, "ann") == {"keys": []}
    assert ssh.qga_get(context, "ann") == {"keys": []}


def test_a_place_of_roots_gets_a_file_of_roots(context, home, tmp_path):
    config(tmp_path, "AuthorizedKeysFile /etc/ssh/keys/%u\n")
    (tmp_path / "etc/ssh/keys").mkdir()
    ssh.add_keys(context, "ann", [ONE])
    status = (tmp_path / "etc/ssh/keys/ann").stat()
    assert (status.st_uid, status.st_mode & 0o777) in ((os.geteuid(), 0o644), (UID, 0o600))


def test_only_command_errors_come_from_files_of_junk(context, keys, tmp_path):
    chance = random.Random(3)
    pieces = ["ssh-rsa ", ED, " ", "\t", '"', "\\", ",", "=", "#", "\n", "\r", "\xff", "\0", ONE]
    words = ["Match ", "User ", "ann", "!", "*", "Include ", "/", "..", "%", "%h", "[", "none", "'"]
    words += ["AuthorizedKeysFile ", "all", "Group "]
    for _ in range(400):
        text = "".join(chance.choice(pieces) for _ in range(30))
        put(keys, text)
        config(tmp_path, "")
        ssh.list_keys(context, "ann")
        try:
            ssh.add_keys(context, "ann", [text])
        except CommandError:
            pass
        config(tmp_path, "".join(chance.choice(words + pieces) for _ in range(30)))
        try:
            ssh.list_keys(context, "ann")
        except (CommandError, OSError):
            pass


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa-256", "ecdsa-384", "ecdsa-521"])
@pytest.mark.parametrize("certified", [False, True])
def test_fingerprints_are_those_of_ssh_keygen(context, keys, tmp_path, kind, certified):
    def keygen(*argv):
        command = ["ssh-keygen", "-q", *argv]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    file = str(tmp_path / "key")
    name, _, bits = kind.partition("-")
    keygen("-t", name, *(["-b", bits] if bits else []), "-N", "", "-C", "a comment", "-f", file)
    if certified:
        keygen("-s", file, "-I", "id", "-n", "ann", file + ".pub")
    public = file + ("-cert.pub" if certified else ".pub")
    with open(public) as lines:
        assert ssh.add_keys(context, "ann", [lines.read()]) == {"added": 1, "present": 0}
    [key] = ssh.list_keys(context, "ann")["keys"]
    assert keygen("-l", "-f", public).split()[1] == key["fingerprint"]
    assert key["comment"] == "a comment"
    assert ssh.remove_keys(context, "ann", [key["fingerprint"]]) == {"removed": 1}
