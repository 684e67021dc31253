"""Logins from utmp and from systemd-logind."""

from __future__ import annotations

import os
import struct

import pytest

from guestwire.system import logins
from guestwire.system.logins import Login

LAYOUTS = {"x86_64": "=h2xi32s4s32s256s4siIi16s20s", "aarch64": "=h2xi32s4s32s256s4sqqq16s20s4x"}
SIZES = {"x86_64": 384, "aarch64": 400}


def record(machine, kind, user, seconds=0, microseconds=0):
    fields = (kind, 99, b"pts/0", b"0", user, b"host", b"", 1, seconds, microseconds, b"", b"")
    return struct.pack(LAYOUTS[machine], *fields)


@pytest.mark.parametrize("machine", LAYOUTS)
def test_records_of_user_processes_are_logins(machine):
    data = b"".join(
        (
            record(machine, 2, b"reboot", 1),
            record(machine, 7, b"alice", 1700000000, 250000),
            record(machine, 8, b"gone", 5),
            record(machine, 7, b"u" * 32, 1700000001),
        )
    )
    assert len(data) == 4 * SIZES[machine]
    assert list(logins.parse_utmp(data, machine)) == [
        Login("alice", 1700000000.25),
        Login("u" * 32, 1700000001.0),
    ]


def test_times_after_2038_are_read():
    [login] = logins.parse_utmp(record("x86_64", 7, b"alice", 4000000000), "x86_64")
    assert login.since == 4000000000


def test_half_a_record_at_the_end_is_passed_over():
    data = record("x86_64", 7, b"alice") + bytes(100)
    assert len(list(logins.parse_utmp(data, "x86_64"))) == 1


SESSION = (
    "# This is private data.\nUID=1000\nUSER={user}\nSTATE={state}\nCLASS={kind}\nREALTIME={at}\n"
)


@pytest.fixture
def sessions(tmp_path):
    directory = tmp_path / "run/systemd/sessions"
    directory.mkdir(parents=True)

    def add(name, user, state="active", kind="user", at="1700000000250000"):
        (directory / name).write_text(SESSION.format(user=user, state=state, kind=kind, at=at))

    return add


def test_without_utmp_the_sessions_of_logind_are_logins(root, sessions):
    sessions("3", "alice")
    sessions("c1", "bob", state="online", at="odd")
    assert logins.logins(root) == [Login("alice", 1700000000.25), Login("bob", 0.0)]


def test_greeters_managers_and_closing_sessions_are_not_logins(root, sessions):
    sessions("1", "gdm", kind="greeter")
    sessions("2", "alice", kind="manager")
    sessions("4", "alice", state="closing")
    assert logins.logins(root) == []


def test_the_fifo_of_a_session_is_not_read(root, sessions, tmp_path):
    sessions("3", "alice")
    os.mkfifo(tmp_path / "run/systemd/sessions/3.ref")
    assert [login.user for login in logins.logins(root)] == ["alice"]


def test_utmp_counts_where_there_is_one(root, sessions, tmp_path):
    sessions("3", "alice")
    (tmp_path / "run/utmp").write_bytes(b"")
    assert logins.logins(root) == []


def test_a_guest_with_neither_has_no_logins(root):
    assert logins.logins(root) == []
