"""An open file of the guest, with the methods that files have."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Optional

from .plans import files

if TYPE_CHECKING:
    from .guest import Guest


class GuestFile:
    """Bytes, unbuffered. The agent keeps it open until `close`, even when this program ends."""

    def __init__(self, guest: Guest, path: str, handle: int) -> None:
        self._guest = guest
        self._handle: Optional[int] = handle
        self.path = path

    def __enter__(self) -> GuestFile:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer at the end; all that is left when it is negative."""
        parts = []
        left = size
        while left:
            count = files.CHUNK if left < 0 else min(left, files.CHUNK)
            data = self._guest.run(files.read(self._number(), count))
            if not data:
                break
            parts.append(data)
            left -= len(data) if left > 0 else 0
        return b"".join(parts)

    def write(self, data: bytes) -> int:
        self._guest.run(files.write(self._number(), data))
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._guest.run(files.seek(self._number(), offset, whence))

    def flush(self) -> None:
        self._guest.run(files.flush(self._number()))

    def close(self) -> None:
        if self._handle is not None:
            handle, self._handle = self._handle, None
            self._guest.run(files.close_file(handle))

    def _number(self) -> int:
        if self._handle is None:
            raise ValueError(f"{self.path} is closed")
        return self._handle
