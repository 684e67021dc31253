"""What is no request, and the answers to it: those of qemu-ga 10.2, but for what `OURS` names."""

from __future__ import annotations

from qga_host import error

PONG = {"return": {}}
NOT_OBJECT = error("QMP input must be a JSON object")


def bad(text):
    return error(f"JSON parse error, {text}")


VALUE = bad("expecting value")

TABLE = [
    (b"[]", NOT_OBJECT),
    (b"42", NOT_OBJECT),
    (b'"x"', NOT_OBJECT),
    (b"null", NOT_OBJECT),
    (b"1-2", NOT_OBJECT, NOT_OBJECT),
    (b"{}", error("QMP input lacks member 'execute'")),
    (b'{"execute":1}', error("QMP input member 'execute' must be a string")),
    (b'{"execute":"x","arguments":[]}', error("QMP input member 'arguments' must be an object")),
    (b'{"execute":"x","arguments":null}', error("QMP input member 'arguments' must be an object")),
    (b'{"execute":"x","foo":1}', error("QMP input member 'foo' is unexpected")),
    (b'{"exec-oob":"guest-ping"}', error("QMP input member 'exec-oob' is unexpected")),
    (b"garbage here", bad("invalid keyword 'garbage'"), bad("invalid keyword 'here'")),
    (b"GARBAGE UPPER", bad("stray 'G'")),
    (b"nul", bad("invalid keyword 'nul'")),
    (b"[nul]", bad("invalid keyword 'nul'")),
    (b"[NaN]", bad("stray 'N'"), VALUE),
    (b"[Infinity]", bad("stray 'I'"), VALUE),
    (b"[-Infinity]", bad("stray '-I'"), VALUE),
    (b"01", bad("stray '01'")),
    (b"-x", bad("stray '-x'")),
    (b"1.x", bad("stray '1.x'")),
    (b"1e+x", bad("stray '1e+x'")),
    (b"1.", bad("stray '1.\n'")),
    (b"+1", bad("stray '+'")),
    (b"1.5.5", NOT_OBJECT, bad("stray '.'")),
    (b'{"a":01}', bad("stray '01'"), VALUE),
    (b'{"execute" GARBAGE "x"}', bad("stray 'G'"), VALUE),
    (b"}", VALUE),
    (b"]", VALUE),
    (b"[}", VALUE),
    (b"{]", VALUE),
    (b"[]]", NOT_OBJECT, VALUE),
    (b'{"execute":"guest-ping"}}', PONG, VALUE),
    (b'{"execute":"guest-ping"} trailing', PONG, bad("invalid keyword 'trailing'")),
    (b'{"a":}', VALUE),
    (b'{"a":1,}', VALUE),
    (b"{,}", VALUE),
    (b"[1,]", VALUE),
    (b"[{:]}", VALUE),
    (b'{"a"}', bad("missing : in object pair")),
    (b'{"a" 1}', bad("missing : in object pair")),
    (b"{1:2}", bad("key is not a string in object")),
    (b"{{}:2}", bad("key is not a string in object")),
    (b'{"a":1 "b":2}', bad("expected separator in dict")),
    (b"[1 2]", bad("expected separator in list")),
    (b"[1}", bad("expected separator in list")),
    (b'{"a":1,"a":2}', bad("duplicate key")),
    (b'{"execute":"guest-ping","execute":"guest-ping"}', bad("duplicate key")),
    (b'{"execute":"x","arguments":{"a":{"b":1,"b":1}}}', bad("duplicate key")),
    (b'["\\x"]', bad("invalid escape sequence in string")),
    (b'["\\u12G4"]', bad("\\u12G4 is not a valid Unicode character")),
    (b'["\\ud800"]', bad("\\ud800 is not a valid Unicode character")),
    (b'["\\ud800\\u0041"]', bad("\\ud800 is not a valid Unicode character")),
    (b'["\\udc00"]', bad("\\udc00 is not a valid Unicode character")),
    (b'["\xc3("]', bad("invalid UTF-8 sequence in string")),
    (b'["\xed\xa0\x80"]', bad("invalid UTF-8 sequence in string")),
    (b'["\xc0\x80"]', bad("invalid UTF-8 sequence in string")),
    (b'{"\xc3":1}', bad("invalid UTF-8 sequence in string")),
    (b'["' + b"x" * 5000 + b'\xc3"]', bad("invalid UTF-8 sequence in string")),
    (b'["a\x01b"]', bad("stray '\"a\x01'"), VALUE),
    (b'["a\\\x01b"]', bad("stray '\"a\\\x01'"), VALUE),
    (b'["abc', bad("stray '\"abc\n'")),
    (b'["ab\ncd"]', bad("stray '\"ab\n'"), VALUE),
    (b'"\\', bad("stray '\"\\\n'")),
    (b"\\", bad("stray '\\'")),
    (b"\x00", bad("stray '\x00'")),
    (b"\x0b\x0c", bad("stray '\x0b'"), bad("stray '\x0c'")),
    (b"\xfe", bad("stray '\ufffd'")),
    (b"?\t?\r?", bad("stray '?'"), bad("stray '?'")),
    (b"@ab{}", bad("stray '@'"), error("QMP input lacks member 'execute'")),
    (b'\xef\xbb\xbf{"execute":"guest-ping"}', bad("stray '\ufffd'"), PONG),
    (b'a{"execute":"guest-ping"}', bad("invalid keyword 'a'"), PONG),
]

# Where we differ from qemu-ga, with the reason; 0xFF is a case of its own, for it resets.
OURS = {
    b'["\xc0\x80"]': "qemu-ga takes the overlong NUL of modified UTF-8",
    b"\x00": "qemu-ga ends its text at the NUL that it shows",
}
