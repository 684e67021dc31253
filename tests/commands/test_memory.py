"""guest-get-memory-blocks, guest-set-memory-blocks and guest-get-memory-block-info."""

from __future__ import annotations

import errno

import pytest

from guestwire.commands import memory
from guestwire.errors import Unsupported

FILES = {
    "block_size_bytes": "8000000",
    "memory0/state": "online",
    "memory0/removable": "0",
    "memory1/state": "offline",
    "memory1/removable": "1",
    "memory2/state": "going-offline",
    "memory2/removable": "1",
    "memory3/removable": "1",
    "memory10/state": "online",
}


@pytest.fixture
def state(tmp_path):
    directory = tmp_path / "sys/devices/system/memory"
    for name, text in FILES.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text + "\n")
    return lambda number: (directory / f"memory{number}/state").read_text()[:7]


def change(number, online):
    return {"phys-index": number, "online": online}


def test_blocks_are_told_by_number(context, state):
    assert memory.get_blocks(context) == [
        {"phys-index": 0, "online": True, "can-offline": False},
        {"phys-index": 1, "online": False, "can-offline": True},
        {"phys-index": 2, "online": False, "can-offline": True},
        {"phys-index": 3, "online": True, "can-offline": False},
        {"phys-index": 10, "online": True, "can-offline": False},
    ]


def test_blocks_are_changed_and_each_answers_for_itself(context, state):
    answers = memory.set_blocks(
        context,
        [change(99, True), change(1, True), change(0, False), change(10, True), change(3, False)],
    )
    assert answers == [
        {"phys-index": 99, "response": "not-found", "error-code": errno.ENOENT},
        {"phys-index": 1, "response": "success"},
        {"phys-index": 0, "response": "success"},
        {"phys-index": 10, "response": "success"},
        {"phys-index": 3, "response": "operation-not-supported", "error-code": errno.ENOENT},
    ]
    assert (state(1)[:6], state(0)) == ("online", "offline")


def test_a_block_that_the_kernel_will_not_change_has_failed(context, state, tmp_path):
    block = tmp_path / "sys/devices/system/memory/memory7"
    (block / "state").mkdir(parents=True)
    [answer] = memory.set_blocks(context, [change(7, False)])
    assert answer["response"] == "operation-failed"
    assert answer["error-code"] == errno.EISDIR


def test_the_size_is_told_in_bytes(context, state):
    assert memory.get_block_info(context) == {"size": 128 << 20}


def test_a_kernel_without_memory_blocks_has_none_and_says_so(context):
    assert memory.get_blocks(context) == []
    with pytest.raises(Unsupported, match="No such file"):
        memory.get_block_info(context)
    [answer] = memory.set_blocks(context, [change(1, False)])
    assert answer["response"] == "operation-not-supported"
