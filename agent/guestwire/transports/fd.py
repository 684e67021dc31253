"""The one byte pump: any kind of port ends in a file descriptor.

Waiting is edge-triggered. A virtio-serial port without a host is readable (at its end) and hung
up all the time, so a level-triggered wait would spin; the kernel wakes an edge-triggered one when
the host connects, and not before (Linux drivers/char/virtio_console.c, port_fops_poll).

That a host has come is told in another queue than its bytes, and often after them: a port may
have a request to read while it is still hung up. So for a moment after bytes came, hung up does
not mean that the host left.
"""

from __future__ import annotations

import os
import select
import time

from ..errors import HostAway, Stopped, TransportError

READ_SIZE = 65536
BUFFER = 4096  # of a virtio-serial port (Linux drivers/char/virtio_console.c, a page)
HANG_UP = select.EPOLLHUP | select.EPOLLRDHUP | select.EPOLLERR
EDGES = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
ARRIVAL = 0.2  # seconds from a host's first bytes to the news of its coming; 1 to 10 ms is usual


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
        self._host_spoke = 0.0  # when, by time.monotonic; 0.0 when there was nothing since it left
        self._host_seen = False  # the port was not hung up, some time since then
        self._void = False  # what can be read now is of a host that left
        self._stopped = False
        self._stop_reader, self._stop_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._epoll = select.epoll(flags=select.EPOLL_CLOEXEC)
        self._epoll.register(self._stop_reader, select.EPOLLIN)
        self._epoll.register(fd, EDGES)

    def recv(self, *, gather: bool = False) -> bytes:
        while True:
            if self._readable:
                try:
                    data = os.read(self._fd, READ_SIZE)
                except BlockingIOError:
                    self._readable = self._void = False
                    self._host_seen = True
                    continue
                except OSError as error:
                    raise TransportError(f"{self.name}: {error.strerror}") from error
                if data and self._void:
                    continue
                if data:
                    self._host_spoke = time.monotonic()
                    self._readable = self._may_have_more(len(data))
                    return self._with_what_follows(data) if gather else data
                self._readable = self._void = False
                if not self._lasting:
                    raise HostAway(f"{self.name}: the host closed the connection")
                if self._has_left():
                    return b""
            self._wait()

    def _with_what_follows(self, data: bytes) -> bytes:
        """A virtio-serial port gives a buffer at a time: more of them in one piece cost less."""
        pieces, size = [data], len(data)
        while len(data) == BUFFER and size < READ_SIZE and self._readable:
            try:
                data = os.read(self._fd, READ_SIZE)
            except OSError:
                break  # which the next one tells
            pieces.append(data)
            size += len(data)
        return b"".join(pieces)

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

    def _has_left(self) -> bool:
        """At the end of a lasting port's file: True once for each host that spoke."""
        if not self._host_spoke:
            return False
        if not self._host_seen and self._arrives():
            self._readable = True
            return False
        self._host_spoke = 0.0
        self._host_seen = False
        return True

    def _arrives(self) -> bool:
        """Whether a port that is hung up gets a host at once, because one has just spoken."""
        end = self._host_spoke + ARRIVAL
        if not self._lasting or time.monotonic() > end:
            return False
        with select.epoll(flags=select.EPOLL_CLOEXEC) as edge:
            edge.register(self._stop_reader, select.EPOLLIN)
            edge.register(self._fd, select.EPOLLOUT | select.EPOLLET)
            while not self._stopped and (patience := end - time.monotonic()) > 0:
                for fd, events in edge.poll(patience):
                    if fd == self._fd and not events & HANG_UP:
                        self._host_seen = True
                        return True
        return False

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
        """Sleep until the host reads, by the level: it may have left before we began to wait.

        Of one that left, the requests that lie in the port would be run for nobody, or be answered
        to the next.
        """
        level = select.poll()
        level.register(self._fd, select.POLLOUT)
        level.register(self._stop_reader, select.POLLIN)
        events = dict(level.poll()).get(self._fd, 0)
        if self._stopped:
            raise Stopped(self.name)
        if events & (select.POLLHUP | select.POLLERR) and not self._arrives():
            self._void = self._lasting
            self._readable = True
            raise HostAway(f"{self.name}: the host left before it had read the answer")
