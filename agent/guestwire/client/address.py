"""How a guest is named: one grammar, for the library, the command and files alike.

    web1                              a guest that is found, see `locate`
    libvirt+qemu:///system/web1       a libvirt domain; its name is what follows the last slash
    libvirt+qemu+ssh://host/system/web1
    unix:/run/vm/agent.sock           a socket that QEMU listens on
    pty:/dev/pts/7                    a pseudo terminal that QEMU made
    tcp:127.0.0.1:4444                tcp:[::1]:4444
    vsock:3:1234                      a context id and a port
    vsock-mux:/run/fc/v.sock:1234     Firecracker's and Cloud Hypervisor's: CONNECT port, OK port
    serial:/dev/ttyUSB0               serial:/dev/ttyUSB0,115200
    native+unix:/run/vm/own.sock      an agent that speaks guestwire's own protocol there; before
                                      any of these but the first three

A name and a libvirt address take `#PORT`, the virtio-serial port that is meant when it is not
the QEMU guest agent's, e.g. web1#org.example.agent.0. On org.guestwire.agent.0 agents speak
guestwire's own protocol.
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Union

from .errors import BadAddress

QGA_PORT = "org.qemu.guest_agent.0"
NATIVE_PORT = "org.guestwire.agent.0"
NATIVE = "native+"
SPEED = 38400  # of a serial line, unless it is given; that is qemu-ga's own


class Name(NamedTuple):
    """A guest that has yet to be found."""

    name: str
    port: str = ""

    def __str__(self) -> str:
        return self.name + _fragment(self.port)


class Libvirt(NamedTuple):
    uri: str
    name: str
    port: str = ""

    def __str__(self) -> str:
        return f"libvirt+{self.uri}/{self.name}{_fragment(self.port)}"


class Unix(NamedTuple):
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


class Pty(NamedTuple):
    path: str

    def __str__(self) -> str:
        return f"pty:{self.path}"


class Tcp(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return (
            f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"
        )


class Vsock(NamedTuple):
    cid: int
    port: int

    def __str__(self) -> str:
        return f"vsock:{self.cid}:{self.port}"


class VsockMux(NamedTuple):
    path: str
    port: int

    def __str__(self) -> str:
        return f"vsock-mux:{self.path}:{self.port}"


class Serial(NamedTuple):
    device: str
    speed: int = SPEED

    def __str__(self) -> str:
        return (
            f"serial:{self.device},{self.speed}" if self.speed != SPEED else f"serial:{self.device}"
        )


Direct = Union[Unix, Pty, Tcp, Vsock, VsockMux, Serial]


class Native(NamedTuple):
    """A place at which guestwire's own protocol is spoken."""

    place: Direct

    def __str__(self) -> str:
        return f"{NATIVE}{self.place}"


Address = Union[Name, Libvirt, Native, Direct]


def parse(text: str) -> Address:
    """Raises BadAddress, whose text shows the form that was missed."""
    if not text.strip():
        raise BadAddress("an address of a guest is empty", "see 'guestwire ls' for names")
    if not text.isprintable():
        raise BadAddress(f"{text!r} holds characters that cannot be printed")
    if text.startswith("libvirt+"):
        return _libvirt(text)
    if text.startswith(NATIVE):
        return Native(_direct(text))
    kind, colon, rest = text.partition(":")
    if colon and kind in PARSERS:
        return PARSERS[kind](text, rest)
    if "/" in text or (colon and kind.isalpha()):
        known = ", ".join(f"{one}:" for one in PARSERS)
        raise BadAddress(
            f"{text!r} is no address of a guest",
            f"addresses begin with {known} or libvirt+URI/; a plain name holds no slash",
        )
    name, port = _with_port(text)
    return Name(name, port)


def _libvirt(text: str) -> Libvirt:
    place, slash, last = text[len("libvirt+") :].rpartition("/")
    if not slash or not last or "://" not in place + "/":
        raise _bad(text, "libvirt+URI/NAME, e.g. libvirt+qemu:///system/web1")
    if place.endswith(("/", ":")):  # the last slash was one of the URI's own
        raise _bad(text, "libvirt+URI/NAME; the URI's path is missing, e.g. /system")
    return Libvirt(place, *_with_port(last))


def _direct(text: str) -> Direct:
    kind, _, rest = text[len(NATIVE) :].partition(":")
    if kind not in PARSERS:
        raise _bad(text, f"{NATIVE} and one of {', '.join(f'{one}:' for one in PARSERS)}")
    return PARSERS[kind](text, rest)


def _path(text: str, rest: str, form: str) -> str:
    if not rest:
        raise _bad(text, form)
    return rest


def _unix(text: str, rest: str) -> Unix:
    return Unix(_path(text, rest, "unix:PATH"))


def _pty(text: str, rest: str) -> Pty:
    return Pty(_path(text, rest, "pty:PATH"))


def _tcp(text: str, rest: str) -> Tcp:
    form = "tcp:HOST:PORT"
    host, _, port = rest.rpartition(":")
    return Tcp(_path(text, host.strip("[]"), form), _number(text, port, 1, 65535, form))


def _vsock(text: str, rest: str) -> Vsock:
    form = "vsock:CID:PORT"
    cid, _, port = rest.partition(":")
    return Vsock(_number(text, cid, 1, 0xFFFFFFFE, form), _number(text, port, 0, 0xFFFFFFFE, form))


def _vsock_mux(text: str, rest: str) -> VsockMux:
    form = "vsock-mux:PATH:PORT"
    path, _, port = rest.rpartition(":")
    return VsockMux(_path(text, path, form), _number(text, port, 0, 0xFFFFFFFE, form))


def _serial(text: str, rest: str) -> Serial:
    form = "serial:DEVICE or serial:DEVICE,SPEED"
    device, comma, speed = rest.partition(",")
    number = _number(text, speed, 50, 4_000_000, form) if comma else SPEED
    return Serial(_path(text, device, form), number)


PARSERS: dict[str, Callable[[str, str], Direct]] = {
    "unix": _unix,
    "pty": _pty,
    "tcp": _tcp,
    "vsock": _vsock,
    "vsock-mux": _vsock_mux,
    "serial": _serial,
}


def _number(text: str, digits: str, least: int, most: int, form: str) -> int:
    if digits.isascii() and digits.isdigit() and len(digits) <= 10 and least <= int(digits) <= most:
        return int(digits)
    raise _bad(text, f"{form}; {digits!r} is not a number from {least} to {most}")


def _with_port(text: str) -> tuple[str, str]:
    name, mark, port = text.partition("#")
    if not name or (mark and not port):
        raise _bad(text, "NAME or NAME#PORT, e.g. web1#org.qemu.guest_agent.0")
    return name, port


def _fragment(port: str) -> str:
    return f"#{port}" if port else ""


def _bad(text: str, form: str) -> BadAddress:
    return BadAddress(f"{text!r} is no address of a guest", f"the form is {form}")
