import base64
import subprocess

import pytest

from guestwire.commands import accounts
from guestwire.errors import CommandError, InvalidArgument
from guestwire.system.run import Completed

HASH = "$6$salt$hash"


@pytest.fixture
def guest(root, tmp_path):
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/:/\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nann:x:1000:\n")
    (tmp_path / "etc/shadow").write_text("root:*:1:0:99999:7:::\nann:!:1:0:99999:7:::\n")
    return tmp_path


@pytest.fixture
def recorded(context):
    """A context whose programs only say what they were asked."""
    calls = []

    def run(argv, *, input=b"", deadline=None, env=None):
        calls.append((list(argv), input))
        return Completed(argv, 0, b"", b"")

    return context._replace(run=run), calls


def b64(text):
    return base64.b64encode(text.encode()).decode()


def shadow(guest):
    return dict(line.split(":")[:2] for line in (guest / "etc/shadow").read_text().splitlines())


def test_a_crypted_password_is_in_shadow_as_it_came(context, guest):
    assert accounts.set_password(context, "ann", b64(HASH), True) == {}
    assert shadow(guest) == {"root": "*", "ann": HASH}


def test_a_plain_password_is_hashed_by_the_method_of_the_guest(context, guest):
    (guest / "etc/login.defs").write_text("# x\nENCRYPT_METHOD SHA256\n")
    accounts.set_password(context, "ann", b64("p\u00e4ss: word"), False)
    hashed = shadow(guest)["ann"]
    assert hashed.startswith("$5$")
    check = subprocess.run(
        ["openssl", "passwd", "-5", "-salt", hashed.split("$")[-2], "-stdin"],
        input="p\u00e4ss: word\n",
        capture_output=True,
        encoding="utf-8",
    )
    if check.returncode == 0 and "rounds=" not in hashed:
        assert check.stdout.strip() == hashed


def test_an_unknown_user_is_told_of_in_chpasswds_words(context, guest):
    with pytest.raises(CommandError, match=r"failed to set user password: .*nobody-here"):
        accounts.set_password(context, "nobody-here", b64(HASH), True)


def test_the_password_is_in_no_argument_and_in_no_error(recorded):
    context, calls = recorded
    accounts.set_password(context, "ann", b64("geheim"), False)
    [(argv, stdin)] = calls
    assert stdin == b"ann:geheim\n"
    assert "geheim" not in " ".join(argv)


def test_proxmox_wraps_the_base64_and_ends_it_with_a_newline(recorded):
    context, calls = recorded
    password = "0123456789" * 9
    accounts.set_password(context, "ann", base64.encodebytes(password.encode()).decode(), False)
    assert calls[0][1] == f"ann:{password}\n".encode()


@pytest.mark.parametrize("password", ["a\nb", "a\n", "\n", "a\0b"])
def test_a_password_that_chpasswd_would_misread_is_refused(recorded, password):
    context, calls = recorded
    with pytest.raises(InvalidArgument, match=r"^forbidden characters in raw password$"):
        accounts.set_password(context, "ann", b64(password), False)
    assert calls == []


@pytest.mark.parametrize("name", ["a:b", "a\nb", "ann\n", "a\0b", "\ud800"])
def test_a_user_name_that_chpasswd_would_misread_is_refused(recorded, name):
    context, calls = recorded
    with pytest.raises(InvalidArgument, match=r"^forbidden characters in username$"):
        accounts.set_password(context, name, b64("x"), False)
    assert calls == []


@pytest.mark.parametrize("text", ["a!", "a-b_", "\u00e4", "a b", "====", "\ud800"])
def test_what_is_not_base64_is_refused(recorded, text):
    with pytest.raises(InvalidArgument, match=r"^Base64 data contains invalid characters$"):
        accounts.set_password(recorded[0], "ann", text, False)


@pytest.mark.parametrize("text", ["Z2VoZWl", "Z2VoZ", "="])
def test_a_password_cut_short_is_refused_and_not_shown(recorded, text):
    context, calls = recorded
    with pytest.raises(InvalidArgument) as caught:
        accounts.set_password(context, "ann", text, False)
    assert str(caught.value) == "Base64 data is cut short"
    assert calls == []


def test_a_silent_failure_has_its_exit_status_in_the_text(context):
    quiet = context._replace(run=lambda argv, **rest: Completed(argv, 3, b"", b""))
    with pytest.raises(CommandError, match="failed to set user password: exit status 3"):
        accounts.set_password(quiet, "ann", b64("x"), False)
