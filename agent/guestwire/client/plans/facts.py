"""What a guest tells of itself."""

from __future__ import annotations

from typing import NamedTuple, Optional

from .. import shape
from ..errors import GuestCommandFailed
from ..steps import Plan, ask

MOST_COMMANDS = 10_000


class Info(NamedTuple):
    """The agent: its version, and its commands with whether they may be used."""

    version: str
    commands: dict[str, bool]


class Summary(NamedTuple):
    """A guest on a page. What its agent cannot tell is None, or empty."""

    version: str
    hostname: Optional[str]
    os: Optional[str]
    kernel: Optional[str]
    addresses: list[str]
    frozen: bool
    disabled: list[str]


def ping() -> Plan[None]:
    yield ask("guest-ping")


def info() -> Plan[Info]:
    told = shape.record((yield ask("guest-info")), "guest-info")
    commands = {}
    for one in shape.items(told.get("supported_commands"), "guest-info")[:MOST_COMMANDS]:
        row = shape.record(one, "guest-info")
        commands[shape.text(row.get("name"), "guest-info: name")] = row.get("enabled") is True
    return Info(shape.text(told.get("version"), "guest-info: version"), commands)


def summary() -> Plan[Summary]:
    agent = yield from info()
    name = yield from _maybe(agent, "guest-get-host-name")
    system = yield from _maybe(agent, "guest-get-osinfo")
    interfaces = yield from _maybe(agent, "guest-network-get-interfaces")
    status = yield ask("guest-fsfreeze-status")
    facts = system if isinstance(system, dict) else {}
    return Summary(
        version=agent.version,
        hostname=_text(name.get("host-name") if isinstance(name, dict) else None),
        os=_text(facts.get("pretty-name") or facts.get("name")),
        kernel=_text(facts.get("kernel-release")),
        addresses=addresses(interfaces),
        frozen=status == "frozen",
        disabled=sorted(name for name, enabled in agent.commands.items() if not enabled),
    )


def addresses(interfaces: object) -> list[str]:
    """Every address but loopback's and IPv6's link-local ones, in the guest's order."""
    found = []
    for one in interfaces if isinstance(interfaces, list) else ():
        listed = one.get("ip-addresses") if isinstance(one, dict) else None
        if not isinstance(listed, list) or one.get("name") == "lo":
            continue
        for entry in listed:
            text = entry.get("ip-address") if isinstance(entry, dict) else None
            if isinstance(text, str) and not text.lower().startswith(("fe80:", "127.")):
                found.append(text)
    return found


def _maybe(agent: Info, command: str) -> Plan[object]:
    """The answer, or None where the agent has no such command or may not run it."""
    if not agent.commands.get(command):
        return None
    try:
        return (yield ask(command))
    except GuestCommandFailed:
        return None


def _text(value: object) -> Optional[str]:
    return value if isinstance(value, str) else None
