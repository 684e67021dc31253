"""Why an agent does not answer, as far as the host can know."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Optional, Protocol

from . import libvirt_host, processes, qmp
from .errors import AgentNotRunning, CannotReach, ChannelBusy, NoSuchChannel, VmOff, VmPaused
from .found import OFF, PAUSED, Found

if TYPE_CHECKING:
    import libvirt

START_AGENT = (
    "start it in the guest: 'systemctl start qemu-guest-agent' or 'guestwire-agent'; "
    "while the guest boots, 'guestwire wait' waits for it"
)
# What each of QEMU's RunStates and libvirt's reasons asks for; the others are resumed.
AFTER = {
    "io-error": "a disk failed on the host: look for a full file system there, then resume the VM",
    "guest-panicked": "the guest's kernel crashed: look at its console, then reset the VM",
    "crashed": "the guest's kernel crashed: look at its console, then reset the VM",
    "internal-error": "QEMU failed: look at its log, then reset the VM",
    "prelaunch": "it was started with -S and waits for 'cont'",
    "inmigrate": "it waits for a migration from another host",
    "migration": "it is being migrated: wait",
    "save": "it is being saved: wait",
    "dump": "its memory is being dumped: wait",
    "snapshot": "a snapshot is being made: wait",
    "starting-up": "wait",
    "suspended": "the guest sleeps: wake it up",
}


class Watch(Protocol):
    """What is known of the VM at the other end of a channel."""

    def why(self) -> Optional[CannotReach]:
        """The reason for silence, or None when everything looks well. Takes at most a second."""


class Unknown:
    """A channel that tells nothing about a VM, e.g. TCP."""

    def why(self) -> Optional[CannotReach]:
        return None


class SocketWatch:
    """A socket of a QEMU process, which is found by its command line, and asked by QMP."""

    def __init__(self, path: str, name: str) -> None:
        self._path = path
        self._name = name

    def why(self) -> Optional[CannotReach]:
        owned = processes.owner(self._path)
        if owned is None:
            return self._without_owner()
        (_, machine), chardev = owned
        told = next(filter(None, (qmp.look(one, 0.4) for one in machine.monitors)), None)
        if told is None:
            return None
        if processes.state_of(told.status) == OFF:
            return VmOff(f"{self._name}: the VM is off ({told.status})", "reset or restart it")
        if processes.state_of(told.status) == PAUSED:
            return paused(self._name, told.status, "resume it: 'cont' in QEMU's monitor")
        if told.open.get(chardev) is False:
            return AgentNotRunning(f"{self._name}: no agent runs in the guest", START_AGENT)
        return None

    def _without_owner(self) -> Optional[CannotReach]:
        if not os.path.exists(self._path):
            return VmOff(f"{self._name}: there is no socket {self._path}", "start the VM")
        return None


class LibvirtWatch:
    def __init__(self, domain: libvirt.virDomain, uri: str, name: str, port: str) -> None:
        self._domain = domain
        self._uri = uri
        self._name = name
        self._port = port

    def why(self) -> Optional[CannotReach]:
        try:
            return explain(self.look(), self._name, self._port)
        except CannotReach as error:
            return error

    def look(self) -> Found:
        describe = libvirt_host.describe
        return libvirt_host.within(1.0, self._uri, lambda: describe(self._uri, self._domain))


def explain(guest: Found, name: str, port: str) -> Optional[CannotReach]:
    """What of a guest's state keeps it from answering on the port."""
    virsh = f"virsh -c {guest.uri}"
    if guest.state == OFF:
        start = f"start it: {virsh} start {guest.name}" if guest.uri else "start it"
        return VmOff(f"{name}: the VM is switched off", start)
    if guest.state == PAUSED:
        resume = f"resume it: {virsh} resume {guest.name}" if guest.uri else "resume it: 'cont'"
        return paused(name, guest.why, resume)
    channel = guest.channels.get(port)
    if channel is None:
        return no_channel(guest, name, port)
    if channel.connected is False:
        return AgentNotRunning(f"{name}: no agent runs in the guest", START_AGENT)
    return None


def paused(name: str, why: str, resume: str) -> VmPaused:
    return VmPaused(f"{name}: the VM is paused ({why or 'paused'})", AFTER.get(why, resume), why)


def no_channel(guest: Found, name: str, port: str) -> NoSuchChannel:
    if guest.uri:
        add = (
            f"add it with 'virsh -c {guest.uri} edit {guest.name}', below <devices>: "
            f"<channel type='unix'><target type='virtio' name='{port}'/></channel>"
        )
    else:
        add = (
            "start QEMU with: -device virtio-serial "
            f"-chardev socket,id=agent0,path=/run/{guest.name}-agent.sock,server=on,wait=off "
            f"-device virtserialport,chardev=agent0,name={port}"
        )
    others = [one for one in guest.channels if one != port]
    has = f"; it has {', '.join(others)}" if others else ""
    reachable = guest.channels.get(port)
    if reachable is not None:
        return NoSuchChannel(f"{name}: the port {port} is no socket that QEMU listens on", add)
    return NoSuchChannel(f"{name}: the VM has no port {port}{has}", add)


def busy(name: str, path: str) -> ChannelBusy:
    return ChannelBusy(
        f"{name}: another program is connected to {path}, or QEMU or the agent hangs",
        f"find it with 'ss -xp | grep {path}' and end it; QEMU serves one at a time",
    )
