"""Trimming: the host gets back the disk space that the guest does not use."""

from __future__ import annotations

from typing import Optional

from ..dispatch.command import Context
from ..system.storage.trim import Trimmed, trim_all


def trim(context: Context, minimum: Optional[int] = None) -> dict[str, list[dict[str, object]]]:
    return {"paths": [_result(trimmed) for trimmed in trim_all(context.root, minimum or 0)]}


def _result(trimmed: Trimmed) -> dict[str, object]:
    if trimmed.error is not None:
        return {"path": trimmed.path, "error": trimmed.error}
    return {"path": trimmed.path, "trimmed": trimmed.bytes, "minimum": trimmed.minimum}
