"""libvirt, through its own Python binding, with an end to every wait.

A call into libvirt may hang for as long as its daemon does, and cannot be interrupted. So each
one runs in a thread of its own, which is left behind when it does not come back.
"""

from __future__ import annotations

import os
import threading
import xml.etree.ElementTree as ElementTree
from typing import TYPE_CHECKING, Callable, Optional, TypeVar

from .errors import CannotReach, NoSuchGuest
from .found import OFF, PAUSED, RUNNING, UNKNOWN, Channel, Found

if TYPE_CHECKING:
    import libvirt

T = TypeVar("T")

# virDomainState and the reasons of VIR_DOMAIN_PAUSED (libvirt-domain.h).
STATES = {1: RUNNING, 2: RUNNING, 3: PAUSED, 4: OFF, 5: OFF, 6: OFF, 7: PAUSED}
PAUSED_BECAUSE = {
    1: "user", 2: "migration", 3: "save", 4: "dump", 5: "io-error", 6: "watchdog",
    7: "from-snapshot", 8: "shutting-down", 9: "snapshot", 10: "crashed", 11: "starting-up",
    12: "post-copy", 13: "post-copy-failed", 14: "api-error",
}  # fmt: skip


class LibvirtRefused(CannotReach):
    """libvirt's own error; `number` is its VIR_ERR code."""

    code = "libvirt-refused"

    def __init__(self, text: str, number: int = 0) -> None:
        super().__init__(text)
        self.number = number


def within(seconds: float, what: str, work: Callable[[], T]) -> T:
    """The result of `work`; LibvirtRefused for its errors, and when it does not come back."""
    import libvirt

    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # raised again in the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run, name=f"libvirt: {what}", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        if isinstance(failed[0], libvirt.libvirtError):
            number = failed[0].get_error_code() or 0
            raise LibvirtRefused(f"{what}: {_text(failed[0])}", number) from failed[0]
        raise failed[0]
    if not done:
        raise LibvirtRefused(f"{what}: libvirt did not answer within {seconds:g} s")
    return done[0]


def binding() -> None:
    """Raise CannotReach where the binding is missing; else keep it from writing to stderr."""
    try:
        import libvirt
    except ImportError as error:
        raise CannotReach(
            "libvirt's Python binding is missing",
            "install python3-libvirt (Debian, Fedora) or libvirt-python",
        ) from error
    libvirt.registerErrorHandler(lambda _context, _error: None, None)


def connection(uri: str, seconds: float, read_only: bool = False) -> libvirt.virConnect:
    binding()
    import libvirt

    opened = libvirt.openReadOnly if read_only else libvirt.open
    return within(seconds, uri, lambda: opened(uri))


def uris() -> list[str]:
    """The daemons of this machine that are there; a session daemon is not started by looking."""
    found = []
    if _any_socket("/run/libvirt", "/var/run/libvirt"):
        found.append("qemu:///system")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if _any_socket(
        *([f"{runtime}/libvirt"] if runtime else []), os.path.expanduser("~/.cache/libvirt")
    ):
        found.append("qemu:///session")
    given = os.environ.get("LIBVIRT_DEFAULT_URI")
    if given and given not in found:
        found.append(given)
    return found


def guests(uri: str, seconds: float) -> list[Found]:
    """Every domain of a connection, running or not."""
    conn = connection(uri, seconds, read_only=True)

    def look() -> list[Found]:
        try:
            return [describe(uri, domain) for domain in conn.listAllDomains()]
        finally:
            conn.close()

    return within(seconds, uri, look)


def describe(uri: str, domain: libvirt.virDomain) -> Found:
    """What libvirt knows of a domain. It may be gone by now: then that is its state."""
    state, reason = domain.state()[:2]
    return Found(
        name=domain.name(),
        state=STATES.get(state, UNKNOWN),
        why=PAUSED_BECAUSE.get(reason, "") if STATES.get(state) == PAUSED else "",
        channels=channels(domain.XMLDesc()),
        uri=uri,
        uuid=domain.UUIDString(),
    )


def channels(xml: str) -> dict[str, Channel]:
    """The virtio-serial ports in a domain's XML; `state` is there only while it runs."""
    found = {}
    for channel in ElementTree.fromstring(xml).iterfind("devices/channel"):
        target, source = channel.find("target"), channel.find("source")
        if target is None or target.get("type") != "virtio":
            continue
        state = target.get("state")
        found[target.get("name", "")] = Channel(
            source.get("path") if source is not None else None,
            None if state is None else state == "connected",
        )
    return found


def domain(conn: libvirt.virConnect, uri: str, name: str, seconds: float) -> libvirt.virDomain:
    import libvirt

    try:
        return within(seconds, f"{uri}: {name}", lambda: conn.lookupByName(name))
    except LibvirtRefused as error:
        if error.number != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        raise NoSuchGuest(
            f"{uri} has no domain {name!r}", f"see 'virsh -c {uri} list --all'"
        ) from error


def _any_socket(*directories: str) -> bool:
    names = ("libvirt-sock", "libvirt-sock-ro", "virtqemud-sock", "virtqemud-sock-ro")
    return any(os.path.exists(f"{one}/{name}") for one in directories for name in names)


def _text(error: libvirt.libvirtError) -> str:
    text: Optional[str] = error.get_error_message()
    return text or str(error)
