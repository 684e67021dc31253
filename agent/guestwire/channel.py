"""A channel: one port, served for as long as the agent runs, however often the port goes away."""

from __future__ import annotations

import logging
import threading
from typing import Callable, Optional

from . import transports
from .errors import PortAbsent, Stopped, TransportError

log = logging.getLogger(__name__)
RETRY = 5.0  # seconds, for a port that is there but cannot be opened: somebody else may hold it

Open = Callable[[], transports.Transport]


class News:
    """Tells the channels that a device has come or gone. `reliable`: the kernel tells us of all."""

    def __init__(self) -> None:
        self.reliable = False
        self.count = 0
        self._changed = threading.Condition()

    def tell(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait(self, since: int, timeout: Optional[float]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self.count != since, timeout)


class Channel:
    """Runs in a thread of its own. `tried` is set after the first attempt, `error` if it failed.

    `serve` speaks a dialect on the open port until that raises TransportError.
    """

    def __init__(
        self,
        address: str,
        open: Open,
        serve: Callable[[transports.Transport], None],
        news: News,
    ) -> None:
        self.address = address
        self.tried = threading.Event()
        self.error: Optional[TransportError] = None
        self._open = open
        self._serve = serve
        self._news = news
        self._transport: Optional[transports.Transport] = None
        self._stopping = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=address, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float = 1.0) -> None:
        """End it; a command that is running is not waited for longer than `timeout` seconds."""
        with self._lock:
            self._stopping = True
            if self._transport is not None:
                self._transport.stop()
        self._news.tell()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping:
            seen = self._news.count
            try:
                self._serve_once()
            except Stopped:
                return
            except TransportError as error:
                self._give_up(error, seen)
            except Exception as defect:  # an agent that falls silent would be worse than a retry
                log.exception("%s: defect", self.address)
                self._give_up(TransportError(f"{self.address}: {type(defect).__name__}"), seen)

    def _give_up(self, error: TransportError, seen: int) -> None:
        """For now: until a device comes, or for a while."""
        self._report(error)
        self.tried.set()
        self._news.wait(seen, None if self._waits_for_device(error) else RETRY)

    def _serve_once(self) -> None:
        transport = self._open()
        with self._lock:
            if self._stopping:
                transport.close()
                return
            self._transport = transport
        log.info("serving %s", self.address)
        self.error = None
        self.tried.set()
        try:
            self._serve(transport)
        finally:
            with self._lock:
                self._transport = None
                transport.close()

    def _report(self, error: TransportError) -> None:
        """Say a thing once, not every five seconds. Not every guest is given every port."""
        if str(error) != str(self.error):
            level = logging.INFO if isinstance(error, PortAbsent) else logging.WARNING
            log.log(level, "%s; waiting for it", error)
        self.error = error

    def _waits_for_device(self, error: TransportError) -> bool:
        return self._news.reliable and isinstance(error, PortAbsent)
