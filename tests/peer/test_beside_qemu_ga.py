"""Every command of the QEMU guest agent, asked of ours and of real ones: the answers are the same.

Where they are not, `differences` says so and why; what it says must be so.
"""

from __future__ import annotations

import json
import shutil
import time

import pytest

import agents
from guestwire.commands.table import QGA
from peer import cage, corpus, differences, versions

END = 424242  # the id of a sync that shows that a request got no answer
PATIENCE = 5.0  # seconds for a program of the corpus
NOT_ASKED = "(not asked)"  # since what it is about is missing
NO_ANSWER = "(no answer)"
NOT_LISTED = "(absent)"
NEEDS = ("unshare", "setpriv", "ip", "mount")


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    agents.require_qemu_ga()
    missing = [name for name in NEEDS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"the cage needs {', '.join(missing)}")
    return _ask_all(tmp_path_factory.mktemp("ours"), agents.ours)


@pytest.fixture(scope="module", params=differences.ALL)
def pair(request, ours, tmp_path_factory):
    """A version of qemu-ga, and where the outcomes differ: (label, ours, theirs)."""
    theirs = _ask_all(tmp_path_factory.mktemp("theirs"), versions.theirs(request.param))
    both = (
        (label, ours.get(label, NOT_LISTED), theirs.get(label, NOT_LISTED))
        for label in ours | theirs
    )
    return request.param, [(label, our, their) for label, our, their in both if our != their]


def test_the_corpus_has_every_command():
    assert list(corpus.SCHEMA) == [command.name for command in QGA]


@pytest.mark.parametrize("command", corpus.SCHEMA)
def test_answers_are_the_same_but_for_what_is_listed(pair, command):
    version, different = pair
    wrong = [
        f"{label}\n  ours   {our}\n  theirs {their}"
        for label, our, their in different
        if label.split(" ")[0] == command
        if not any(case.is_so(version, label, our, their) for _, case in _cases())
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_listed_is_still_so(pair):
    version, different = pair
    gone = [
        f"{title}: {case}"
        for title, case in _cases()
        if version in case.versions and case.always
        if not any(case.is_so(version, *one) for one in different)
    ]
    assert not gone, "\n".join(gone)


def _cases():
    return ((one.title, case) for one in differences.DIFFERENCES for case in one.cases)


def _labels():
    """Each step's own name: a request that is made again has a number."""
    seen: dict[str, int] = {}
    labels = []
    for step in corpus.STEPS:
        seen[step.label] = number = seen.get(step.label, 0) + 1
        labels.append(step.label if number == 1 else f"{step.label} #{number}")
    return labels


def _ask_all(directory, command):
    with agents.Agent(directory, command=cage.caged(command)) as agent:
        cage.check(agent)
        with agent.host() as host:
            kept: dict[str, object] = {}
            outcomes = {}
            for label, step in zip(_labels(), corpus.STEPS):
                reply = _ask(host, step, kept)
                if label == "guest-info":
                    outcomes.update(_listed(reply["return"]["supported_commands"]))
                outcomes[label] = _outcome(step, reply)
            return outcomes


def _ask(host, step, kept):
    """The reply; a string when there is none. What it is to be kept for is in `kept`."""
    try:
        request = _request(step, kept)
    except KeyError:
        return NOT_ASKED
    give_up = time.monotonic() + PATIENCE
    reply = _send(host, request)
    while step.poll and _runs(reply) and time.monotonic() < give_up:
        time.sleep(0.01)
        reply = _send(host, request)
    if step.keep:
        kept.pop(step.keep, None)
        if "return" in reply:
            value = reply["return"]
            kept[step.keep] = value["pid"] if isinstance(value, dict) else value
    return reply


def _request(step, kept):
    request = {"execute": step.command}
    if step.arguments is not corpus.ABSENT:
        request["arguments"] = _filled_in(step.arguments, kept)
    return json.dumps(request).encode() + b"\n"


def _filled_in(arguments, kept):
    return {
        name: kept[value[1:]] if isinstance(value, str) and value.startswith("$") else value
        for name, value in arguments.items()
    }


def _send(host, request):
    host.send(request)
    host.send(b'{"execute":"guest-sync","arguments":{"id":%d}}\n' % END)
    reply = json.loads(host.line().lstrip(b"\xff"))
    if reply == {"return": END}:
        return NO_ANSWER
    assert json.loads(host.line()) == {"return": END}
    return reply


def _runs(reply):
    return reply.get("return", {}).get("exited") is False


def _outcome(step, reply):
    """One line that is the same for replies that say the same."""
    if isinstance(reply, str):
        return reply
    assert len(reply) == 1
    if "error" in reply:
        assert sorted(reply["error"]) == ["class", "desc"]
        return f"{reply['error']['class']}: {reply['error']['desc']}"
    value = _lasting(reply["return"], "", corpus.PASSING.get(step.command, ()))
    if step.command == "guest-info":
        value["supported_commands"] = "<list>"
    if step.command in corpus.UNORDERED:
        value.sort(key=_text)
    return _text(value)


def _listed(commands):
    """Each entry of guest-info as an outcome of its own; the order of the list is nobody's."""
    return {f"guest-info of {entry['name']}": _text(entry) for entry in commands}


def _text(value):
    return json.dumps(value, sort_keys=True)


def _lasting(value, path, passing):
    """The value with the types of what cannot be the same twice in its place."""
    if isinstance(value, dict):
        return {key: _lasting(one, f"{path}.{key}", passing) for key, one in value.items()}
    if isinstance(value, list):
        return [_lasting(one, f"{path}.#", passing) for one in value]
    if path in passing:
        return f"<{type(value).__name__}>"
    # A whole number of seconds: JSON has one type for it and for others.
    return int(value) if isinstance(value, float) and value.is_integer() else value
