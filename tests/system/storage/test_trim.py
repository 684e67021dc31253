from __future__ import annotations

import errno
import os

import pytest

from guestwire.system.storage.trim import Trimmed, trim_all


@pytest.fixture
def guest(root, tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "proc/self/mountinfo").write_text(
        "30 1 8:1 / /data rw - ext4 /dev/sda1 rw\n31 1 0:9 / /run rw - tmpfs tmpfs rw\n"
    )
    return root


def failing(number):
    def trim(fd, minimum):
        raise OSError(number, os.strerror(number))

    return trim


def test_each_file_system_is_trimmed_with_the_minimum(guest):
    assert trim_all(guest, 4096, lambda fd, minimum: (1 << 40, minimum * 2)) == [
        Trimmed("/data", 1 << 40, 8192)
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.EOPNOTSUPP, "trim not supported"),
        (errno.ENOTTY, "trim not supported"),
        (errno.EINVAL, "failed to trim: Invalid argument"),
        (errno.EPERM, "failed to trim: Operation not permitted"),
    ],
)
def test_what_cannot_be_trimmed_says_why(guest, number, text):
    assert trim_all(guest, 0, failing(number)) == [Trimmed("/data", error=text)]


def test_what_cannot_be_opened_says_why(guest, tmp_path):
    (tmp_path / "data").rmdir()
    found = trim_all(guest, 0, lambda fd, minimum: (0, 0))
    assert found == [Trimmed("/data", error="failed to open: No such file or directory")]
