"""Where the agent's log lines go, and where they wait while file systems are frozen."""

from __future__ import annotations

import logging
import sys
import threading

HELD = 1000  # lines; a frozen guest is thawed after ten minutes, and nobody asks much of it
LINE = "%(levelname)s %(name)s: %(message)s"
FILE_LINE = "%(asctime)s " + LINE
ABOUT_US = {"name": __name__, "levelno": logging.ERROR, "levelname": "ERROR"}


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


class File(logging.FileHandler):
    """A file, opened for the first line: an agent that starts in a frozen guest would wait.

    What it does not take, since it cannot be opened or the disk is full, goes to standard error.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path, delay=True)
        self.setFormatter(logging.Formatter(FILE_LINE))
        self._instead = _standard_error()
        self._told = ""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # of opening; those of writing are handled there
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exc_info()[1]
        why = f"{self.baseFilename}: {getattr(error, 'strerror', None) or error}"
        if why != self._told:
            self._told = why
            text = f"{why}; log lines go to standard error"
            self._instead.handle(logging.makeLogRecord({**ABOUT_US, "msg": text}))
        self._instead.handle(record)


def start(level: str, file: str = "") -> HeldBack:
    """Send every line of the package at `level` and above to standard error or to a file."""
    logging.raiseExceptions = False  # nor must standard error be filled with tracebacks
    handler = HeldBack(File(file) if file else _standard_error())
    package = logging.getLogger("guestwire")
    package.handlers[:] = [handler]
    package.propagate = False
    handler.set_level(level)
    return handler


def _standard_error() -> logging.Handler:
    target = logging.StreamHandler()
    target.setFormatter(logging.Formatter(LINE))
    return target
