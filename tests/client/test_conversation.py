"""The host's half of the dialect, with bytes and no guest."""

from __future__ import annotations

import json
from random import Random

import pytest

from guestwire.client.conversation import MOST_STALE, Conversation, Refusal, Value
from guestwire.client.errors import BadAnswer, EchoingTty


def sent(conversation):
    """The requests that are to be sent, as objects."""
    data = conversation.take()
    return [json.loads(line.lstrip(b"\xff")) for line in data.splitlines()]


def line(**members):
    return json.dumps(members).encode() + b"\n"


@pytest.fixture
def talk():
    return Conversation()


@pytest.fixture
def in_step(talk):
    talk.greet()
    number = sent(talk)[0]["arguments"]["id"]
    talk.receive(b"\xff" + line(**{"return": number}))
    assert talk.in_step
    return talk


def asked(talk, limit=1000, **kwargs):
    """A question under way, and its id."""
    talk.ask("guest-x", {"a": 1}, limit, **kwargs)
    return sent(talk)[0]["id"]


def test_the_greeting_begins_with_a_reset(talk):
    talk.greet()
    assert talk.take().startswith(b'\xff{"execute": "guest-sync-delimited"')


JUNK = [
    b"",
    b"random \x00 bytes",
    b'{"return": 5}\n',
    b'\xff{"return": 5}\n',
    b'{"error": {"class": "GenericError", "desc": "JSON parse error"}}\n',
    b'{"error": 5}\n{"execute": [1], "id": [2]}\n[1]\n',
    b"[" * 100_000 + b"\n",
    b"x" * 1_000_000,
    b'\xff{"return": "' + b"A" * 200_000 + b'"}\n',
    b'{"return": ' + b"9" * 60_000 + b"}\n",
    b"\xff\xff\xff",
]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
@pytest.mark.parametrize("size", [1 << 16, 7])
def test_a_sync_is_found_behind_whatever_was_left_in_the_channel(talk, junk, size):
    if len(junk) > 200_000 and size == 7:
        junk = junk[-100_000:]
    talk.greet()
    number = sent(talk)[0]["arguments"]["id"]
    data = junk + b"\xff" + line(**{"return": number})
    for start in range(0, len(data), size):
        assert not talk.in_step
        talk.receive(data[start : start + size])
    assert talk.in_step


def test_the_answer_to_any_greeting_will_do_and_the_others_are_skipped_later(talk):
    talk.greet()
    talk.greet()
    first, second = (one["arguments"]["id"] for one in sent(talk))
    talk.receive(b"\xff" + line(**{"return": first}) + b"\xff" + line(**{"return": second}))
    number = asked(talk)
    assert talk.answer() is None
    talk.receive(line(**{"return": {"b": 2}, "id": number}))
    assert talk.answer() == Value({"b": 2})


def test_a_guest_that_sends_for_ever_before_its_sync_is_given_up(talk):
    talk.greet()
    for _ in range(250):
        talk.receive(b"A" * (1 << 20))
    with pytest.raises(BadAnswer, match="sends without end"):
        talk.receive(b"A" * (10 << 20))


def test_garbage_before_a_sync_takes_no_memory(talk):
    talk.greet()
    for _ in range(100):
        talk.receive(b"A" * (1 << 18))
    assert len(talk._buffer) < 1 << 18


def test_an_echo_is_told_from_an_agent(talk):
    talk.greet()
    echo = talk.take().lstrip(b"\xff").replace(b"\n", b"\r\n")
    with pytest.raises(EchoingTty):
        talk.receive(b"\xff" + echo)


def test_an_agent_that_may_not_sync_says_so(talk):
    talk.greet()
    number = sent(talk)[0]["id"]
    talk.receive(line(error={"class": "CommandNotFound", "desc": "disabled"}, id=number))
    assert talk.refusal == Refusal("CommandNotFound", "disabled")


def test_an_agent_that_knows_no_ids_is_talked_to_without(talk):
    talk.greet()
    sent(talk)
    desc = "QMP input object member 'id' is unexpected"
    talk.receive(line(error={"class": "GenericError", "desc": desc}))
    again = sent(talk)[0]
    assert "id" not in again
    talk.receive(b"\xff" + line(**{"return": again["arguments"]["id"]}))
    assert talk.in_step
    talk.ask("guest-x", {}, 1000)
    assert sent(talk) == [{"execute": "guest-x"}]
    talk.receive(line(**{"return": 5}))
    assert talk.answer() == Value(5)


@pytest.mark.parametrize("size", [1, 5, 4096])
def test_an_answer_is_the_same_however_its_bytes_are_cut(in_step, size):
    data = line(**{"return": [1, "\u00fc"], "id": asked(in_step)})
    for start in range(0, len(data), size):
        assert in_step.answer() is None
        in_step.receive(data[start : start + size])
    assert in_step.answer() == Value([1, "\u00fc"])


@pytest.mark.parametrize(
    "stale",
    [{"return": 1}, {"return": 1, "id": 5}, {"return": 1, "id": "x"}, {"return": 1, "id": True},
     {"event": "x"}, {"error": {"class": "a", "desc": "b"}, "id": 5}],
)  # fmt: skip
def test_answers_to_others_are_skipped(in_step, stale):
    number = asked(in_step)
    in_step.receive(line(**stale))
    assert in_step.answer() is None
    in_step.receive(line(**{"return": 2, "id": number}))
    assert in_step.answer() == Value(2)


def test_an_error_is_an_answer_with_its_class_and_words(in_step):
    number = asked(in_step)
    in_step.receive(line(error={"class": "GenericError", "desc": "no"}, id=number))
    assert in_step.answer() == Refusal("GenericError", "no")


@pytest.mark.parametrize(
    "bad",
    [b"no json\n", b"[1]\n", b"{\n", b"\xc3\x28\n", b"[" * 900 + b"\n",
     b'{"id": ' + b"1" * 900 + b"}\n"],
)  # fmt: skip
def test_what_is_no_answer_ends_the_conversation(in_step, bad):
    asked(in_step)
    in_step.receive(bad)
    with pytest.raises(BadAnswer):
        in_step.answer()


@pytest.mark.parametrize(
    "members", [{}, {"error": 5}, {"error": {"class": "x"}}, {"error": {"class": 1, "desc": "x"}}]
)
def test_an_answer_of_the_wrong_shape_ends_the_conversation(in_step, members):
    in_step.receive(line(id=asked(in_step), **members))
    with pytest.raises(BadAnswer):
        in_step.answer()


def test_an_answer_has_a_size_limit_also_while_it_comes(in_step):
    asked(in_step, limit=1000)
    in_step.receive(b"A" * 1001)
    with pytest.raises(BadAnswer, match="1000 bytes"):
        in_step.answer()


def test_an_answer_that_would_fill_the_memory_with_small_objects_is_refused(in_step):
    number = asked(in_step, limit=64 << 20)
    in_step.receive(b'{"return": [' + b"[]," * 1_000_000 + b'0], "id": %d}\n' % number)
    with pytest.raises(BadAnswer):
        in_step.answer()


def test_stale_answers_without_end_are_given_up(in_step):
    asked(in_step)
    in_step.receive(line(**{"return": 1}) * (MOST_STALE + 1))
    with pytest.raises(BadAnswer, match="nothing that was asked"):
        in_step.answer()


def test_a_silent_success_is_told_by_the_ping_behind_it(in_step):
    in_step.ask("guest-shutdown", {}, 1000, silent=True)
    _, ping = sent(in_step)
    assert ping["execute"] == "guest-ping"
    in_step.receive(line(**{"return": {}, "id": ping["id"]}))
    assert in_step.answer() == Value(None)


def test_a_silent_commands_failure_is_told(in_step):
    in_step.ask("guest-shutdown", {}, 1000, silent=True)
    shutdown, ping = sent(in_step)
    in_step.receive(line(error={"class": "GenericError", "desc": "no"}, id=shutdown["id"]))
    in_step.receive(line(**{"return": {}, "id": ping["id"]}))
    assert in_step.answer() == Refusal("GenericError", "no")
    number = asked(in_step)
    in_step.receive(line(**{"return": 3, "id": number}))
    assert in_step.answer() == Value(3)


PIECES = [
    *(b"\xff", b"\n", b"{", b"}", b"[", b"]", b'"', b":", b",", b" ", b"\r\n", b"\xc3"),
    *(b'"return"', b'"error"', b'"id"', b'"class"', b'"desc"', b'"execute"'),
    *(b"guest-sync-delimited", b"null", b"1", b"-1e999", b"NaN", b"\\u0000", b"A" * 70_000),
]


@pytest.mark.parametrize("seed", range(300))
def test_no_bytes_at_all_raise_what_a_caller_does_not_expect(seed):
    random = Random(seed)
    talk = Conversation()
    talk.greet()
    number = sent(talk)[0]["id"]
    pieces = [*PIECES, str(number).encode(), b'\xff{"return": %d}\n' % number]
    try:
        for _ in range(200):
            talk.receive(b"".join(random.choices(pieces, k=random.randrange(9))))
            if talk.in_step:
                number = asked(talk, limit=100_000)
                pieces.append(b'{"id": %d, "return": ' % number)
                while isinstance(talk.answer(), (Value, Refusal)):
                    number = asked(talk, limit=100_000)
    except (BadAnswer, EchoingTty):
        pass
