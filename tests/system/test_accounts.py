import random

import pytest

from guestwire.system import accounts
from guestwire.system.accounts import Account
from guestwire.system.root import Root

PASSWD = """root:x:0:0:root:/root:/bin/bash
# a comment
+::::::
broken:x:notanumber:1::/:/bin/sh
ann:x:1000:100:Ann,,,:/home/ann:/bin/sh
"""
GROUP = "users:x:100:\nsudo:x:27:ann,bob\nwheel:x:10:\nbad\n"


@pytest.fixture
def guest(root, tmp_path):
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return root


def test_a_user_is_found_in_the_guests_own_passwd(guest):
    assert accounts.find(guest, "ann") == Account("ann", 1000, 100, "/home/ann", "/bin/sh")


@pytest.mark.parametrize("name", ["", "nobody", "broken", "+", "# a comment", "ann:x", "a\0b"])
def test_a_user_that_is_not_there_is_not_found(guest, name):
    assert accounts.find(guest, name) is None


@pytest.mark.parametrize("name", ["no-such-user-here", "a\0b", "\ud800"])
def test_a_live_guest_asks_its_name_service_too(name):
    assert accounts.find(Root(), name) is None
    root = accounts.find(Root(), "root")
    assert root is not None and root.uid == 0


def test_groups_are_the_primary_one_and_those_with_the_user_as_member(guest):
    ann = accounts.find(guest, "ann")
    assert accounts.groups_of(guest, ann) == ["users", "sudo"]


def test_junk_in_the_files_is_passed_over(root, tmp_path):
    chance = random.Random(7)
    for _ in range(300):
        junk = bytes(chance.choice(b":\n0919a\xff\x00,#+-") for _ in range(200))
        for name in ("passwd", "group"):
            (tmp_path / "etc" / name).write_bytes(junk)
        for account in accounts.accounts(root):
            accounts.groups_of(root, account)
