"""The library with asyncio: the same plans over the same conversation."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

import agents
from fake_guest import FakeGuest, answering
from guestwire.client import aio
from guestwire.client.errors import (
    AgentNotRunning,
    BadAnswer,
    ChannelLost,
    GuestCommandFailed,
    GuestFrozen,
    NoAnswer,
    VmOff,
)


@pytest.fixture(params=["guestwire", "qemu-ga"], scope="module")
def address(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("agent")
    if request.param == "qemu-ga":
        agents.require_qemu_ga()
        running = agents.Agent(directory, agents.theirs)
    else:
        running = agents.Agent(directory, agents.ours, ("--root", "/"))
    with running:
        yield f"unix:{running.socket}"


def test_everything_a_guest_does_can_be_awaited(address, tmp_path):
    async def work():
        async with await aio.connect(address) as guest:
            assert (await guest.info()).version[0].isdigit()
            assert (await guest.summary()).hostname == os.uname().nodename
            assert await guest.call("guest-sync", id=7) == 7
            result = await guest.exec(["sh", "-c", "cat; exit 3"], input=b"in")
            assert (result.out, result.code) == (b"in", 3)
            data = os.urandom(2_500_000)
            await guest.write_file(str(tmp_path / "a"), data)
            assert await guest.read_file(str(tmp_path / "a")) == data
            (tmp_path / "a").chmod(0o640)
            await guest.copy_to(tmp_path / "a", str(tmp_path / "b"))
            await guest.copy_from(str(tmp_path / "b"), tmp_path / "c")
            assert (tmp_path / "c").read_bytes() == data
            assert (tmp_path / "c").stat().st_mode & 0o777 == 0o640

    asyncio.run(work())


def test_tasks_share_a_guest_and_none_waits_for_anothers_program(address):
    async def work():
        async with await aio.connect(address) as guest:
            begun = time.monotonic()
            naps = [guest.exec(["sleep", "0.5"]) for _ in range(6)]
            done = await asyncio.gather(*naps, guest.ping())
            assert all(one.ok for one in done[:-1])
            assert time.monotonic() - begun < 2

    asyncio.run(work())


def test_many_guests_are_waited_for_at_once(tmp_path):
    async def work():
        paths = [f"unix:{tmp_path}/{number}" for number in range(30)]
        return await asyncio.gather(
            *(aio.connect(one, timeout=2) for one in paths), return_exceptions=True
        )

    guests = [
        FakeGuest(tmp_path / f"{number}", silent if number % 10 == 0 else answering({}))
        for number in range(30)
    ]
    outcomes = asyncio.run(work())
    for one in outcomes:
        if isinstance(one, aio.AsyncGuest):
            one.close()
    for guest in guests:
        guest.__exit__()
    assert [type(one) for one in outcomes].count(AgentNotRunning) == 3
    assert [type(one) for one in outcomes].count(aio.AsyncGuest) == 27


def silent(guest, connection):
    while connection.recv(65536):
        pass


def test_a_cancelled_question_leaves_a_guest_that_can_be_asked(tmp_path):
    async def work():
        async with await aio.connect(f"unix:{tmp_path}/g") as guest:
            asked = asyncio.create_task(guest.ask("guest-x", timeout=30))
            await asyncio.sleep(0.1)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            await guest.ping()

    with FakeGuest(tmp_path / "g", answering({"guest-x": b""})):
        asyncio.run(work())


def test_errors_are_the_same_by_their_causes(tmp_path):
    def hang_up(_):
        raise OSError("gone")

    answers = {
        "guest-late": b"",
        "guest-lie": b"no json\n",
        "guest-gone": hang_up,
        "guest-no": b'{"error": {"class": "GenericError", "desc": "no"}}\n',
        "guest-refused": b'{"error": {"class": "CommandNotFound", "desc": "x disabled: y"}}\n',
        "guest-fsfreeze-status": "frozen",
    }
    causes = {
        "guest-late": NoAnswer,
        "guest-lie": BadAnswer,
        "guest-gone": ChannelLost,
        "guest-no": GuestCommandFailed,
        "guest-refused": GuestFrozen,
    }

    async def work():
        async with await aio.connect(f"unix:{tmp_path}/g") as guest:
            for command, cause in causes.items():
                with pytest.raises(cause):
                    await guest.ask(command, timeout=0.2)
            await guest.ping()

    with FakeGuest(tmp_path / "g", answering(answers)):
        asyncio.run(work())


def test_a_guest_that_is_not_there_is_told(tmp_path):
    with pytest.raises(VmOff):
        asyncio.run(aio.connect(f"unix:{tmp_path}/nothing"))


def test_a_frozen_guest_is_thawed_when_the_task_is_cancelled(tmp_path):
    frozen = []
    answers = {
        "guest-fsfreeze-freeze": lambda _: frozen.append(True) or 2,
        "guest-fsfreeze-thaw": lambda _: frozen.clear() or 2,
        "guest-fsfreeze-status": lambda _: "frozen" if frozen else "thawed",
    }

    async def snapshot(guest):
        async with guest.frozen() as told:
            assert told.file_systems == 2
            await asyncio.sleep(30)

    async def work():
        async with await aio.connect(f"unix:{tmp_path}/g") as guest:
            task = asyncio.create_task(snapshot(guest))
            await asyncio.sleep(0.2)
            assert frozen
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not frozen

    with FakeGuest(tmp_path / "g", answering(answers)):
        asyncio.run(work())


def test_a_cancelled_connection_leaves_no_lock_behind(tmp_path):
    async def work():
        address = f"unix:{tmp_path}/g"
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.connect(address, timeout=1), 0.2)
        async with await aio.connect(address, timeout=5) as guest:
            await guest.ping()

    served = []

    def late(guest, connection):
        served.append(connection)
        if len(served) == 1:
            time.sleep(0.6)
        answering({})(guest, connection)

    with FakeGuest(tmp_path / "g", late):
        asyncio.run(work())
