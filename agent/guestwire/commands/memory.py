"""Memory blocks, and their going online and offline."""

from __future__ import annotations

from typing import Annotated, TypedDict

from ..dispatch.command import Context
from ..system import memory_blocks
from ..system.root import Root

_Optional = TypedDict("_Optional", {"can-offline": bool}, total=False)
_Required = TypedDict("_Required", {"phys-index": Annotated[int, "uint64"], "online": bool})


class MemoryBlock(_Required, _Optional):
    """Hosts send back what guest-get-memory-blocks told; of it `can-offline` changes nothing."""


def get_blocks(context: Context) -> list[dict[str, object]]:
    return [
        {"phys-index": block.number, "online": block.online, "can-offline": block.can_offline}
        for block in memory_blocks.blocks(context.root)
    ]


def set_blocks(context: Context, mem_blks: list[MemoryBlock]) -> list[dict[str, object]]:
    """Each block succeeds or fails by itself."""
    return [_set(context, block["phys-index"], block["online"]) for block in mem_blks]


def get_block_info(context: Context) -> dict[str, int]:
    return {"size": memory_blocks.size(context.root)}


def has_blocks(root: Root) -> bool:
    return memory_blocks.present(root)


def _set(context: Context, number: int, online: bool) -> dict[str, object]:
    """A GuestMemoryBlockResponse; its error code is an errno."""
    response, code = "success", 0
    try:
        memory_blocks.set_online(context.root, number, online)
    except FileNotFoundError as error:
        code = error.errno or 0
        response = _reason(context, number)
    except OSError as error:
        response, code = "operation-failed", error.errno or 0
    reply: dict[str, object] = {"phys-index": number, "response": response}
    if code:
        reply["error-code"] = code
    return reply


def _reason(context: Context, number: int) -> str:
    """Why there is no switch: this kernel has none at all, there is no such block, or only it."""
    root = context.root
    if memory_blocks.present(root) and not memory_blocks.exists(root, number):
        return "not-found"
    return "operation-not-supported"
