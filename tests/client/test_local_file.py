"""Files of the host that come from a guest: whole, or not there."""

from __future__ import annotations

import contextlib
import os
import resource
import signal

import pytest

from guestwire.client.local_file import arriving


@contextlib.contextmanager
def small_files():
    """No file may grow past 4 KiB, as on a disk that is full; not even the one pytest writes to."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("resume", [False, True])
def test_a_directory_that_is_not_there_is_told_by_the_name_that_was_asked_for(tmp_path, resume):
    target = tmp_path / "none/x"
    with pytest.raises(FileNotFoundError) as caught:
        with arriving(target, resume):
            pass
    assert caught.value.filename == str(target)


def test_a_write_that_fails_names_the_target_and_leaves_what_was_there(tmp_path):
    target = tmp_path / "x"
    target.write_text("old")
    with small_files(), pytest.raises(OSError, match="File too large") as caught:
        with arriving(target) as new:
            new.file.write(b"x" * 100_000)
    assert caught.value.filename == str(target)
    assert os.listdir(tmp_path) == ["x"]
    assert target.read_text() == "old"
