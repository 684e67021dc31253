"""Logical processors, and their going online and offline."""

from __future__ import annotations

from typing import TypedDict

from ..dispatch.command import Context
from ..errors import CommandError
from ..system import cpus

_Optional = TypedDict("_Optional", {"can-offline": bool}, total=False)
_Required = TypedDict("_Required", {"logical-id": int, "online": bool})


class Vcpu(_Required, _Optional):
    """Hosts send back what guest-get-vcpus told; of it `can-offline` changes nothing."""


def get_vcpus(context: Context) -> list[dict[str, object]]:
    return [
        {"logical-id": cpu.number, "online": cpu.online, "can-offline": cpu.can_offline}
        for cpu in cpus.cpus(context.root)
    ]


def set_vcpus(context: Context, vcpus: list[Vcpu]) -> int:
    """How many were dealt with before one failed; only when that is the first, its error."""
    for done, vcpu in enumerate(vcpus):
        try:
            cpus.set_online(context.root, vcpu["logical-id"], vcpu["online"])
        except (CommandError, OSError):
            if not done:
                raise
            return done
    return len(vcpus)
