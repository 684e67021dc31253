"""docs/qga.md says what is so: the commands, the examples, and each deliberate difference."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from guestwire.commands.table import COMMANDS, OWN, QGA
from guestwire.dispatch.dispatcher import Dispatcher
from guestwire.dispatch.jobs import Jobs
from guestwire.system.run import run
from peer.differences import DIFFERENCES

TEXT = (Path(__file__).parents[2] / "docs/qga.md").read_text()
REQUESTS = [line[3:] for line in TEXT.splitlines() if line.startswith("-> ")]
REPLIES = [line[3:] for line in TEXT.splitlines() if line.startswith("<- ")]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.title)
def test_every_difference_is_named(difference):
    assert f"- **{difference.title}**: " in " ".join(TEXT.split())


def test_nothing_is_named_that_no_test_holds():
    named = [part.partition("**")[0] for part in TEXT.split("\n- **")[1:]]
    assert sorted(named) == sorted(one.title for one in DIFFERENCES)


def test_every_command_of_qemu_ga_is_in_the_table():
    table = TEXT.partition("| subject | commands |")[2].partition("\n\n")[0]
    assert sorted(re.findall("guest-[a-z-]+", table)) == sorted(one.name for one in QGA)


def test_every_command_of_our_own_is_asked_for_in_an_example():
    asked = {json.loads(line)["execute"] for line in REQUESTS}
    assert asked == {one.name for one in OWN if not one.streams}


@pytest.mark.parametrize("line", REQUESTS)
def test_every_request_would_be_taken(root, line):
    request = json.loads(line)
    dispatcher = Dispatcher(COMMANDS, root, run, Jobs())
    dispatcher.parameters(request["execute"]).bind(request.get("arguments", {}))


def test_every_request_has_its_reply():
    assert len(REPLIES) == len(REQUESTS)
    for line in REPLIES:
        assert set(json.loads(line)) in ({"return"}, {"error"})
