from __future__ import annotations

import json

import pytest

from guestwire.errors import (
    CommandError,
    DeadlinePassed,
    InvalidArgument,
    NotPermitted,
    PeerError,
    UnknownCommand,
    Unsupported,
)
from guestwire.wire.events import ABSENT, Failure, Reply, Request
from guestwire.wire.qga import QgaDialect
from qga_host import answers, bytewise, error, parsed

PING = b'{"execute": "guest-ping", "id": 7}'
WRITE = {
    "execute": "guest-file-write",
    "arguments": {"handle": 1000, "buf-b64": "QUJD" * 3000, "count": 5},
    "id": {"a": [None, True, 1.5, "x"]},
}


@pytest.fixture
def dialect():
    return QgaDialect()


def requests(dialect, *chunks):
    found = []
    for chunk in chunks:
        dialect.receive(chunk)
        while (request := dialect.next_request()) is not None:
            found.append(request)
    return found


def test_a_line_is_a_request(dialect):
    assert requests(dialect, PING + b"\n") == [Request("guest-ping", {}, 7)]


def test_a_request_needs_no_newline(dialect):
    assert requests(dialect, PING) == [Request("guest-ping", {}, 7)]


def test_a_request_without_id_has_none(dialect):
    (request,) = requests(dialect, b'{"execute": "guest-ping"}')
    assert request.id is ABSENT


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b" \t\r\n\n"])
@pytest.mark.parametrize("body", [PING, json.dumps(WRITE, indent=2).encode()])
def test_a_request_is_the_same_wherever_its_bytes_are_cut(dialect, body, end):
    (whole,) = requests(dialect, body + end)
    step = max(len(body) // 200, 1)
    for cut in range(1, len(body), step):
        assert requests(dialect, body[:cut], body[cut:] + end) == [whole]
    assert requests(dialect, *bytewise(body + end)) == [whole]
    assert whole.command == json.loads(body)["execute"]
    assert whole.arguments == json.loads(body).get("arguments", {})


@pytest.mark.parametrize("between", [b"", b"\n", b"\r\n", b" "])
@pytest.mark.parametrize("size", [1, 100, 4096, 1 << 20])
def test_glued_requests_are_answered_one_by_one_and_in_order(dialect, between, size):
    data = between.join(b'{"execute":"guest-sync","arguments":{"id":%d}}' % n for n in range(100))
    lines = answers(dialect, *(data[at : at + size] for at in range(0, len(data), size)))
    assert lines == [b'{"return": %d}\n' % number for number in range(100)]


def test_one_odd_request_among_glued_ones_disturbs_none(dialect):
    data = b"\n".join([PING, b"{'execute':'guest-ping','id':'\\''}", PING, b"", PING])
    assert [request.id for request in requests(dialect, data)] == [7, "'", 7, 7]


def test_a_caller_that_takes_no_request_loses_none(dialect):
    for _ in range(3):
        dialect.receive(PING)
    assert len(requests(dialect, b"\n")) == 3


def test_blank_lines_are_silent(dialect):
    assert answers(dialect, b"\n", b"\r\n \t\n\n", b" " * 5000, b"\n") == []
    assert len(answers(dialect, b"\n\n  " + PING)) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{'execute':'guest-ping','id':7}",
        b"""{"execute":'guest-ping','id':7}""",
        b'{"execute":"guest\\u002dping","id":7}',
        b'{ "execute"\t:\r\n"guest-ping" , "id" : 7 }',
        b'{"arguments":{},"id":7,"execute":"guest-ping"}',
    ],
)
def test_what_qemu_takes_beside_plain_json_is_taken(dialect, body):
    assert requests(dialect, body) == [Request("guest-ping", {}, 7)]
    assert requests(dialect, *bytewise(body)) == [Request("guest-ping", {}, 7)]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (rb'"\b\f\n\r\t\"\\\/\'"', "\b\f\n\r\t\"\\/'"),
        (rb"""'it\'s "x"'""", 'it\'s "x"'),
        (rb'"\u00e9\uD83D\ude00\u0000"', "é\U0001f600\0"),
        ('"é\U0001f600\x7f"'.encode(), "é\U0001f600\x7f"),
        (rb'"\\n\\\\u0041\\/"', r"\n\\u0041\/"),
        (rb'"QUJD\nQUJD\n"', "QUJD\nQUJD\n"),
        (rb'"a\/b\nc"', "a/b\nc"),
        (b'"\\uffff"', "\uffff"),
        (b'"' + b"x" * 5000 + rb'\n"', "x" * 5000 + "\n"),
    ],
)
def test_strings_mean_what_json_says(dialect, text, meant):
    body = b'{"execute":"guest-ping","id":%s}' % text
    assert [request.id for request in requests(dialect, body)] == [meant]
    assert [request.id for request in requests(dialect, *bytewise(body))] == [meant]


@pytest.mark.parametrize(
    "text",
    ["9223372036854775807", "-9223372036854775808", "0", "-0", "18446744073709551615", "1" * 400],
)
def test_integers_are_kept_whole_however_large(dialect, text):
    body = b'{"execute":"x","id":%s}' % text.encode()
    for chunks in ([body], bytewise(body)):
        (request,) = requests(dialect, *chunks)
        assert request.id == int(text)
        assert type(request.id) is int


@pytest.mark.parametrize("text", ["1.5", "-0.25", "1e3", "1E+3", "0e0", "2.5e-1"])
def test_numbers_with_a_fraction_or_an_exponent_are_floats(dialect, text):
    body = b'{"execute":"x","id":%s}' % text.encode()
    for chunks in ([body], bytewise(body)):
        (request,) = requests(dialect, *chunks)
        assert request.id == float(text)
        assert type(request.id) is float


IDS = [0, -1, 2**63 - 1, 2**64, 1.5, 0.1, "x", "\0", "é\U0001f600", None, True, False, [], {}]


@pytest.mark.parametrize("number", [*IDS, {"a": [{"b": None}]}], ids=repr)
def test_the_id_comes_back_with_results_and_errors(dialect, number):
    for request, outcome in [
        ({"execute": "guest-ping"}, {"return": {}}),
        ({"execute": "no"}, error("The command no has not been found", "CommandNotFound")),
        ({"execute": "guest-ping", "x": 1}, error("QMP input member 'x' is unexpected")),
        ({"arguments": {}}, error("QMP input lacks member 'execute'")),
    ]:
        (line,) = answers(dialect, json.dumps({**request, "id": number}).encode())
        assert parsed(line) == {**outcome, "id": number}


def test_an_id_may_be_as_deep_as_the_limit(dialect):
    deep = b"[" * 1023 + b"]" * 1023
    (line,) = answers(dialect, b'{"execute":"guest-ping","id":' + deep + b"}\n")
    assert line == b'{"return": {}, "id": ' + deep + b"}\n"


def test_an_infinite_id_comes_back_as_null(dialect):
    (line,) = answers(dialect, b'{"execute":"guest-ping","id":[1e999]}')
    assert parsed(line) == {"return": {}, "id": [None]}


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (UnknownCommand, "CommandNotFound"),
        (NotPermitted, "CommandNotFound"),
        (InvalidArgument, "GenericError"),
        (Unsupported, "GenericError"),
        (DeadlinePassed, "GenericError"),
        (CommandError, "GenericError"),
    ],
)
def test_each_failure_has_one_of_the_two_classes(dialect, failure, kind):
    line = dialect.send(Failure(failure("it broke"), Request("x", {}, 5)))
    assert parsed(line) == error("it broke", kind, id=5)


def test_a_failure_that_no_request_caused_has_no_id(dialect):
    assert parsed(dialect.send(Failure(CommandError("it broke")))) == error("it broke")
    assert parsed(dialect.refuse(PeerError("it broke"))) == error("it broke")


def test_a_silent_reply_is_no_bytes(dialect):
    assert dialect.send(Reply({}, Request("guest-shutdown", {}, 1), silent=True)) == b""


def test_only_the_reply_of_sync_delimited_has_the_mark_before_it(dialect):
    sync = b'{"execute":"guest-sync-delimited","arguments":{"id":%s}}\n'
    assert answers(dialect, sync % b"1", PING, sync % b'"x"', PING) == [
        b'\xff{"return": 1}\n',
        b'{"return": {}, "id": 7}\n',
        b'{"error": {"class": "GenericError", "desc": '
        b"\"Invalid parameter type for 'id', expected: integer\"}}\n",
        b'{"return": {}, "id": 7}\n',
    ]


@pytest.mark.parametrize(
    "half", [b"", b"{", b'{"execute":"guest-pi', b'["\\', b"[[[1,", b"[-", b"[tru", b"{'a':"]
)
def test_0xff_silently_drops_what_is_half_received(dialect, half):
    data = half + b"\xff" + PING + b"\n"
    assert answers(dialect, data) == [b'{"return": {}, "id": 7}\n']
    assert answers(dialect, *bytewise(data)) == [b'{"return": {}, "id": 7}\n']


def test_0xff_keeps_what_was_whole_before_it(dialect):
    assert len(answers(dialect, PING + b"\n\xff\xff" + PING + b"\xff")) == 2


@pytest.mark.parametrize(
    "half", [b"{", b'{"execute":"guest-pi', b'["\\', b"[-", b"[tru", b"01xx", b"[" * 5, b"\xfe x"]
)
def test_nothing_of_a_host_that_left_reaches_the_next_one(dialect, half):
    answers(dialect, half)
    dialect.reset()
    assert answers(dialect, b'{"execute":"guest-sync","arguments":{"id":3}}\n') == [
        b'{"return": 3}\n'
    ]


def test_a_reset_also_drops_what_was_received_and_not_taken(dialect):
    dialect.receive(PING)
    dialect.reset()
    assert dialect.next_request() is None


SYNCS = {
    "libvirt": b'{"execute":"guest-sync", "arguments":{"id":1700000000000}}\n',
    "with spaces": b'{"execute": "guest-sync-delimited", "arguments": {"id": 1700000000000}}',
    "Proxmox": b'{"arguments":{"id":1700000000000},"execute":"guest-sync-delimited"}\n',
}


@pytest.mark.parametrize("sync", SYNCS.values(), ids=SYNCS)
def test_a_host_that_begins_with_a_sync_is_heard_wherever_the_last_one_was_cut(sync):
    body = json.dumps(WRITE, indent=2).encode()
    for cut in range(0, len(body), 7):
        lines = answers(QgaDialect(), body[:cut], sync)
        assert [parsed(line) for line in lines] == [{"return": 1700000000000}], cut


def test_whole_requests_before_a_sync_are_answered_though_they_are_not_taken_one_by_one(dialect):
    dialect.receive(PING)
    dialect.receive(PING + b"\n" + PING[:5])
    dialect.receive(SYNCS["libvirt"])
    assert dialect.next_request() == Request("guest-ping", {}, 7)
    assert dialect.next_request() == Request("guest-ping", {}, 7)


def test_a_sync_inside_of_a_request_is_a_part_of_it(dialect):
    body = b'{"execute": "guest-ping", "id": %b}' % SYNCS["Proxmox"].strip()
    for cut in range(1, len(body)):
        if body[cut - 1 : cut] != b" ":  # a read that ends there is a new host's for us
            (request,) = requests(dialect, body[:cut], body[cut:])
            assert request.id == json.loads(SYNCS["Proxmox"])


@pytest.mark.parametrize("arguments", ["", ',"arguments":{}', ', "arguments": {}'])
@pytest.mark.parametrize("end", ["}\n", "}\r\n", "}", ' , "id":1}\n', "}}\n"])
def test_a_request_that_needs_no_parser_is_the_one_that_the_parser_makes(arguments, end):
    line = f'{{"execute":"guest-ping"{arguments}{end}'.encode()
    by_parser = answers(QgaDialect(), line.replace(b"{", b"{ ") + line[:1])
    assert answers(QgaDialect(), line + line[:1]) == by_parser
