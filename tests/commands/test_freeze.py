"""What a host sees of freezing, through the dispatcher; the kernel is a toy."""

from __future__ import annotations

import errno

import pytest

from guestwire.commands.table import COMMANDS
from guestwire.dispatch.dispatcher import Dispatcher
from guestwire.dispatch.jobs import Jobs
from guestwire.dispatch.policy import Policy
from guestwire.system.freeze.freezer import Freezer
from guestwire.system.run import run
from guestwire.wire.events import Failure, Request

WHILE_FROZEN = {
    "guest-ping",
    "guest-info",
    "guest-sync",
    "guest-sync-delimited",
    "guest-fsfreeze-status",
    "guest-fsfreeze-thaw",
}


class ToyKernel:
    """Every open file is on a file system of its own."""

    def __init__(self):
        self.frozen = set()

    def freeze(self, fd):
        self.frozen.add(fd)

    def thaw(self, fd):
        if fd not in self.frozen:
            raise OSError(errno.EINVAL, "Invalid argument")
        self.frozen.remove(fd)


@pytest.fixture
def settings():
    return {}


@pytest.fixture
def ask(root, tmp_path, settings):
    """Ask for a command by its wire name; the value, or the error."""
    (tmp_path / "proc/self").mkdir(parents=True)
    lines = []
    for number, name in enumerate(("data", "srv")):
        (tmp_path / name).mkdir()
        lines.append(f"3{number} 1 8:{number} / /{name} rw - ext4 /dev/sd{number} rw\n")
    (tmp_path / "proc/self/mountinfo").write_text("".join(lines))
    jobs = Jobs()
    freezer = Freezer(root, run, settings, ToyKernel())
    jobs.keep(freezer)
    dispatcher = Dispatcher(
        COMMANDS,
        root,
        run,
        jobs,
        settings=settings,
        policy=Policy(block=frozenset(WHILE_FROZEN - {"guest-fsfreeze-status"})),
        frozen=lambda: freezer.frozen,
    )

    def ask(command, **arguments):
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        answer = dispatcher.answer(Request(command, named), "test")
        return answer.error if isinstance(answer, Failure) else answer.value

    return ask


@pytest.fixture
def hook(tmp_path, settings):
    path = tmp_path / "etc/hook"

    def write(script):
        path.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/log\n{script}\n')
        path.chmod(0o755)
        settings["fsfreeze-hook"] = "/etc/hook"

    return write


def test_a_qemu_ga_client_freezes_and_thaws_with_numbers_and_words(ask):
    assert ask("guest-fsfreeze-status") == "thawed"
    assert ask("guest-fsfreeze-freeze") == 2
    assert ask("guest-fsfreeze-status") == "frozen"
    assert ask("guest-fsfreeze-thaw") == 2
    assert ask("guest-fsfreeze-status") == "thawed"
    assert "guest-fsfreeze-thaw has been disabled" in str(ask("guest-fsfreeze-thaw"))


def test_while_frozen_only_six_of_qemu_ga_s_commands_run_whatever_the_block_list_says(ask):
    ask("guest-fsfreeze-freeze")
    listed = ask("guest-info")["supported_commands"]
    assert {command["name"] for command in listed if command["enabled"]} == WHILE_FROZEN
    error = ask("guest-get-host-name")
    assert error.code == "not-permitted" and "the command is not allowed" in str(error)


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ({}, 2),
        ({"mountpoints": ["/srv"]}, 1),
        ({"mountpoints": ["/srv", "/srv", "/nowhere"]}, 1),
        ({"mountpoints": []}, 0),
        ({"mountpoints": ["/nowhere"]}, 0),
    ],
)
def test_a_list_freezes_what_it_names_and_no_unknown_mount_points(ask, arguments, count):
    assert ask("guest-fsfreeze-freeze-list", **arguments) == count
    assert ask("guest-fsfreeze-status") == ("frozen" if count else "thawed")


def test_a_hook_s_freeze_is_followed_by_its_thaw_though_nothing_was_frozen(ask, hook, tmp_path):
    hook("")
    assert ask("guest-fsfreeze-freeze-list", mountpoints=["/nowhere"]) == 0
    assert (tmp_path / "log").read_text() == "freeze\nthaw\n"


def test_a_hook_that_fails_is_quoted_in_the_error(ask, hook):
    hook("echo not now; exit 1")
    error = ask("guest-fsfreeze-freeze")
    assert str(error) == "child process has failed to execute fsfreeze hook: not now"
    assert ask("guest-fsfreeze-status") == "thawed"


def test_our_own_freeze_tells_of_each_mount_and_of_the_time_left(ask):
    answer = ask("fs.freeze", mountpoints=["/data", "/nowhere"], timeout=30)
    assert answer["frozen"] == 1 and 29 < answer["left"] <= 30
    assert answer["mounts"] == [
        {"mountpoint": "/data", "device": "/dev/sd0", "result": "frozen"},
        {
            "mountpoint": "/nowhere",
            "device": "",
            "result": "skipped",
            "reason": "not a mount point of a file system on a disk",
        },
    ]
    assert (answer["by"], answer["hooks"]) == ("own", [])
    assert ask("fs.status")["status"] == "frozen"
    assert ask("fs.thaw") == {"thawed": 1, "hooks": []}


def test_a_freeze_of_qemu_ga_s_can_be_watched_and_extended(ask):
    ask("guest-fsfreeze-freeze")
    assert ask("fs.status")["by"] == "qga"
    for answer in (ask("fs.extend", timeout=300), ask("fs.status")):
        assert 299 < answer["left"] <= 300
        assert answer["left"] == round(answer["left"], 3)


def test_after_the_thaw_the_status_tells_how_it_ended(ask, hook):
    hook("echo $1 it is")
    ask("fs.freeze")
    thawed = ask("fs.thaw")
    assert [(h["hook"], h["output"]) for h in thawed["hooks"]] == [("/etc/hook", "thaw it is")]
    status = ask("fs.status")
    last = status.pop("last")
    assert status == {"status": "thawed"}
    assert (last["ended"], last["thawed"], last["by"]) == ("thaw", 2, "own")
    assert [h["phase"] for h in last["hooks"]] == ["freeze", "thaw"]
