"""A request becomes an answer, whatever happens on the way."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from dispatch import probes
from guestwire.commands.table import COMMANDS
from guestwire.dispatch import workers
from guestwire.dispatch.command import Command
from guestwire.dispatch.dispatcher import Dispatcher
from guestwire.dispatch.jobs import Jobs
from guestwire.dispatch.policy import Policy
from guestwire.system.run import run
from guestwire.wire.events import Reply, Request

ROWS = (
    Command("echo", "dispatch.probes:echo"),
    Command("secret", "dispatch.probes:echo", secrets=("text",)),
    Command("quiet", "dispatch.probes:echo", quiet=True),
    Command("frozen-ok", "dispatch.probes:echo", while_frozen=True),
    Command("silent", "dispatch.probes:echo", replies=False),
    Command("refuse", "dispatch.probes:refuse"),
    Command("lack", "dispatch.probes:lack", needs="dispatch.probes:never"),
    Command("missing-file", "dispatch.probes:missing_file"),
    Command("defect", "dispatch.probes:defect"),
    Command("wait", "dispatch.probes:wait", long=True, deadline=0.1),
    Command("soon", "dispatch.probes:remaining", deadline=5),
)


@pytest.fixture
def frozen():
    return [False]


@pytest.fixture
def dispatcher(root, frozen):
    return Dispatcher(ROWS, root, run, Jobs(), frozen=lambda: frozen[0])


def ask(dispatcher, command, **arguments):
    answer = dispatcher.answer(Request(command, arguments), "test")
    if isinstance(answer, Reply):
        return answer.value
    return answer.error.code, str(answer.error)


def test_a_command_answers_with_its_value(dispatcher):
    assert ask(dispatcher, "echo", text="hello") == "hello"


def test_an_unknown_command_has_not_been_found(dispatcher):
    expected = ("unknown-command", "The command bogus has not been found")
    assert ask(dispatcher, "bogus") == expected


def test_a_handler_s_error_is_the_answer(dispatcher):
    assert ask(dispatcher, "refuse") == ("invalid-argument", "no")


def test_a_file_that_is_missing_is_named(dispatcher):
    code, text = ask(dispatcher, "missing-file")
    assert code == "failed"
    assert text.endswith("/nowhere: No such file or directory")


def test_a_defect_is_an_answer_and_the_next_command_runs(dispatcher, caplog):
    assert ask(dispatcher, "defect") == ("failed", "internal error: ZeroDivisionError")
    assert "defect in defect" in caplog.text
    assert ask(dispatcher, "echo") == ""


def test_success_without_an_answer_is_marked(dispatcher):
    answer = dispatcher.answer(Request("silent", {}), "test")
    assert isinstance(answer, Reply)
    assert answer.silent


def test_a_handler_knows_how_long_the_host_waits(dispatcher):
    assert 4 < ask(dispatcher, "soon") - time.monotonic() <= 5


def test_a_blocked_command_is_disabled_and_an_allowed_one_is_not(dispatcher):
    dispatcher.policy = Policy(allow=frozenset({"echo", "quiet"}), block=frozenset({"quiet"}))
    disabled = "Command {} has been disabled: the command is not allowed"
    assert ask(dispatcher, "echo") == ""
    assert ask(dispatcher, "quiet") == ("not-permitted", disabled.format("quiet"))
    assert ask(dispatcher, "refuse") == ("not-permitted", disabled.format("refuse"))


def test_what_is_blocked_cannot_be_had_under_another_name():
    policy = Policy(block=frozenset({"guest-exec", "guest-file-write"}))
    blocked = {command.name for command in COMMANDS if not policy.allows(command, False)}
    assert blocked == {"guest-exec", "exec", "forward.connect", "guest-file-write", "file.push"}


def test_commands_are_like_commands_that_exist():
    names = {command.name for command in COMMANDS}
    assert {other for command in COMMANDS for other in command.like} <= names


def test_while_frozen_only_marked_commands_run_even_if_blocked(dispatcher, frozen):
    dispatcher.policy = Policy(allow=frozenset({"echo"}), block=frozenset({"frozen-ok"}))
    frozen[0] = True
    assert ask(dispatcher, "frozen-ok") == ""
    assert ask(dispatcher, "echo")[0] == "not-permitted"


def test_what_the_guest_lacks_or_policy_forbids_is_listed_as_not_enabled(dispatcher):
    dispatcher.policy = Policy(block=frozenset({"echo"}))
    enabled = {one.name: one.enabled for one in dispatcher.listed()}
    assert not enabled["echo"]
    assert not enabled["lack"]
    assert enabled["refuse"]


def test_names_that_no_command_has_are_found_in_the_lists():
    policy = Policy(allow=frozenset({"echo", "ehco"}), block=frozenset({"nope"}))
    assert policy.unknown({"echo"}) == ["ehco", "nope"]


def test_a_command_that_does_not_end_is_given_up_and_others_go_on(dispatcher, monkeypatch):
    monkeypatch.setattr(workers, "GRACE", 0.1)
    probes.gate.clear()
    try:
        code, text = ask(dispatcher, "wait")
        assert code == "deadline-passed"
        assert "wait" in text
        assert ask(dispatcher, "echo", text="x") == "x"
    finally:
        probes.gate.set()


def test_no_more_long_commands_run_at_once_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(workers, "GRACE", 0.0)
    gate = threading.Event()
    few = workers.Workers(limit=2)
    for _ in range(2):
        with pytest.raises(workers.DeadlinePassed):
            few.run(gate.wait, time.monotonic(), "wait")
    with pytest.raises(workers.CommandError, match="2 commands are running"):
        few.run(gate.wait, time.monotonic(), "wait")
    assert few.run(lambda: "thawed", time.monotonic() + 5, "thaw", always=True) == "thawed"
    gate.set()


def test_long_commands_one_after_the_other_share_a_thread():
    threads = workers.Workers()
    seen = {threads.run(threading.get_ident, time.monotonic() + 5, "it") for _ in range(5)}
    assert len(seen) == 1
    assert threading.get_ident() not in seen


def test_what_a_long_command_raises_is_raised_where_it_was_asked_for():
    with pytest.raises(ZeroDivisionError):
        workers.Workers().run(lambda: 1 / 0, time.monotonic() + 5, "it")


def lines(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_each_request_leaves_one_line(dispatcher, caplog):
    caplog.set_level(logging.INFO)
    dispatcher.answer(Request("echo", {"text": "a\nb"}, 7), "virtio-serial:x")
    [(level, line)] = lines(caplog)
    assert level == "INFO"
    assert line.startswith("virtio-serial:x id=7 echo text='a\\nb': ok (")


def test_secrets_and_long_values_do_not_reach_the_log(dispatcher, caplog):
    caplog.set_level(logging.DEBUG)
    ask(dispatcher, "secret", text="hunter2")
    ask(dispatcher, "echo", text="x" * 1000)
    ask(dispatcher, "bogus", password="hunter2")
    assert "hunter2" not in caplog.text
    assert "text=<hidden>" in caplog.text
    assert all(len(line) < 200 for _, line in lines(caplog))


def test_an_error_s_text_cannot_forge_a_line_or_fill_the_log(dispatcher, caplog):
    caplog.set_level(logging.INFO)
    for name in ("a\nINFO forged", "\x1b[2J", "x" * 1000):
        ask(dispatcher, f"bogus {name}")
    assert all(line.isprintable() and len(line) < 500 for _, line in lines(caplog))
    assert "has not been found" not in lines(caplog)[2][1]


def test_what_monitors_ask_all_day_is_only_in_the_debug_log_unless_it_fails(dispatcher, caplog):
    caplog.set_level(logging.INFO)
    ask(dispatcher, "quiet")
    assert lines(caplog) == []
    ask(dispatcher, "quiet", text=3)
    assert "invalid-argument" in caplog.text


def test_a_kind_of_job_is_made_once_and_closed_at_the_end():
    class Kept:
        closed = False

        def close(self):
            self.closed = True

    jobs = Jobs()
    kept = jobs.get(Kept)
    assert jobs.get(Kept) is kept
    jobs.close()
    assert kept.closed
