"""The one byte pump: any kind of port ends in a file descriptor.

Waiting is edge-triggered. A virtio-serial port without a host is readable (at its end) and hung
up all the time, so a level-triggered wait would spin; the kernel wakes an edge-triggered one when
the host connects, and not before (Linux drivers/char/virtio_console.c, port_fops_poll).
"""

from __future__ import annotations

import os
import select

from ..errors import HostAway, Stopped, TransportError

READ_SIZE = 65536
HANG_UP = select.EPOLLHUP | select.EPOLLRDHUP | select.EPOLLERR
EDGES = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


class FdTransport:
    """Owns a non-blocking descriptor. One thread may receive while another sends.

    `lasting`: the port outlives its hosts, so an end of file is a host that left. Otherwise the
    end of file is the end of the transport. `whole_reads`: a read that returns less than asked
    for has emptied the queue, as on sockets; a virtio-serial read returns one buffer at most.
    """

    def __init__(
        self, fd: int, name: str, *, lasting: bool = False, whole_reads: bool = False
    ) -> None:
        os.set_blocking(fd, False)
        self.name = name
        self._fd = fd
        self._lasting = lasting
        self._whole_reads = whole_reads
        self._readable = True
        self._hung_up = False
        self._host_present = False
        self._stopped = False
        self._stop_reader, self._stop_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)
        self._epoll.register(self._stop_reader, select.EPOLLIN)
        self._epoll.register(fd, EDGES)

    def recv(self) -> bytes:
        while True:
            if self._readable:
                try:
                    data = os.read(self._fd, READ_SIZE)
                except BlockingIOError:
                    self._readable = False
                    continue
                except OSError as error:
                    raise TransportError(f"{self.name}: {error.strerror}") from error
                if data:
                    self._host_present = True
                    self._readable = self._may_have_more(len(data))
                    return data
                self._readable = False
                if not self._lasting:
                    raise HostAway(f"{self.name}: the host closed the connection")
                if self._host_present:
                    self._host_present = False
                    return b""
            self._wait()

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                self._wait_for_reader()
            except BrokenPipeError as error:
                raise HostAway(f"{self.name}: the host closed the connection") from error
            except OSError as error:
                raise TransportError(f"{self.name}: {error.strerror}") from error

    def stop(self) -> None:
        self._stopped = True
        os.write(self._stop_writer, b"x")

    def close(self) -> None:
        self._epoll.close()
        for fd in (self._fd, self._stop_reader, self._stop_writer):
            os.close(fd)

    def _may_have_more(self, count: int) -> bool:
        """After a hang-up there is an end of file to read, and no further edge to tell of it."""
        return self._hung_up or not self._whole_reads or count == READ_SIZE

    def _wait(self) -> None:
        for fd, events in self._epoll.poll():
            if fd == self._fd:
                self._readable = True
                self._hung_up = bool(events & HANG_UP)
        if self._stopped:
            raise Stopped(self.name)

    def _wait_for_reader(self) -> None:
        """Sleep until the host reads, by the level: it may have left before we began to wait."""
        level = select.poll()
        level.register(self._fd, select.POLLOUT)
        level.register(self._stop_reader, select.POLLIN)
        events = dict(level.poll()).get(self._fd, 0)
        if self._stopped:
            raise Stopped(self.name)
        if events & (select.POLLHUP | select.POLLERR):
            raise HostAway(f"{self.name}: the host left before it had read the answer")
