import random
import shutil
import subprocess

import pytest

from guestwire.errors import CommandError
from guestwire.system.accounts import Account
from guestwire.system.ssh import sshd_config
from guestwire.system.ssh.sshd_config import KeyFile

ANN = Account("ann", 1000, 100, "/home/ann", "/bin/sh")
DEFAULT = ["/home/ann/.ssh/authorized_keys", "/home/ann/.ssh/authorized_keys2"]


@pytest.fixture
def write(root, tmp_path):
    (tmp_path / "etc/group").write_text("users:x:100:\nadmins:x:27:bob,ann\n")

    def write(text, name="etc/ssh/sshd_config"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def paths(root, account=ANN):
    return [file.path for file in sshd_config.key_files(root, account)]


def test_without_a_configuration_it_is_sshds_default(root):
    assert paths(root) == DEFAULT


# What a file says, and where sshd then looks for ann's keys.
CASES = {
    "": DEFAULT,
    "#AuthorizedKeysFile x\n": DEFAULT,
    "AuthorizedKeysFile x # y\n": ["/home/ann/x"],
    "authorizedkeysfile=x\n": ["/home/ann/x"],
    "  AUTHORIZEDKEYSFILE\t=\tx y\r\n": ["/home/ann/x", "/home/ann/y"],
    'AuthorizedKeysFile "x y" z\n': ["/home/ann/x y", "/home/ann/z"],
    "AuthorizedKeysFile 'x y'\n": ["/home/ann/x y"],
    "AuthorizedKeysFile %h/a /k/%u /k/%U 100%%\n": [
        "/home/ann/a",
        "/k/ann",
        "/k/1000",
        "/home/ann/100%",
    ],
    "AuthorizedKeysFile none\n": [],
    "AuthorizedKeysFile x\nAuthorizedKeysFile y\n": ["/home/ann/x"],
    "AuthorizedKeysFile x\nMatch User ann\nAuthorizedKeysFile y\n": ["/home/ann/y"],
    "AuthorizedKeysFile x\nMatch User bob\nAuthorizedKeysFile y\n": ["/home/ann/x"],
    "Match User bob,a*\nAuthorizedKeysFile y\n": ["/home/ann/y"],
    "Match User *,!ann\nAuthorizedKeysFile y\n": DEFAULT,
    "Match User !bob\nAuthorizedKeysFile y\n": DEFAULT,
    "Match User a?n\nAuthorizedKeysFile y\nMatch all\nAuthorizedKeysFile z\n": ["/home/ann/y"],
    "Match User [a]nn\nAuthorizedKeysFile y\n": DEFAULT,
    "Match Group admins\nAuthorizedKeysFile y\n": ["/home/ann/y"],
    "Match Group users User ann\nAuthorizedKeysFile y\n": ["/home/ann/y"],
    "Match Group *,!admins\nAuthorizedKeysFile y\n": DEFAULT,
    "Match Group users User bob\nAuthorizedKeysFile y\n": DEFAULT,
    "Match Address 10.0.0.0/8\nAuthorizedKeysFile y\n": DEFAULT,
    "Match User ann Address 10.0.0.0/8\nAuthorizedKeysFile y\n": DEFAULT,
    "Match all\nAuthorizedKeysFile y\n": ["/home/ann/y"],
    "Match User ann\nMatch User bob\nAuthorizedKeysFile y\n": DEFAULT,
}


@pytest.mark.parametrize("text", CASES)
def test_keys_are_where_the_configuration_says(root, write, text):
    write(text)
    assert paths(root) == CASES[text]


SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")


@pytest.mark.skipif(SSHD is None, reason="needs sshd")
@pytest.mark.parametrize("text", [text for text in CASES if "Group" not in text])
def test_sshd_itself_says_the_same(root, write, tmp_path, text):
    write(text)
    key = str(tmp_path / "host_key")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    connection = "user=ann,host=h,addr=192.0.2.1,laddr=192.0.2.2,lport=22"
    argv = [SSHD, "-T", "-h", key, "-f", str(tmp_path / "etc/ssh/sshd_config"), "-C", connection]
    done = subprocess.run(argv, capture_output=True, text=True)
    if "rivilege separation" in done.stderr:
        pytest.skip("sshd has neither its user nor its directory here")
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.startswith("authorizedkeysfile")]
    said = [] if line.endswith(" none") else line.split(" ", 1)[1].split()
    ours = [path.replace("/home/ann/", "") for path in paths(root)]
    for token, value in (("%h/", ""), ("%u", "ann"), ("%U", "1000"), ("%%", "%")):
        said = [word.replace(token, value) for word in said]
    assert " ".join(ours) == " ".join(said)


def test_included_files_are_read_in_place_and_in_order(root, write):
    write("Include sshd_config.d/*.conf\nAuthorizedKeysFile last\n")
    write("AuthorizedKeysFile second\n", "etc/ssh/sshd_config.d/20.conf")
    assert paths(root) == ["/home/ann/second"]
    write("AuthorizedKeysFile first\n", "etc/ssh/sshd_config.d/10.conf")
    assert paths(root) == ["/home/ann/first"]


def test_a_match_block_ends_with_its_file_and_includes_are_in_theirs(root, write):
    write("Include /etc/ssh/one /etc/ssh/none\nAuthorizedKeysFile x\nMatch User bob\nInclude two\n")
    write("Match User bob\n", "etc/ssh/one")
    write("Match all\nAuthorizedKeysFile y\n", "etc/ssh/two")
    assert paths(root) == ["/home/ann/x"]
    assert paths(root, ANN._replace(name="bob")) == ["/home/ann/y"]


def test_includes_without_end_end(root, write):
    write("Include sshd_config\nAuthorizedKeysFile x\n")
    assert paths(root) == ["/home/ann/x"]
    for number in range(2000):
        write(f"Include {number + 1}.conf\n", f"etc/ssh/{number}.conf")
    write("Include 0.conf\nAuthorizedKeysFile x\n")
    assert paths(root) == ["/home/ann/x"]


def test_a_vendors_file_counts_where_the_administrator_has_none(root, write):
    write("AuthorizedKeysFile vendor\n", "usr/etc/ssh/sshd_config")
    assert paths(root) == ["/home/ann/vendor"]
    write("AuthorizedKeysFile own\n")
    assert paths(root) == ["/home/ann/own"]


def test_a_file_that_is_the_same_for_all_users_is_shared(root, write):
    write("AuthorizedKeysFile /etc/ssh/keys /etc/ssh/%u a\n")
    assert sshd_config.key_files(root, ANN) == [
        KeyFile("/etc/ssh/keys", True),
        KeyFile("/etc/ssh/ann", False),
        KeyFile("/home/ann/a", False),
    ]


@pytest.mark.parametrize("value", ["%x", "a%"])
def test_a_token_that_sshd_does_not_know_is_told(root, write, value):
    write(f"AuthorizedKeysFile {value}\n")
    with pytest.raises(CommandError, match="token"):
        paths(root)


def test_junk_raises_nothing_but_command_errors(root, write):
    chance = random.Random(11)
    pieces = ["Match", "user", "Group", "all", "Include", "AuthorizedKeysFile", " ", " ", "\n", "="]
    pieces += [
        "*",
        "?",
        "[",
        "]",
        "!",
        ",",
        "..",
        "/",
        "%",
        "%u",
        '"',
        "'",
        "\\",
        "#",
        "\t",
        "\0",
        "\xe4",
    ]
    for _ in range(500):
        write("".join(chance.choice(pieces) for _ in range(40)))
        try:
            paths(root)
        except CommandError:
            pass
