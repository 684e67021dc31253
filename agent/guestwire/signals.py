"""Signals as bytes in a pipe, so that the main thread can wait for them and for other things."""

from __future__ import annotations

import os
import signal


class Signals:
    """Catches SIGTERM, SIGINT and SIGHUP from now on; `fileno` is readable when one came.

    Made before the rest of the agent is imported, so that it can be ended at any moment.
    """

    def __init__(self) -> None:
        self._reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # the byte in the pipe is all that it does
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would cost us exit codes

    def fileno(self) -> int:
        return self._reader

    def take(self) -> list[signal.Signals]:
        """Those that came since the last time, in order."""
        try:
            return [signal.Signals(number) for number in os.read(self._reader, 256)]
        except BlockingIOError:
            return []
