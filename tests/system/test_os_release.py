"""os-release files as distributions, and nobody, write them."""

from __future__ import annotations

import pytest

from guestwire.system import os_release

VALUES = {
    '"Debian GNU/Linux"': "Debian GNU/Linux",
    "debian": "debian",
    "'Single Quoted'": "Single Quoted",
    r'"a \"b\" \$c \`d\` \\ \e"': r'a "b" $c `d` \ \e',
    "cut here": "cut",
    "cut;here": "cut",
    '""': "",
    "": "",
    '"never closed': "never closed",
    '"tail is"dropped': "tail is",
    '"ends in \\': "ends in \\",
}


@pytest.mark.parametrize("written", VALUES)
def test_a_value_is_read_as_the_shell_would(written):
    assert os_release.parse(f"NAME={written}\n") == {"NAME": VALUES[written]}


def test_comments_and_junk_are_passed_over_and_the_last_assignment_counts():
    text = "# NAME=no\n[section]\njunk\n\nID=first\nID=last"
    assert os_release.parse(text) == {"ID": "last"}


def test_etc_comes_before_usr_lib(root, tmp_path):
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("ID=lib\n")
    assert os_release.read(root) == {"ID": "lib"}
    (tmp_path / "etc/os-release").write_text("ID=etc\n")
    assert os_release.read(root) == {"ID": "etc"}


def test_the_link_that_distributions_put_in_etc_is_followed(root, tmp_path):
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/os-release").write_text("ID=lib\n")
    (tmp_path / "etc/os-release").symlink_to("../usr/lib/os-release")
    assert os_release.read(root) == {"ID": "lib"}


def test_a_guest_without_the_file_has_no_values(root):
    assert os_release.read(root) == {}
