"""SHA-256 of what passes by, in a thread of its own once it is much.

Where the processor has no instructions for it, it takes as long as the channel does.
"""

from __future__ import annotations

import hashlib
import threading
from queue import SimpleQueue
from typing import Optional

BATCH = 1 << 18  # bytes that are handed over at once
AHEAD = 4  # batches that may wait


class Digest:
    """`close` it when it is no longer wanted."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._pieces: list[bytes] = []
        self._size = 0  # of the pieces
        self._batches: SimpleQueue[Optional[list[bytes]]] = SimpleQueue()
        self._room = threading.Semaphore(AHEAD)
        self._thread: Optional[threading.Thread] = None

    def update(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= BATCH:
            self._hand_over()

    def hexdigest(self) -> str:
        """Of all until now."""
        self.close()
        for piece in self._pieces:
            self._hash.update(piece)
        self._pieces.clear()
        return self._hash.hexdigest()

    def close(self) -> None:
        if self._thread is not None:
            self._batches.put(None)
            self._thread.join()
            self._thread = None

    def _hand_over(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="digest", daemon=True)
            self._thread.start()
        self._room.acquire()
        self._batches.put(self._pieces)
        self._pieces, self._size = [], 0

    def _run(self) -> None:
        while (pieces := self._batches.get()) is not None:
            for piece in pieces:
                self._hash.update(piece)
            self._room.release()
