"""The conversation itself: is somebody there, in step, and what can be asked."""

from __future__ import annotations

from ..dispatch.command import Context

OWN_VERSION = "11.1.3"  # the newest QEMU guest agent whose commands the table has, all of them


def sync(context: Context, id: int) -> int:
    """The number that was sent; the dialect marks the delimited form."""
    return id


def ping(context: Context) -> dict[str, object]:
    return {}


def info(context: Context) -> dict[str, object]:
    """The QEMU guest agent's commands, last first as it lists them, and none but those.

    ansible's libvirt_qemu compares whole entries, so they have these three keys and no other.
    """
    listed = [
        {"name": one.name, "enabled": one.enabled, "success-response": one.replies}
        for one in context.listed()
        if one.name.startswith("guest-")
    ]
    return {
        "version": context.settings.get("qga-version", OWN_VERSION),
        "supported_commands": listed[::-1],
    }


def commands(context: Context) -> dict[str, object]:
    """Every command, those of our own too."""
    return {"commands": [one._asdict() for one in context.listed()]}
