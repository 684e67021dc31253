"""Opening a stream to each kind of address. Everything here comes back by the deadline."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from typing import Union

from . import lock, unix_table, watch
from .address import Direct, Pty, Serial, Tcp, Unix, Vsock, VsockMux
from .errors import AgentNotRunning, CannotReach, ChannelBusy, VmOff
from .streams import Stream

ACCEPT = 0.8  # seconds that QEMU may take to accept; it does so in its main loop, within one


def open_stream(address: Direct, name: str, deadline: float) -> Stream:
    """Raises CannotReach, or one of those below it, by its cause."""
    try:
        if isinstance(address, Unix):
            return _unix(address, name, deadline)
        if isinstance(address, VsockMux):
            return _vsock_mux(address, name, deadline)
        if isinstance(address, (Pty, Serial)):
            return _terminal(address, name)
        return _network(address, name, deadline)
    except OSError as error:
        raise _cannot(address, name, error) from error


def _unix(address: Unix, name: str, deadline: float) -> Stream:
    held = lock.take(address.path, name, deadline)
    release = held.close if held is not None else lambda: None
    connection = socket.socket(socket.AF_UNIX)
    try:
        _connect(connection, address.path, deadline)
        _until_accepted(connection, address.path, name, deadline)
    except BaseException:
        connection.close()
        release()
        raise
    return Stream(connection.detach(), name, release)


def _until_accepted(connection: socket.socket, path: str, name: str, deadline: float) -> None:
    """Nothing is sent before: it would be carried out when nobody waits for the answer."""
    bound = connection.getpeername()  # as the listener wrote it, perhaps a relative path
    end = min(deadline, time.monotonic() + ACCEPT)
    while unix_table.waiting(bound):
        if time.monotonic() >= end:
            raise watch.busy(name, path)
        time.sleep(0.005)


def _vsock_mux(address: VsockMux, name: str, deadline: float) -> Stream:
    """Firecracker's way to a vsock port: CONNECT PORT, and OK with a number of its own."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        _connect(connection, address.path, deadline)
        connection.sendall(b"CONNECT %d\n" % address.port)
        said = b""
        while not said.endswith(b"\n") and len(said) < 64:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            one = connection.recv(1)  # what follows the newline is the agent's
            if not one:
                raise AgentNotRunning(
                    f"{name}: nothing in the guest listens on vsock port {address.port}",
                    watch.START_AGENT,
                )
            said += one
        if not said.startswith(b"OK "):
            raise CannotReach(f"{name}: {said!r} is not how a vsock multiplexer answers")
    except BaseException:
        connection.close()
        raise
    return Stream(connection.detach(), name)


def _network(address: Union[Tcp, Vsock], name: str, deadline: float) -> Stream:
    if isinstance(address, Tcp):
        left = max(0.001, deadline - time.monotonic())
        connection = socket.create_connection((address.host, address.port), left)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Stream(connection.detach(), name)
    connection = socket.socket(socket.AF_VSOCK)
    try:
        _connect(connection, (address.cid, address.port), deadline)
    except BaseException:
        connection.close()
        raise
    return Stream(connection.detach(), name)


def _connect(connection: socket.socket, where: object, deadline: float) -> None:
    connection.settimeout(max(0.001, deadline - time.monotonic()))
    connection.connect(where)  # type: ignore[arg-type]


def _terminal(address: Union[Pty, Serial], name: str) -> Stream:
    """A line, raw, and for ourselves alone: without echo, and with every byte as it is."""
    import fcntl
    import termios
    import tty

    path = address.path if isinstance(address, Pty) else address.device
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tty.setraw(fd)
        if isinstance(address, Serial):
            speed = getattr(termios, f"B{address.speed}", None)
            if speed is None:
                raise CannotReach(f"{name}: no line runs at {address.speed} baud")
            mode = termios.tcgetattr(fd)
            mode[4] = mode[5] = speed
            termios.tcsetattr(fd, termios.TCSANOW, mode)
        termios.tcflush(fd, termios.TCIFLUSH)
    except BlockingIOError as error:
        os.close(fd)
        raise ChannelBusy(f"{name}: another program holds {path}", "end it first") from error
    except termios.error as error:
        os.close(fd)
        raise CannotReach(f"{name}: {path} is no terminal") from error
    except BaseException:
        os.close(fd)
        raise
    return Stream(fd, name)


def _cannot(address: Direct, name: str, error: OSError) -> CannotReach:
    """By the kernel's error; what a socket's owner knows is the watch's business."""
    why = error.strerror or str(error)
    if isinstance(error, PermissionError):
        return CannotReach(f"{name}: {why}", "run it as the VM's user, or with sudo")
    if isinstance(address, Vsock) and error.errno == errno.ECONNRESET:
        return AgentNotRunning(
            f"{name}: nothing in the guest listens on port {address.port}", watch.START_AGENT
        )
    if isinstance(address, Vsock) and error.errno in (errno.ENODEV, errno.ETIMEDOUT):
        return CannotReach(
            f"{name}: no VM with the context id {address.cid} answers",
            "is the VM running, with -device vhost-vsock-pci,guest-cid=...?",
        )
    if isinstance(address, Unix):
        with contextlib.suppress(OSError):
            known = watch.SocketWatch(address.path, name).why()
            if known is not None:
                return known
    if isinstance(error, (ConnectionRefusedError, FileNotFoundError)):
        return VmOff(f"{name}: {why}: nobody listens there", "start the VM, or its agent")
    return CannotReach(f"{name}: {why}")
