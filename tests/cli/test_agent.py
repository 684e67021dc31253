"""guestwire-agent as an administrator calls it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from guestwire import __version__
from guestwire.cli import agent
from guestwire.commands.table import COMMANDS


def call(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "guestwire", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        **options,
    )


def test_without_arguments_it_says_how_to_use_it():
    done = call()
    assert done.returncode == 0
    assert "subcommands" in done.stdout
    assert "run" in done.stdout


def test_help_lists_the_keys_of_the_configuration():
    said = call("check", "--help").stdout
    assert "\n  [commands]\n  qga-version      the version that guest-info reports\n" in said


def test_version_names_both_versions():
    assert call("--version").stdout.startswith(f"guestwire-agent {__version__} (commands of QEMU")


@pytest.mark.parametrize("arguments", [("bogus",), ("run", "--bogus"), ("run", "--log-level", "x")])
def test_what_is_not_understood_is_2_and_one_line_of_error(arguments):
    done = call(*arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("guestwire-agent")


def test_check_names_the_file_the_line_and_the_key(tmp_path):
    file = tmp_path / "agent.conf"
    file.write_text("[agent]\nbogus = 1\n")
    done = call("check", "--config", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith(f"guestwire-agent: {file}:2: [agent] has no key 'bogus'")
    assert len(done.stderr.splitlines()) == 1


def test_check_finds_names_that_no_command_has(tmp_path):
    file = tmp_path / "agent.conf"
    file.write_text("[policy]\nblock = guest-exce\n")
    done = call("check", "--config", str(file))
    assert done.returncode == 1
    assert "no command is named guest-exce" in done.stderr


def test_check_of_a_good_file_says_what_would_be_served(tmp_path):
    file = tmp_path / "agent.conf"
    file.write_text("[agent]\nchannels = virtio-serial:org.example.0\n")
    done = call("check", "--config", str(file))
    assert done.returncode == 0
    assert "virtio-serial:org.example.0" in done.stdout


def test_a_plugin_that_is_missing_is_named(tmp_path):
    file = tmp_path / "agent.conf"
    file.write_text("[agent]\nplugins = no_such_plugin\n")
    done = call("check", "--config", str(file))
    assert done.returncode == 1
    assert "cannot import no_such_plugin" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def (", "plugins: cannot import acme_example"),
        (
            "from guestwire.dispatch.command import Command\n"
            "COMMANDS = (Command('guest-ping', 'acme.example:ping'),)\n",
            "plugins: acme_example: there is a command guest-ping already",
        ),
    ],
)
def test_a_plugin_that_is_broken_or_in_the_way_is_named(tmp_path, text, said):
    (tmp_path / "acme_example.py").write_text(text)
    file = tmp_path / "agent.conf"
    file.write_text("[agent]\nplugins = acme_example\n")
    done = call("check", "--config", str(file), env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_kind_of_channel_that_does_not_exist_is_named(tmp_path):
    done = call("check", "--channel", "carrier-pigeon:1")
    assert done.returncode == 1
    assert "'carrier-pigeon'; there are virtio-serial" in done.stderr
    assert call("run", "--channel", "carrier-pigeon:1").returncode == 1


def test_a_root_that_is_not_there_is_named(tmp_path):
    done = call("check", "--root", str(tmp_path / "none"))
    assert done.returncode == 1
    assert done.stderr == f"guestwire-agent: root: {tmp_path / 'none'} is not a directory\n"


def test_commands_lists_the_whole_table():
    listed = [line.split()[0] for line in call("commands").stdout.splitlines()]
    assert listed == [command.name for command in COMMANDS]


def test_a_reader_who_has_seen_enough_gets_no_traceback():
    script = f"{sys.executable} -m guestwire commands | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=30)
    assert done.stderr == b""
    assert done.returncode in (0, 1)  # 0: it was faster than `true`


def test_qemu_ga_s_options_make_it_qemu_ga():
    assert call("-V").stdout.startswith("QEMU Guest Agent ")
    assert call("-D").stdout.startswith("[general]\n")


PLAIN = [
    ["run"],
    ["run", "--channel", "unix:a", "--statedir", "/s"],
    ["run", "--config", "a", "--channel", "unix:a", "--channel", "pty:b", "--config", "c"],
]
NOT_PLAIN = [
    [],
    ["check"],
    ["run", "--channel"],
    ["run", "--channel=unix:a"],
    ["run", "--chan", "unix:a"],
    ["run", "--channel", "--root"],
    ["run", "x", "y"],
    ["run", "--help"],
]


@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_a_plain_command_line_is_understood_without_argparse_as_with_it(words):
    by_argparse = agent._parser().parse_args(words)
    plain = agent._plain_run(words)
    assert plain is not None
    assert plain._asdict().items() <= vars(by_argparse).items()
    assert by_argparse.work is agent.run


@pytest.mark.parametrize("words", NOT_PLAIN, ids=" ".join)
def test_any_other_is_left_to_argparse(words):
    assert agent._plain_run(words) is None
