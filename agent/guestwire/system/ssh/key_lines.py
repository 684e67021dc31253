"""Lines of authorized_keys (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"). Text in, records out."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple, Optional

from ...errors import InvalidArgument

LIMIT = 1 << 15  # a line; the largest real ones (RSA 16384, certificates) need a fifth of it
TYPE = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+")
OPTION = re.compile(r'([A-Za-z0-9-]+)(?:="((?:[^"\\]|\\.)*)")?', re.DOTALL)
CERTIFICATE = "-cert-v01@openssh.com"
SK = "@openssh.com"
# Fields of the public key after its type, by the type's plain name (RFC 4253, 5656 and 8709;
# OpenSSH's PROTOCOL.u2f), each with its length in bytes, 0 for any.
FIELDS: dict[str, tuple[int, ...]] = {
    "ssh-rsa": (0, 0),
    "ssh-dss": (0, 0, 0, 0),
    "ssh-ed25519": (32,),
    "ecdsa-sha2-nistp256": (8, 65),
    "ecdsa-sha2-nistp384": (8, 97),
    "ecdsa-sha2-nistp521": (8, 133),
    "sk-ssh-ed25519" + SK: (32, 0),
    "sk-ecdsa-sha2-nistp256" + SK: (8, 65, 0),
}
FLAGS = frozenset(
    ("agent-forwarding", "cert-authority", "no-agent-forwarding", "no-port-forwarding", "no-pty")
    + ("no-touch-required", "no-user-rc", "no-x11-forwarding", "port-forwarding", "pty")
    + ("restrict", "user-rc", "verify-required", "x11-forwarding")
)
VALUES = frozenset(
    ("command", "environment", "expiry-time", "from")
    + ("permitlisten", "permitopen", "principals", "tunnel")
)


class Key(NamedTuple):
    """A key as sshd reads it: `options` are as written, one each; `blob` is what was base64."""

    type: str
    blob: bytes
    comment: str
    options: tuple[str, ...]

    @property
    def identity(self) -> tuple[bytes, bool]:
        """What makes two lines the same key: an authority's own key and its line are two things."""
        return self.blob, any(option.lower() == "cert-authority" for option in self.options)


def parse(line: str) -> Key:
    """Read one line. Raises InvalidArgument; its text says why it is no key, and quotes nothing."""
    text = line.strip(" \t\r\n")
    if not text or text.startswith("#"):
        raise InvalidArgument("there is no key in it")
    if "PRIVATE KEY" in text[:64]:
        raise InvalidArgument("it is a private key; the public one is needed")
    options: tuple[str, ...] = ()
    kind, _, rest = _cut(text)
    if not TYPE.fullmatch(kind):
        options, text = _options(text)
        kind, _, rest = _cut(text)
        if not TYPE.fullmatch(kind):
            raise InvalidArgument("it has no type of key, such as ssh-ed25519")
    encoded, _, comment = _cut(rest)
    blob = _decode(encoded)
    _check(kind, blob)
    return Key(kind, blob, comment, options)


def accept(line: str) -> Key:
    """`parse`, and refuse what sshd would pass over as well: options and types it does not know."""
    if len(line) > LIMIT or not is_one_line(line.strip()):
        raise InvalidArgument("it is not one line of text")
    key = parse(line)
    if key.type.startswith("ssh-dss"):
        raise InvalidArgument("keys of type ssh-dss are no longer taken by sshd")
    for option in key.options:
        name, _, value = option.partition("=")
        known = VALUES if value else FLAGS
        if name.lower() not in known:
            raise InvalidArgument(f"{name!r} is no option of a key" + " with a value" * bool(value))
    return key


def find(line: str) -> Optional[Key]:
    """The key of a line, or None where sshd would pass over it."""
    try:
        return parse(line)
    except InvalidArgument:
        return None


def is_one_line(text: str) -> bool:
    """No control character but the tab, and nothing that UTF-8 cannot hold."""
    return not re.search("[\0-\x08\x0a-\x1f\x7f\ud800-\udfff]", text)


def fingerprint(key: Key) -> str:
    """As `ssh-keygen -l` prints it; that of a certificate is its key's."""
    import hashlib

    digest = hashlib.sha256(_plain(key)).digest()
    return "SHA256:" + binascii.b2a_base64(digest, newline=False).decode().rstrip("=")


def _cut(text: str) -> tuple[str, str, str]:
    """The first word and the rest, by sshd's white space (Python's has more)."""
    match = re.match(r"([^ \t]*)([ \t]*)", text)
    assert match is not None  # it matches the empty text, too
    return match.group(1), match.group(2), text[match.end() :]


def _options(text: str) -> tuple[tuple[str, ...], str]:
    """The options at the start of a line, and the line after them."""
    found = []
    at = 0
    while True:
        match = OPTION.match(text, at)
        if match is None:
            raise InvalidArgument("it starts with neither a type of key nor options")
        found.append(match.group())
        at = match.end()
        if text[at : at + 1] != ",":
            break
        at += 1
    if text[at : at + 1] not in (" ", "\t"):
        raise InvalidArgument("it starts with neither a type of key nor options")
    return tuple(found), text[at:].lstrip(" \t")


def _decode(text: str) -> bytes:
    try:
        data = binascii.a2b_base64(text)
    except ValueError as error:
        raise InvalidArgument("its key is not base64, or is cut short") from error
    if binascii.b2a_base64(data, newline=False).decode() != text:
        raise InvalidArgument("its key is not base64, or is cut short")
    return data


def _check(kind: str, blob: bytes) -> None:
    """The key inside has the type that the line says, and is whole."""
    fields = _strings(blob)
    inner = next(fields, b"")
    if inner != kind.encode():
        raise InvalidArgument(f"its key is not one of type {kind}")
    plain = plain_type(kind)
    lengths = FIELDS.get(plain)
    if lengths is None or plain != kind:
        return  # a type yet unknown, or a certificate, which sshd checks against its authority
    sizes = [len(field) for field in fields]
    whole = sum(sizes) + 4 * len(sizes) + 4 + len(inner) == len(blob)
    if not whole or len(sizes) != len(lengths):
        raise InvalidArgument("its key is cut short, or has too much")
    if any(want not in (0, size) or not size for want, size in zip(lengths, sizes)):
        raise InvalidArgument(f"its key has the wrong length for {kind}")


def plain_type(kind: str) -> str:
    """The type of the key in a certificate; that of any other key is its own."""
    if not kind.endswith(CERTIFICATE):
        return kind
    plain = kind[: -len(CERTIFICATE)]
    return plain + SK if plain.startswith("sk-") else plain


def _plain(key: Key) -> bytes:
    """The blob of the key itself: a certificate has it after a nonce (PROTOCOL.certkeys)."""
    kind = plain_type(key.type)
    if kind == key.type or kind not in FIELDS:
        return key.blob
    fields = list(_strings(key.blob))[2 : 2 + len(FIELDS[kind])]
    return b"".join(len(field).to_bytes(4, "big") + field for field in (kind.encode(), *fields))


def _strings(blob: bytes) -> Iterator[bytes]:
    """The length-prefixed strings of RFC 4251 that a blob begins with, as far as they are whole."""
    at = 0
    while at + 4 <= len(blob):
        size = int.from_bytes(blob[at : at + 4], "big")
        if at + 4 + size > len(blob):
            return
        yield blob[at + 4 : at + 4 + size]
        at += 4 + size
