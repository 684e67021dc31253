"""User accounts: their passwords."""

from __future__ import annotations

import binascii
import re

from ..dispatch.command import Context
from ..errors import InvalidArgument
from ..system import accounts

# Proxmox wraps it at 76 columns and ends it with a newline; neither is part of the password.
BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]*(?:=[\r\n]*){0,2}")


def set_password(
    context: Context, username: str, password: str, crypted: bool
) -> dict[str, object]:
    """Set a password; a user that does not exist is chpasswd's business, and so is its text."""
    secret = _decode(password)
    # chpasswd reads lines "name:password"; a NUL would cut the password short unseen.
    if any(mark in secret for mark in b"\n\0"):
        raise InvalidArgument("forbidden characters in raw password")
    if not username.isprintable() or ":" in username:
        raise InvalidArgument("forbidden characters in username")
    accounts.set_password(
        context.root, context.run, username, secret, crypted=crypted, deadline=context.deadline
    )
    return {}


def _decode(text: str) -> bytes:
    """The bytes; what is cut short is refused, since another password would be set."""
    if not BASE64.fullmatch(text):
        raise InvalidArgument("Base64 data contains invalid characters")
    digits = "".join(text.split())
    try:
        if len(digits) % 4 == 0:
            return binascii.a2b_base64(digits)
    except binascii.Error:
        pass
    raise InvalidArgument("Base64 data is cut short")
