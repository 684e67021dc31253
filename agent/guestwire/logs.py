"""Where the agent's log lines go, and where they wait while file systems are frozen."""

from __future__ import annotations

import logging
import threading

HELD = 1000  # lines; a frozen guest is thawed after ten minutes, and nobody asks much of it
LINE = "%(levelname)s %(name)s: %(message)s"
FILE_LINE = "%(asctime)s " + LINE


class HeldBack(logging.Handler):
    """Passes lines on, but not between `hold_back` and `pass_on`: a frozen disk takes none."""

    def __init__(self, target: logging.Handler) -> None:
        super().__init__()
        self._target = target
        self._held: list[logging.LogRecord] = []
        self._holding = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self._holding.is_set():
            if len(self._held) < HELD:
                self._held.append(record)
        else:
            self._target.handle(record)

    @staticmethod
    def set_level(level: str) -> None:
        logging.getLogger("guestwire").setLevel(level.upper())

    def hold_back(self) -> None:
        self._holding.set()

    def pass_on(self) -> None:
        self._holding.clear()
        held, self._held = self._held, []
        for record in held:
            self._target.handle(record)


def start(level: str, file: str = "") -> HeldBack:
    """Send every line of the package at `level` and above to standard error or to a file.

    The file is opened for the first line: an agent that starts in a frozen guest would wait.
    """
    logging.raiseExceptions = False  # a full disk must not fill standard error with tracebacks
    target = logging.FileHandler(file, delay=True) if file else logging.StreamHandler()
    target.setFormatter(logging.Formatter(FILE_LINE if file else LINE))
    handler = HeldBack(target)
    package = logging.getLogger("guestwire")
    package.handlers[:] = [handler]
    package.propagate = False
    handler.set_level(level)
    return handler
