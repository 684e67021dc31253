"""Which kernel and which distribution the guest runs."""

from __future__ import annotations

import os

from ..dispatch.command import Context
from ..system import os_release

KEYS = {
    "id": "ID",
    "name": "NAME",
    "pretty-name": "PRETTY_NAME",
    "version": "VERSION",
    "version-id": "VERSION_ID",
    "variant": "VARIANT",
    "variant-id": "VARIANT_ID",
}


def get_osinfo(context: Context) -> dict[str, str]:
    """Every member is optional; QGA_OS_RELEASE names another file, as for qemu-ga."""
    reply = _kernel() if context.root.live else {}
    release = os_release.read(context.root, os.environ.get("QGA_OS_RELEASE", ""))
    reply.update({key: release[name] for key, name in KEYS.items() if name in release})
    return reply


def _kernel() -> dict[str, str]:
    name = os.uname()
    return {
        "kernel-release": name.release,
        "kernel-version": name.version,
        "machine": name.machine,
    }
