"""Serial lines, ttyS0 and on: "DEVICE" or "DEVICE,SPEED". pyserial sets the line.

Such a line has no notion of a host that is there or not: without one, what is sent vanishes.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import TransportError
from ..system.root import Root
from .fd import FdTransport

SPEED = 38400  # qemu-ga's; QEMU's own UART ignores it, a real line does not


def discover(root: Root) -> Iterator[tuple[str, str]]:
    """Yield (device, device) of each line behind which the kernel found a UART."""
    for name in root.names("/sys/class/tty"):
        # type 0 is PORT_UNKNOWN: the 8250 driver keeps 32 names whether or not there are chips
        kind = root.read_text(f"/sys/class/tty/{name}/type", missing="0").strip()
        if name.startswith("ttyS") and kind != "0":
            yield f"/dev/{name}", f"/dev/{name}"


def connect(root: Root, address: str) -> FdTransport:
    """Open the line raw and for ourselves alone; a getty on it would eat half of each request."""
    try:
        import serial  # optional in the guest: only serial lines need it
    except ImportError as error:
        raise TransportError(f"isa-serial:{address}: needs pyserial: {error}") from error
    device, _, speed = address.partition(",")
    try:
        line = serial.Serial(device, int(speed or SPEED), exclusive=True)
    except (serial.SerialException, ValueError, OSError) as error:
        raise TransportError(f"isa-serial:{address}: {error}") from error
    line.reset_input_buffer()
    return _SerialTransport(line, f"isa-serial:{address}")


class _SerialTransport(FdTransport):
    """Keeps pyserial's object, which would close the descriptor when it is collected."""

    def __init__(self, line: object, name: str) -> None:
        import os

        self._line = line
        super().__init__(os.dup(line.fileno()), name, lasting=True)  # type: ignore[attr-defined]
