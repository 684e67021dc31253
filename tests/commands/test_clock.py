"""The clock commands, as far as they go without changing this machine's clock."""

from __future__ import annotations

import time

import pytest

from guestwire.commands import clock
from guestwire.errors import InvalidArgument, Unsupported


def test_the_time_is_in_nanoseconds(context):
    assert abs(clock.get_time(context) - time.time_ns()) < 10**9


@pytest.mark.parametrize("wrong", [-1, 3_155_760_000 * 10**9, 2**63 - 1])
def test_a_time_that_a_hardware_clock_cannot_hold_is_refused(context, wrong):
    with pytest.raises(InvalidArgument, match="Invalid time"):
        clock.set_time(context, wrong)


def test_an_image_has_no_clock(context):
    for arguments in ((10**18,), ()):
        with pytest.raises(Unsupported, match="not the running system"):
            clock.set_time(context, *arguments)


def test_the_time_zone_is_the_one_of_now(context, monkeypatch):
    monkeypatch.setenv("TZ", "EST5")
    assert clock.get_timezone(context) == {"zone": "EST", "offset": -5 * 3600}
    monkeypatch.setenv("TZ", "IST-5:30")
    assert clock.get_timezone(context) == {"zone": "IST", "offset": 19800}
    monkeypatch.undo()
    time.tzset()
