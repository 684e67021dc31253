"""Who is logged in to the guest."""

from __future__ import annotations

from ..dispatch.command import Context
from ..system.logins import logins


def get_users(context: Context) -> list[dict[str, object]]:
    """Each user once, with the time of the earliest login that still lasts."""
    earliest: dict[str, float] = {}
    for login in logins(context.root):
        earliest[login.user] = min(login.since, earliest.get(login.user, login.since))
    return [{"user": user, "login-time": since} for user, since in earliest.items()]
