"""guest-get-users."""

from __future__ import annotations

from guestwire.commands import logins


def test_each_user_comes_once_with_the_earliest_login(context, tmp_path):
    directory = tmp_path / "run/systemd/sessions"
    directory.mkdir(parents=True)
    for name, user, at in (("1", "zoe", 500), ("2", "alice", 400), ("3", "zoe", 300)):
        (directory / name).write_text(f"USER={user}\nCLASS=user\nREALTIME={at}000000\n")
    assert logins.get_users(context) == [
        {"user": "zoe", "login-time": 300.0},
        {"user": "alice", "login-time": 400.0},
    ]


def test_nobody_is_logged_in_to_an_empty_guest(context):
    assert logins.get_users(context) == []
