from __future__ import annotations

import os
import time

import pytest

from guestwire.system.freeze import hooks
from guestwire.system.run import run

DIRECTORY = "/etc/hooks.d"


@pytest.fixture
def add(tmp_path):
    def add(name, script="true", mode=0o755):
        path = tmp_path / "etc/hooks.d" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(mode)
        return path

    return add


def names(root, single=""):
    return [path.rsplit("/", 1)[1] for path in hooks.configured(root, single, DIRECTORY)]


def test_the_hook_that_is_named_comes_before_those_of_the_directory(root, add):
    add("20-b")
    add("10-a")
    assert names(root, "/etc/qemu/fsfreeze-hook") == ["fsfreeze-hook", "10-a", "20-b"]


@pytest.mark.parametrize("single", ["", "/dev/null"])
def test_an_empty_name_and_dev_null_mean_no_hook(root, single):
    assert hooks.configured(root, single, DIRECTORY) == []


@pytest.mark.parametrize("name", [".hidden", "a~", "a.rpmsave", "a.dpkg-old", "a.sample"])
def test_what_editors_and_packages_leave_behind_is_no_hook(root, add, name):
    add(name)
    assert names(root) == []


def test_what_is_not_an_executable_file_is_no_hook(root, add, tmp_path):
    add("README", mode=0o644)
    (tmp_path / "etc/hooks.d/directory").mkdir()
    (tmp_path / "etc/hooks.d/dangling").symlink_to("nowhere")
    assert names(root) == []


def test_a_hook_that_anybody_may_change_is_not_called(root, add, caplog):
    add("10-open", mode=0o757)
    assert names(root) == []
    assert "/etc/hooks.d/10-open: not called" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_hook_of_another_user_is_not_called(root, add):
    os.chown(add("10-nobody"), 65534, 65534)
    assert names(root) == []


def test_a_hook_is_told_the_phase_and_heard_on_both_outputs(root, add):
    add("10-a", 'echo "got $1 of $#"; echo aside >&2; exit 4')
    outcome = hooks.call(root, run, f"{DIRECTORY}/10-a", "freeze", 10)
    assert outcome.failed and outcome.code == 4
    assert outcome.output == "got freeze of 1\naside"
    assert outcome.report()["code"] == 4 and outcome.report()["phase"] == "freeze"


def test_a_hook_reads_nothing(root, add):
    add("10-a", "cat")
    outcome = hooks.call(root, run, f"{DIRECTORY}/10-a", "freeze", 10)
    assert (outcome.code, outcome.output) == (0, "")


def test_of_a_long_output_the_end_is_kept(root, add):
    add("10-a", "seq 1 100000")
    output = hooks.call(root, run, f"{DIRECTORY}/10-a", "freeze", 10).output
    assert len(output) == hooks.OUTPUT_KEPT and output.endswith("\n99999\n100000")


def test_a_hook_that_is_missing_or_not_executable_has_failed(root, add):
    add("10-a", mode=0o644)
    for hook, why in (("/etc/none", "not installed"), (f"{DIRECTORY}/10-a", "Permission denied")):
        outcome = hooks.call(root, run, hook, "freeze", 10)
        assert outcome.failed and why in outcome.output and "code" not in outcome.report()


def test_at_its_limit_a_hook_is_killed_with_its_children(root, add, tmp_path):
    add("10-a", f"(sleep 1; touch {tmp_path}/alive) & sleep 30")
    outcome = hooks.call(root, run, f"{DIRECTORY}/10-a", "freeze", 0.3)
    assert outcome.code is None and "did not end in time" in outcome.output
    assert outcome.seconds < 5
    time.sleep(1)
    assert not (tmp_path / "alive").exists()
