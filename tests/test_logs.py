"""Where log lines go: also when the file that was asked for does not take them."""

from __future__ import annotations

import logging

import pytest

from guestwire import logs

log = logging.getLogger("guestwire.test")


@pytest.fixture(autouse=True)
def logging_as_before():
    package = logging.getLogger("guestwire")
    before = package.handlers[:], package.propagate, package.level
    yield
    package.handlers[:], package.propagate = before[:2]
    package.setLevel(before[2])


def test_a_line_of_a_file_has_its_time(tmp_path):
    logs.start("info", str(tmp_path / "x.log"))
    log.info("hello")
    assert (tmp_path / "x.log").read_text().endswith("INFO guestwire.test: hello\n")
    assert (tmp_path / "x.log").read_text()[:2] == "20"


@pytest.mark.parametrize(
    ("file", "why"),
    [("/nowhere/x.log", "No such file or directory"), ("/dev/full", "No space left on device")],
)
def test_lines_that_a_file_does_not_take_go_to_standard_error_and_why_once(file, why, capsys):
    logs.start("info", file)
    log.info("one")
    log.info("two")
    assert capsys.readouterr().err == (
        f"ERROR guestwire.logs: {file}: {why}; log lines go to standard error\n"
        "INFO guestwire.test: one\nINFO guestwire.test: two\n"
    )


def test_lines_wait_while_they_are_held_back(capsys):
    handler = logs.start("info")
    handler.hold_back()
    log.info("one")
    assert capsys.readouterr().err == ""
    handler.pass_on()
    log.info("two")
    assert (
        capsys.readouterr().err.split()
        == "INFO guestwire.test: one INFO guestwire.test: two".split()
    )
