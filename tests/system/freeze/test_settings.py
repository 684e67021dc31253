from __future__ import annotations

import pytest

from guestwire.errors import ConfigError, InvalidArgument
from guestwire.system.freeze.mark import now
from guestwire.system.freeze.settings import read_settings


def test_without_configuration_a_freeze_lasts_ten_minutes():
    settings = read_settings({})
    assert (settings.timeout, settings.hook_limit) == (600.0, 60.0)
    assert 599 < settings.deadline(None) - now() <= 600


@pytest.mark.parametrize("text", ["/a,/b", "/a; /b", "/a\n/b", " /a , /b "])
def test_mount_points_to_leave_out_are_parted_by_commas_semicolons_or_lines(text):
    assert {"/a", "/b"} <= read_settings({"freeze-exclude": text}).exclude


def test_what_is_not_a_number_is_named_with_its_key():
    with pytest.raises(ConfigError, match="freeze-timeout: 'ten' is not a whole number"):
        read_settings({"freeze-timeout": "ten"})


@pytest.mark.parametrize(("configured", "asked"), [("600", 0), ("0", -1), ("600", 86401)])
def test_a_host_gets_no_freeze_that_the_administrator_did_not_allow(configured, asked):
    with pytest.raises(InvalidArgument):
        read_settings({"freeze-timeout": configured}).deadline(asked)


def test_where_the_administrator_allows_it_a_freeze_has_no_end():
    settings = read_settings({"freeze-timeout": "0"})
    assert settings.deadline(None) is None and settings.deadline(0) is None
    assert settings.deadline(5) is not None
