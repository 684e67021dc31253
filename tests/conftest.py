"""What every test may ask for."""

from __future__ import annotations

import time

import pytest

from guestwire.dispatch.command import Context
from guestwire.dispatch.jobs import Jobs
from guestwire.system.root import Root
from guestwire.system.run import run


@pytest.fixture
def root(tmp_path):
    """An empty guest."""
    (tmp_path / "etc").mkdir()
    return Root(tmp_path)


@pytest.fixture
def context(root):
    """What a handler gets, in an empty guest, with a minute until its deadline."""
    return Context(root, run, Jobs(), time.monotonic() + 60, {}, lambda: ())
