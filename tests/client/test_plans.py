"""Plans driven by hand: what they ask, without any guest."""

from __future__ import annotations

import base64

import pytest

from guestwire.client.errors import GuestCommandFailed, RequestTooLong, StillRunning
from guestwire.client.plans import facts, files, programs
from guestwire.client.steps import Ask, Pause


def drive(plan, answer):
    """The plan's result; `answer(step)` is what it is sent, or raised into it."""
    steps = []
    try:
        step = next(plan)
        while True:
            steps.append(step)
            try:
                value = answer(step)
            except Exception as error:
                step = plan.throw(error)
            else:
                step = plan.send(value)
    except StopIteration as stop:
        return stop.value, steps


def test_a_way_that_carries_little_gets_the_data_in_pieces():
    written = []

    def narrow(step):
        data = step.arguments["buf-b64"]
        if len(data) > 98304:
            raise RequestTooLong("too long", "", 98304)
        written.append(base64.b64decode(data))
        return {"count": len(written[-1])}

    data = bytes(range(256)) * 8000
    drive(files.write(5, data), narrow)
    assert b"".join(written) == data


def test_a_guest_that_takes_a_part_is_sent_the_rest():
    written = []

    def slow(step):
        written.append(base64.b64decode(step.arguments["buf-b64"])[:3])
        return {"count": len(written[-1])}

    drive(files.write(5, b"abcdefgh"), slow)
    assert b"".join(written) == b"abcdefgh"


def test_a_program_is_asked_for_often_at_first_and_seldom_later():
    answers = iter([{"pid": 5}] + [{"exited": False}] * 12 + [{"exited": True, "exitcode": 0}])
    result, steps = drive(
        programs.run(["x"]), lambda step: next(answers) if isinstance(step, Ask) else None
    )
    pauses = [step.seconds for step in steps if isinstance(step, Pause)]
    assert result.ok
    assert pauses[0] <= 0.005 and max(pauses) <= 0.5


def test_a_program_that_does_not_end_is_given_up_with_its_pid():
    with pytest.raises(StillRunning) as still:
        drive(programs.result(7, timeout=0), lambda step: {"exited": False})
    assert still.value.pid == 7


def test_a_program_is_a_list_and_never_a_text():
    with pytest.raises(ValueError, match="argv is a list"):
        drive(programs.run("rm -rf /"), lambda step: None)


def test_an_open_file_of_the_guest_is_closed_when_the_hosts_disk_is_full():
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    answers = {
        "guest-file-open": 5,
        "guest-file-read": {"buf-b64": "aGk=", "count": 2, "eof": True},
        "guest-file-close": {},
    }
    asked = []

    def answer(step):
        asked.append(step.command)
        return answers[step.command]

    with pytest.raises(OSError, match="No space"):
        drive(files.copy_out("/x", Full()), answer)
    assert asked[-1] == "guest-file-close"


def test_what_an_agent_may_not_tell_is_left_out_of_a_summary():
    enabled = {"guest-get-host-name": True, "guest-get-osinfo": False}
    listed = [{"name": name, "enabled": on} for name, on in enabled.items()]

    def answer(step):
        if step.command == "guest-info":
            return {"version": "9", "supported_commands": listed}
        if step.command == "guest-fsfreeze-status":
            return "thawed"
        raise GuestCommandFailed(step.command, "GenericError", "no")

    summary, steps = drive(facts.summary(), answer)
    assert summary == facts.Summary("9", None, None, None, [], False, ["guest-get-osinfo"])
    assert "guest-get-osinfo" not in {step.command for step in steps}
