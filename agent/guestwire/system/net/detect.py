"""Which network manager has an interface: the one that owns it, not one merely installed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Optional, Protocol

from ...errors import InvalidArgument, Unsupported
from ..root import Root
from ..run import Run
from . import nics, systemd_networkd
from .model import Ethernet, File, Network

# In the order in which they are asked; a back end is imported when it is.
BACKENDS = ("systemd_networkd", "ifupdown")
NETPLAN_MADE = "/run/systemd/network/10-netplan-"
RUNNING = "/run/systemd/units/invocation:{}.service"


class Backend(Protocol):
    """What a module of a network manager offers. `names` are interfaces of this guest."""

    NAME: str

    def present(self, root: Root) -> bool: ...
    def owns(self, root: Root, name: str) -> bool: ...
    def running(self, root: Root, names: Sequence[str]) -> list[str]: ...
    def paths(self, ethernet: Ethernet) -> list[str]: ...
    def render(self, network: Network) -> dict[str, File]: ...
    def clear(self, root: Root, network: Network) -> dict[str, Optional[File]]: ...
    def release(self, root: Root, run: Run, names: Sequence[str], deadline: float) -> None: ...
    def activate(
        self, root: Root, run: Run, names: Sequence[str], changed: bool, deadline: float
    ) -> None: ...
    def unsettled(self, root: Root, name: str, ethernet: Ethernet) -> str: ...


def backends() -> list[Backend]:
    """All that we have, in the order in which they are asked."""
    return [_load(module) for module in BACKENDS]


def owner(root: Root, name: str) -> str:
    """The manager that has an interface, whether or not we have a back end for it; "" for none."""
    foreign = _foreign_owner(root, name)
    if foreign:
        return foreign
    return next((one.NAME for one in backends() if one.owns(root, name)), "")


def choose(root: Root, network: Network, manager: Optional[str]) -> Backend:
    """The back end for these interfaces, or the one that is asked for.

    Raises Unsupported when nothing that runs here is known to us, when another manager has an
    interface, or when two have one each.
    """
    names = [name for ethernet in network.ethernets for name in ethernet.names]
    owners = {name: owner(root, name) for name in names}
    found = sorted(set(owners.values()) - {""})
    if len(found) > 1:
        listed = ", ".join(f"{name} by {has}" for name, has in owners.items() if has)
        raise Unsupported(f"several managers are at work ({listed}): apply one device at a time")
    wanted = manager or next(iter(found), "")
    if not wanted:
        return _first_present(root)
    if found and wanted != found[0]:
        listed = ", ".join(name for name in names if owners[name])
        raise Unsupported(f"{listed} is managed by {found[0]}, and not by {wanted}")
    return _named(wanted, asked=manager is not None)


def _first_present(root: Root) -> Backend:
    for backend in backends():
        if backend.present(root):
            return backend
    raise Unsupported(f"no network manager found; looked for {_known(backends())}")


def _named(name: str, asked: bool) -> Backend:
    for backend in backends():
        if name == backend.NAME:
            return backend
    if asked:
        raise InvalidArgument(f"manager: {name!r} is none of {_known(backends())}")
    raise Unsupported(f"the interface is managed by {name}; supported are {_known(backends())}")


def _known(some: Iterable[Backend]) -> str:
    return ", ".join(backend.NAME for backend in some)


def _foreign_owner(root: Root, name: str) -> str:
    """A manager without a back end here. netplan shows by the file that it made for networkd."""
    if systemd_networkd.network_file(root, name).startswith(NETPLAN_MADE):
        return "netplan"
    if not nics.index(root, name):
        return "netplan" if any(root.glob("/etc/netplan/*.yaml")) else ""
    state = root.read_text(f"/run/NetworkManager/devices/{nics.index(root, name)}", missing="")
    running = any(root.glob(RUNNING.format("NetworkManager")))
    return "NetworkManager" if running and "managed=true" in state.split() else ""


def _load(module: str) -> Backend:
    backend: Backend = import_module(f".{module}", __package__)
    return backend
