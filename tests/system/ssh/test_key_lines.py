import base64
import random

import pytest

from guestwire.errors import InvalidArgument
from guestwire.system.ssh import key_lines


def string(data):
    data = data.encode() if isinstance(data, str) else data
    return len(data).to_bytes(4, "big") + data


def line(kind, *fields, inner=None):
    blob = string(inner or kind) + b"".join(map(string, fields))
    return f"{kind} {base64.b64encode(blob).decode()}"


P256 = "ecdsa-sha2-nistp256"
ED = line("ssh-ed25519", bytes(32))
CERT = "ssh-ed25519-cert-v01@openssh.com"
GOOD = {
    "ed25519": ED,
    "rsa": line("ssh-rsa", b"\1\0\1", bytes(257)),
    "ecdsa": line(P256, "nistp256", bytes(65)),
    "sk-ed25519": line("sk-ssh-ed25519@openssh.com", bytes(32), "ssh:"),
    "sk-ecdsa": line("sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", bytes(65), "ssh:"),
    "certificate": line(CERT, bytes(32), bytes(32), bytes(12)),
    "yet unknown": line("ssh-mldsa-65@example.org", bytes(1952)),
}


@pytest.mark.parametrize("name", GOOD)
def test_keys_of_all_types_are_taken(name):
    key = key_lines.accept(f'{GOOD[name]} a comment, with = "things"  ')
    assert key.type == GOOD[name].split()[0]
    assert key.comment == 'a comment, with = "things"'
    assert key.options == ()


OPTIONS = {
    "restrict": ("restrict",),
    'no-pty,from="10.0.0.0/8,*.lan",Restrict': ("no-pty", 'from="10.0.0.0/8,*.lan"', "Restrict"),
    r'command="echo \"a, b\" # c"': (r'command="echo \"a, b\" # c"',),
    'environment="A=ssh-rsa AAAA",cert-authority': (
        'environment="A=ssh-rsa AAAA"',
        "cert-authority",
    ),
}


@pytest.mark.parametrize("text", OPTIONS)
def test_options_are_kept_as_written(text):
    key = key_lines.accept(f"{text} \t{ED} me")
    assert key.options == OPTIONS[text]
    assert (key.type, key.comment) == ("ssh-ed25519", "me")


BAD = {
    "nothing": ("", "there is no key in it"),
    "a comment": (f"# {ED}", "there is no key in it"),
    "a word": ("hello", "neither a type of key nor options"),
    "a private key": ("-----BEGIN OPENSSH PRIVATE KEY-----", "it is a private key"),
    "a type alone": ("ssh-ed25519", "not one of type ssh-ed25519"),
    "what is not base64": ("ssh-ed25519 !!!!", "not base64"),
    "lost padding": (GOOD["ecdsa"].rstrip("=") + " x", "not base64"),
    "a lost end": (ED[:-8], "cut short"),
    "a lost start": (ED.replace("AAAAC3Nz", ""), "not one of type"),
    "another type": (line("ssh-rsa", bytes(32), inner="ssh-ed25519"), "not one of type ssh-rsa"),
    "too many fields": (line("ssh-ed25519", bytes(32), b"x"), "cut short, or has too much"),
    "a short key": (line("ssh-ed25519", bytes(31)), "wrong length for ssh-ed25519"),
    "an empty number": (line("ssh-rsa", b"", bytes(257)), "wrong length for ssh-rsa"),
    "dss": (line("ssh-dss", b"1", b"2", b"3", b"4"), "no longer taken"),
    "an unknown option": (f"foo {ED}", "'foo' is no option"),
    "an option without its value": (f"command {ED}", "'command' is no option"),
    "a flag with a value": (f'no-pty="x" {ED}', "'no-pty' is no option of a key with a value"),
    "an open quote": (f'command="x {ED}', "neither a type of key nor options"),
    "options alone": ("restrict", "neither a type of key nor options"),
    "options and no key": ("restrict x", "it has no type of key"),
    "two lines": (f"{ED} x\n{ED} y", "not one line of text"),
    "control characters": (f"{ED} \x1b[31m", "not one line of text"),
    "half a character": (f"{ED} \ud800", "not one line of text"),
    "a line without end": (f"{ED} " + "x" * (1 << 15), "not one line of text"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_key_is_refused_with_the_reason(name):
    text, reason = BAD[name]
    with pytest.raises(InvalidArgument, match=reason):
        key_lines.accept(text)


def test_a_certificate_has_the_fingerprint_of_its_key():
    assert key_lines.fingerprint(key_lines.parse(GOOD["certificate"])) == key_lines.fingerprint(
        key_lines.parse(ED)
    )


def test_a_line_of_a_file_may_hold_what_a_host_may_not_send():
    key = key_lines.find(f"{ED} M\udcfcller \x1b")
    assert key is not None and key.comment == "M\udcfcller \x1b"


@pytest.mark.parametrize("name", GOOD)
def test_damaged_keys_raise_nothing_but_refusals(name):
    chance = random.Random(5)
    good = 'restrict,command="x" ' + GOOD[name] + " comment"
    for _ in range(500):
        text = list(good)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(text))
            text[at : at + chance.randrange(3)] = chance.choice(
                ['"', "\\", " ", "", "\0", "A", "="]
            )
        try:
            key = key_lines.accept("".join(text))
        except InvalidArgument:
            continue
        key_lines.fingerprint(key)
