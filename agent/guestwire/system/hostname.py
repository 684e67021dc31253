"""Host name: the kernel's, and the files that give it back after a reboot.

systemd-hostnamed and NetworkManager look at /etc/hostname themselves before they answer, and
systemd and journald watch the kernel's name, so nobody needs to be told, and no bus is needed.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from typing import Optional

from ..errors import CommandError
from . import hosts
from .hosts import Names
from .root import Root

logger = logging.getLogger(__name__)
Before = tuple[str, Optional[bytes]]  # a file, and what was in it; None when there was none

KERNEL_NAME = "/proc/sys/kernel/hostname"
KERNEL_LIMIT = 64  # __NEW_UTS_LEN, include/uapi/linux/utsname.h
# Files besides /etc/hostname in which distributions keep a name, where they exist: a line of
# /etc/sysconfig/network (RHEL 6 and its heirs), the OpenRC of Gentoo, SUSE up to 12.
ASSIGNMENTS = (("/etc/sysconfig/network", "HOSTNAME"), ("/etc/conf.d/hostname", "hostname"))
SUSE_FILE = "/etc/HOSTNAME"
WHOLE_NAMES = ("rhel", "fedora")  # families where /etc/hostname has the domain, too


def current(root: Root) -> str:
    """The kernel's name now; for an image, the one that it will boot with."""
    if root.live:
        return os.uname().nodename
    return root.read_text(KERNEL_NAME, missing="").strip() or static(root)


def static(root: Root) -> str:
    """What /etc/hostname says, which may have comments as hostname(5) allows; "" for nothing."""
    for line in root.read_text("/etc/hostname", missing="").split("\n"):
        if line.strip() and not line.startswith("#"):
            return line.strip()
    return ""


def fqdn(root: Root) -> str:
    """The whole name as far as the guest itself knows it: DNS is not asked, since it may hang."""
    name = current(root)
    if "." in name:
        return name
    return hosts.canonical(root.read_text("/etc/hosts", missing=""), name) or name


def store(root: Root, name: str) -> list[str]:
    """Make `name` the host's name, now and after each reboot: all of it or, on an error, nothing.

    Where a line for 127.0.1.1 has the whole name (Debian, and who else keeps that line), the
    kernel and /etc/hostname get its first label. RHEL's family, and a guest whose distribution
    is not known, get the whole name in both, unless it is too long for the kernel.
    Returns the files that were created.
    """
    table = root.read_text("/etc/hosts", missing="")
    names = Names.of(name)
    own_line = hosts.has_own_line(table) or "debian" in _families(root)
    stored = names.short if own_line or not _stores_whole_name(root, name) else name
    changed = hosts.rename(
        table, _old_names(root, table), names, own_line=own_line or stored != name
    )
    before: list[Before] = []
    try:
        for path, text in _files(root, stored):
            _replace(root, path, text, before)
        if changed != table:
            _replace(root, "/etc/hosts", changed, before)
        if root.live:
            _set_kernel_name(stored)
    except BaseException:
        _put_back(root, before)
        raise
    logger.info("host name set to %s", name)
    return [path for path, old in before if old is None]


def _stores_whole_name(root: Root, name: str) -> bool:
    families = _families(root)
    return len(name) <= KERNEL_LIMIT and (not families or not families.isdisjoint(WHOLE_NAMES))


def _families(root: Root) -> set[str]:
    """ID and ID_LIKE of os-release(5)."""
    text = root.read_text("/etc/os-release", missing="")
    text = text or root.read_text("/usr/lib/os-release", missing="")
    found = re.findall(r"^ID(?:_LIKE)?=(.*)$", text, re.MULTILINE)
    return {word for value in found for word in value.strip().strip("\"'").split()}


def _old_names(root: Root, table: str) -> set[str]:
    old = {current(root), static(root)}
    old |= {Names.of(name).short for name in old}
    return old | {hosts.canonical(table, name) or name for name in old}


def _files(root: Root, name: str) -> Iterator[tuple[str, str]]:
    """Path and new text of each file that has the name to boot with."""
    yield "/etc/hostname", name + "\n"
    if root.exists(SUSE_FILE) and root.path(SUSE_FILE) != root.path("/etc/hostname"):
        yield SUSE_FILE, name + "\n"
    for path, key in ASSIGNMENTS:
        text = root.read_text(path, missing="")
        line = re.compile(rf"^(\s*{key}=).*$", re.MULTILINE)
        if line.search(text):
            yield path, line.sub(rf'\g<1>"{name}"', text)


def _replace(root: Root, path: str, text: str, before: list[Before]) -> None:
    """Write a file, and note what it was; nothing when it has that text."""
    try:
        old: Optional[bytes] = root.read_bytes(path)
    except FileNotFoundError:
        old = None
    if old != text.encode("utf-8", "surrogateescape"):
        root.write(path, text)
        before.append((path, old))


def _put_back(root: Root, before: list[Before]) -> None:
    for path, old in reversed(before):
        try:
            if old is None:
                root.remove(path)
            else:
                root.write(path, old)
        except OSError as error:  # the first error is the one to tell the host
            logger.warning("%s could not be put back: %s", path, error.strerror)


def _set_kernel_name(name: str) -> None:
    import socket

    if os.uname().nodename != name:  # a container may lack the right, and need nothing
        try:
            socket.sethostname(name)
        except OSError as error:
            raise CommandError(f"cannot set the kernel's host name: {error.strerror}") from error
