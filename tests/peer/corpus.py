"""Requests to every command of the QEMU guest agent, good and bad, in the order of asking.

A string "$name" is what an earlier step kept under that name. Paths are those of the cage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

from peer.cage import KEYS, USER

ABSENT = object()  # no member `arguments` at all


class Step(NamedTuple):
    """One request. `keep` names its result (or the `pid` in it); `poll` asks until exited.

    `after` says what the request follows, where its own words would not.
    """

    command: str
    arguments: object = ABSENT
    keep: str = ""
    poll: bool = False
    after: str = ""

    @property
    def label(self) -> str:
        text = "" if self.arguments is ABSENT else json.dumps(self.arguments, ensure_ascii=False)
        text = text.replace("x" * 100, "x..").replace(SSH_KEY, "KEY").replace(OTHER_KEY, "OTHER")
        return f"{self.command} {self.after or text}".strip()


class Param(NamedTuple):
    """An argument: its JSON type in the schema, a value that is fine, and whether it must be."""

    kind: str
    good: object
    optional: bool = False


NUL = "a\0b"
B64 = "aGVsbG8="  # hello
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1XoIoBzpvv6TkVhpPzXqLvXkjJmMbkTGlVhYQJbV9z a@b"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHq7BmQpVqVpmJ5eUTMpUfA1v9xPp9sNwYbZBq0r3m1D c@d"

SCHEMA: dict[str, dict[str, Param]] = {
    "guest-sync-delimited": {"id": Param("integer", 5)},
    "guest-sync": {"id": Param("integer", 5)},
    "guest-ping": {},
    "guest-get-time": {},
    "guest-set-time": {"time": Param("integer", 10**18, optional=True)},
    "guest-info": {},
    "guest-shutdown": {"mode": Param("string", "powerdown", optional=True)},
    "guest-file-open": {
        "path": Param("string", "text"),
        "mode": Param("string", "r", optional=True),
    },
    "guest-file-close": {"handle": Param("integer", "$spare")},
    "guest-file-read": {
        "handle": Param("integer", "$text"),
        "count": Param("integer", 2, optional=True),
    },
    "guest-file-write": {
        "handle": Param("integer", "$new"),
        "buf-b64": Param("string", B64),
        "count": Param("integer", 2, optional=True),
    },
    "guest-file-seek": {
        "handle": Param("integer", "$text"),
        "offset": Param("integer", 0),
        "whence": Param("GuestFileWhence", 0),
    },
    "guest-file-flush": {"handle": Param("integer", "$new")},
    "guest-fsfreeze-status": {},
    "guest-fsfreeze-freeze": {},
    "guest-fsfreeze-freeze-list": {"mountpoints": Param("strings", ["/nowhere"], optional=True)},
    "guest-fsfreeze-thaw": {},
    "guest-fstrim": {"minimum": Param("integer", 0, optional=True)},
    "guest-suspend-disk": {},
    "guest-suspend-ram": {},
    "guest-suspend-hybrid": {},
    "guest-network-get-interfaces": {},
    "guest-get-vcpus": {},
    "guest-set-vcpus": {"vcpus": Param("array", [{"logical-id": 0, "online": True}])},
    "guest-get-disks": {},
    "guest-get-fsinfo": {},
    "guest-set-user-password": {
        "username": Param("string", USER),
        "password": Param("string", B64),
        "crypted": Param("boolean", False),
    },
    "guest-get-memory-blocks": {},
    "guest-set-memory-blocks": {"mem-blks": Param("array", [{"phys-index": 0, "online": True}])},
    "guest-get-memory-block-info": {},
    "guest-exec-status": {"pid": Param("integer", 1)},
    "guest-exec": {
        "path": Param("string", "/bin/true"),
        "arg": Param("strings", ["x"], optional=True),
        "env": Param("strings", ["A=b"], optional=True),
        "input-data": Param("string", B64, optional=True),
        "capture-output": Param("GuestExecCaptureOutput", True, optional=True),
    },
    "guest-get-host-name": {},
    "guest-get-users": {},
    "guest-get-timezone": {},
    "guest-get-osinfo": {},
    "guest-ssh-get-authorized-keys": {"username": Param("string", USER)},
    "guest-ssh-add-authorized-keys": {
        "username": Param("string", USER),
        "keys": Param("strings", [SSH_KEY]),
        "reset": Param("boolean", False, optional=True),
    },
    "guest-ssh-remove-authorized-keys": {
        "username": Param("string", USER),
        "keys": Param("strings", [SSH_KEY]),
    },
    "guest-get-diskstats": {},
    "guest-get-cpustats": {},
    "guest-get-load": {},
    "guest-network-get-route": {},
}

NUMBERS = (1.5, 7.0, 1 << 63, -(1 << 63) - 1)
WRONG: dict[str, tuple[object, ...]] = {
    "integer": (None, True, *NUMBERS, "7", "", [], [7], {}),
    "boolean": (None, 0, 1, 1.5, "true", "", [], {}),
    "string": (None, False, 7, *NUMBERS, [], ["x"], {}),
    "array": (None, True, 7, 1.5, "x", {}, [None], [1.5], ["x"], [[]], [7]),
    "strings": (None, True, 7, 1.5, "x", {}, [None], ["x", True], ["x", 7], ["x", 1.5], [[]], [{}]),
    "GuestFileWhence": (None, True, *NUMBERS, 7, -1, "", "bogus", "SET", [], {}),
    "GuestExecCaptureOutput": (None, 0, 7, *NUMBERS, "", "bogus", "Merged", [], {}),
}


def systematic(command: str) -> Iterator[Step]:
    """Without arguments, and with each of them missing, of a wrong type, and one too many."""
    params = SCHEMA[command]
    good = {name: param.good for name, param in params.items()}
    yield Step(command)
    yield Step(command, {})
    yield Step(command, {"surplus": None})
    yield Step(command, {**good, "surplus": 1})
    for name, param in params.items():
        without = {other: value for other, value in good.items() if other != name}
        if not param.optional or without:
            yield Step(command, without)
        yield Step(command, {**without, name.upper(): param.good})
        for value in WRONG[param.kind]:
            yield Step(command, {**good, name: value})
            yield Step(command, {name: value})


def _file(command: str, handle: str = "$new", **arguments: object) -> Step:
    given = {name.replace("_", "-"): value for name, value in arguments.items()}
    return Step(f"guest-file-{command}", {"handle": handle, **given})


def _open(path: str, mode: object = None, keep: str = "opened") -> Step:
    arguments = {"path": path} if mode is None else {"path": path, "mode": mode}
    return Step("guest-file-open", arguments, keep)


MODES = (
    *("r", "rb", "w", "wb", "a", "ab", "r+", "rb+", "r+b", "w+", "wb+", "w+b", "a+", "ab+", "a+b"),
    *("rw", "wr", "x", "wx", "rr", "b", "+r", "r++", "R", "W", "bogus"),
)
BASE64 = ("", "aGk=", "aGk", "aGk=aGk=", "aGVs\nbG8=\n", "\n", "!", "aGk!", "aGk =", "a", "====",
          "=", "aGVsbG8===", "\u00e9", "aGk=\r\n", "-_-_", "aGVsbG9=")  # fmt: skip
COUNTS = (0, 1, 5, 6, -1, 48 << 20, (48 << 20) + 1, (1 << 63) - 1, -(1 << 63))

FILES = (
    _open("text", keep="text"),
    _open("text", keep="spare"),
    _open("new", "w+", keep="new"),
    _open("none"), _open(""), _open(NUL), _open("text", ""), _open("text", NUL),
    _open("/"), _open("/", "w"), _open("/nowhere/x", "w"), _open("/etc/guestwire-test", "w"),
    _open("text/x"), _open("x" * 300), _open("/media/work/text"), _open("../work/./text"),
    _open("/proc/self/mem", "w"),
    *(_open("modes", mode) for mode in MODES),
    # reading
    *(_file("read", "$text", count=count) for count in (0, 2, 2)),
    _file("read", "$text"), _file("read", "$text"), _file("read", "$text", count=0),
    *(_file("read", "$text", count=count) for count in COUNTS),
    *(_file("seek", "$text", offset=offset, whence=whence)
      for offset in (0, 1, -1, 13, 14, 100, -100, (1 << 63) - 1, -(1 << 63))
      for whence in (0, 1, 2, "set", "cur", "end")),
    *(_file("seek", "$text", offset=0, whence=whence)
      for whence in (3, 4, -1, (1 << 31), (1 << 32), (1 << 63) - 1, -(1 << 63))),
    _file("seek", "$text", offset=10, whence="set"),
    _file("read", "$text", count=4), _file("read", "$text", count=1),
    _file("seek", "$text", offset=0, whence="end"), _file("read", "$text", count=1),
    _file("write", "$text", buf_b64=B64), _file("flush", "$text"),
    # writing
    *(_file("write", buf_b64=text) for text in BASE64),
    *(_file("write", buf_b64=B64, count=count) for count in COUNTS),
    *(_file("write", buf_b64="!", count=count) for count in (0, 100)),
    _file("flush"),
    _file("seek", offset=0, whence="set"), _file("read"),
    _file("seek", offset=2, whence=0), _file("write", buf_b64="WFg="),
    _file("seek", offset=0, whence=0), _file("read", count=6),
    _file("write", buf_b64="WQ=="), _file("read"),
    _open("new", "r", keep="again"), _file("read", "$again"), _file("close", "$again"),
    _file("close", "$again"), _file("read", "$again"), _file("seek", "$again", offset=0, whence=0),
    _open("new", "a+", keep="appending"), _file("write", "$appending", buf_b64=B64),
    _file("seek", "$appending", offset=0, whence=0), _file("write", "$appending", buf_b64=B64),
    _file("seek", "$appending", offset=0, whence=0), _file("read", "$appending"),
    _open("new", "w", keep="writing"), _file("read", "$writing"),
    # what is no plain file
    _open("/", keep="directory"), _file("read", "$directory"),
    _file("seek", "$directory", offset=0, whence=0),
    _open("fifo", keep="fifo"), _file("read", "$fifo"), _file("seek", "$fifo", offset=0, whence=0),
    _open("fifo", "w", keep="fifo-end"), _file("read", "$fifo"),
    _file("write", "$fifo-end", buf_b64=B64), _file("flush", "$fifo-end"),
    _file("read", "$fifo", count=3), _file("read", "$fifo"), _file("read", "$fifo"),
    _file("close", "$fifo"), _file("write", "$fifo-end", buf_b64=B64),
    _file("flush", "$fifo-end"), _file("close", "$fifo-end"),
    _open("/dev/null", "w", keep="null"), _file("write", "$null", buf_b64=B64),
    _file("close", "$null"),
    _open("/dev/full", "w", keep="full"), _file("write", "$full", buf_b64=B64),
    _file("flush", "$full"), _file("close", "$full"),
    _open("/dev/zero", keep="zero"), _file("read", "$zero", count=3),
    _open("/proc/version", keep="proc"), _file("read", "$proc", count=5),
    # handles that are none
    *(_file(command, handle, **more)
      for handle in (0, -1, 9999, (1 << 63) - 1)
      for command, more in (("close", {}), ("read", {}), ("flush", {}), ("write", {"buf_b64": B64}),
                            ("write", {"buf_b64": "!"}), ("read", {"count": -1}),
                            ("seek", {"offset": 0, "whence": 7}))),
)  # fmt: skip


def _exec(path: str, *arg: str, keep: str = "pid", **more: object) -> Iterator[Step]:
    """Start a program, and wait for its end."""
    arguments: dict[str, object] = {"path": path}
    if arg:
        arguments["arg"] = list(arg)
    arguments.update((name.replace("_", "-"), value) for name, value in more.items())
    start = Step("guest-exec", arguments, keep)
    yield start
    yield Step("guest-exec-status", {"pid": f"${keep}"}, poll=True, after=f"after {start.label}")


SAY = ("/bin/sh", "-c", "echo out; echo err >&2")

EXEC = (
    *_exec("/bin/true", keep="asked"),
    Step("guest-exec-status", {"pid": "$asked"}, after="a second time"),
    *_exec("/bin/false"),
    *_exec("true"), *_exec("false", capture_output=True),
    *(step for capture in (False, True) for step in _exec(*SAY, capture_output=capture)),
    *_exec(*SAY),
    *_exec("/bin/echo", capture_output=True),
    *_exec("/bin/echo", "-n", "", capture_output=True),
    *_exec("/bin/echo", "a b", "$x", "*", "", "\u00e9\U0001f600", capture_output=True),
    *_exec("/bin/echo", arg=[], capture_output=True),
    *_exec("/usr/bin/printf", "\\000\\377", capture_output=True),
    *_exec("/bin/sh", "-c", "exit 255"), *_exec("/bin/sh", "-c", "exit 300"),
    *_exec("/bin/sh", "-c", "kill -9 $$"), *_exec("/bin/sh", "-c", "kill -15 $$"),
    *_exec("/usr/bin/env", env=["A=b", "PATH=/bin"], capture_output=True),
    *_exec("/usr/bin/env", env=[], capture_output=True),
    *_exec("/usr/bin/env", env=["A=1", "A=2", "=x", "novalue", "E="], capture_output=True),
    *_exec("env", env=["PATH=/nowhere"], capture_output=True),
    *_exec("env", env=["A=b"], capture_output=True),
    *_exec("env", env=[], capture_output=True),
    *_exec("/bin/cat", input_data=B64, capture_output=True),
    *_exec("/bin/cat", input_data="", capture_output=True),
    *_exec("/bin/cat", capture_output=True),
    *_exec("/bin/true", input_data=B64),
    *(step for text in BASE64[1:]
      for step in _exec("/bin/cat", input_data=text, capture_output=True)),
    *_exec("/bin/pwd", capture_output=True),
    *_exec("/bin/sh", "-c", "umask; ulimit -c", capture_output=True),
    *_exec("/usr/bin/head", "-c", "16777216", "/dev/zero", capture_output=True),
    *_exec("/usr/bin/head", "-c", "16777217", "/dev/zero", capture_output=True),
    *_exec("/nowhere/x"), *_exec("nowhere-to-be-found"), *_exec("/"), *_exec("/etc/passwd"),
    *_exec("text"), *_exec("./text"), *_exec(""), *_exec(NUL), *_exec("/bin/echo", NUL),
    *_exec("x" * 300), *_exec("/bin/true", env=[NUL]), *_exec("/bin/true", "x" * 140000),
    *(Step("guest-exec-status", {"pid": pid})
      for pid in (0, -1, 1, 4194304, 1 << 31, 1 << 32, (1 << 63) - 1, -(1 << 63))),
    # a slow one, seen before it has ended
    Step("guest-exec", {"path": "/bin/sleep", "arg": ["0.4"], "capture-output": True}, "slow"),
    Step("guest-exec-status", {"pid": "$slow"}, after="while it runs"),
    Step("guest-exec-status", {"pid": "$slow"}, after="of a slow one", poll=True),
    Step("guest-exec-status", {"pid": "$slow"}, after="of a slow one, a second time"),
    # Without "stdout" and "stderr": qemu-ga 8.0 and later closes its own files over them.
    *(step for capture in ("none", "separated", "merged")
      for step in _exec(*SAY, capture_output=capture)),
)  # fmt: skip


def _keys(command: str, keys: object, **more: object) -> Step:
    return Step(f"guest-ssh-{command}-authorized-keys", {"username": USER, "keys": keys, **more})


GET_KEYS = Step("guest-ssh-get-authorized-keys", {"username": USER})
READ_KEYS = (_open(KEYS, keep="keys"), _file("read", "$keys"), _file("close", "$keys"))
USERS = ("", "nobody-of-this-name", "root:", "a\nb", NUL, "\u00e9", "x" * 300, "-1", "0", "../root")

SSH = (
    GET_KEYS,
    _keys("remove", [SSH_KEY]), GET_KEYS,
    _keys("add", []), GET_KEYS,
    _keys("add", [SSH_KEY]), *READ_KEYS, GET_KEYS,
    _keys("add", [SSH_KEY]), GET_KEYS,
    _keys("add", [OTHER_KEY, SSH_KEY, OTHER_KEY]), *READ_KEYS, GET_KEYS,
    _keys("add", [""]), GET_KEYS,
    _keys("add", ["# comment"]), _keys("add", [SSH_KEY + "\n" + OTHER_KEY]),
    _keys("add", [SSH_KEY + "\r"]), _keys("add", [SSH_KEY + "\n"]), _keys("add", [NUL]),
    _keys("remove", ["# comment"]), _keys("remove", [""]), _keys("remove", ["absent"]),
    _keys("remove", []),
    _keys("add", [SSH_KEY, OTHER_KEY], reset=True), GET_KEYS,
    _keys("remove", [SSH_KEY]), *READ_KEYS, GET_KEYS,
    _keys("add", ["no key at all"], reset=True), *READ_KEYS, GET_KEYS,
    _keys("add", [SSH_KEY], reset=True), _keys("add", [f" {SSH_KEY} "]), GET_KEYS,
    _keys("add", [], reset=True), *READ_KEYS, GET_KEYS,
    *(Step(f"guest-ssh-{command}-authorized-keys", {"username": user, **more})
      for user in USERS
      for command, more in (("get", {}), ("add", {"keys": [SSH_KEY]}), ("add", {"keys": ["#"]}),
                            ("remove", {"keys": [SSH_KEY]}))),
)  # fmt: skip


def _password(username: str = USER, password: str = B64, crypted: bool = False) -> Step:
    return Step("guest-set-user-password",
                {"username": username, "password": password, "crypted": crypted})  # fmt: skip


PASSWORD = (
    *(_password(username=user) for user in USERS),
    *(_password(password=text) for text in BASE64),
    _password(password="YQpi"), _password(password="YQBi"), _password(password="YTpi"),
    _password(password="aGVsbG8K"), _password(password="YWIB"),
    _password(crypted=True), _password(username="a:b", password="!"),
    _password(username="a:b", password="YQpi"),
)  # fmt: skip


def _vcpu(number: object, online: object, **more: object) -> dict[str, object]:
    return {"logical-id": number, "online": online, **more}


def _block(number: object, online: object, **more: object) -> dict[str, object]:
    return {"phys-index": number, "online": online, **more}


def _structs(make) -> Iterator[list[object]]:
    good = make(0, True)
    yield []
    yield [good]
    yield [make(0, True, **{"can-offline": False})]
    yield [make(9999, True)]
    yield [good, make(9999, True)]
    yield [make(9999, True), good]
    yield [make(-1, True)]
    yield [make((1 << 63) - 1, True)]
    yield [make(1, False)]
    for name in good:
        yield [{key: value for key, value in good.items() if key != name}]
        for value in WRONG["integer" if name != "online" else "boolean"]:
            yield [{**good, name: value}]
            yield [good, {**good, name: value}]
    for value in WRONG["boolean"]:
        yield [{**good, "can-offline": value}]
    yield [{**good, "surplus": 1}]
    yield [good, {**good, "surplus": 1}]


HARDWARE = (
    *(Step("guest-set-vcpus", {"vcpus": value}) for value in _structs(_vcpu)),
    *(Step("guest-set-memory-blocks", {"mem-blks": value}) for value in _structs(_block)),
    *(Step("guest-fstrim", {"minimum": value}) for value in (0, -1, 1, (1 << 63) - 1, -(1 << 63))),
    *(Step("guest-set-time", {"time": value})
      for value in (10**18, -(10**18), 3155760000 * 10**9, (1 << 63) - 1, -(1 << 63))),
    *(Step("guest-shutdown", {"mode": mode})
      for mode in ("powerdown", "halt", "reboot", "", "Halt", "bogus", NUL)),
)  # fmt: skip

FREEZE = (
    Step("guest-fsfreeze-freeze-list", {"mountpoints": []}),
    Step("guest-fsfreeze-freeze-list", {"mountpoints": ["/nowhere", "", NUL, "relative"]}),
    Step("guest-fsfreeze-freeze-list", {"mountpoints": ["/"]}),
    Step("guest-fsfreeze-freeze-list", {"mountpoints": ["/", "/nowhere", "/"]}),
    Step("guest-fsfreeze-freeze-list", {"mountpoints": ["//"]}),
    Step("guest-fsfreeze-status"),
    Step("guest-fsfreeze-thaw"),
    Step("guest-fsfreeze-status"),
)

PROTOCOL = (
    *(Step("guest-sync", {"id": number}) for number in (0, -1, (1 << 63) - 1, -(1 << 63))),
    *(Step(name, {"x": 1}) for name in ("", "guest-nothing", "GUEST-PING", "guest_ping", NUL)),
    Step("guest-get-devices"),
    Step("guest-sync", {"id": 1, "a": 1, "b": 2}),
    Step("guest-file-read", {"handle": "x", "count": "y", "a": 1}),
    Step("guest-file-read", {"count": "y", "a": 1}),
    Step("guest-file-write", {"buf-b64": 5, "count": "y"}),
    Step("guest-file-write", {"buf_b64": B64, "handle": "$new"}),
    Step("guest-exec", {"path": 5, "arg": 5, "env": 5}),
    Step("guest-exec", {"arg": 5, "env": 5}),
    Step("guest-set-user-password", {"username": USER, "password": "!"}),
)

STEPS = (
    *FILES,
    *PROTOCOL,
    *(step for command in SCHEMA for step in systematic(command)),
    *SSH,
    *PASSWORD,
    *HARDWARE,
    *FREEZE,
    *EXEC,
)

# Values that cannot be the same twice: their types are compared. "#" is any item of a list.
PASSING = {
    "guest-get-time": ("",),
    "guest-info": (".version",),
    "guest-file-open": ("",),
    "guest-exec": (".pid",),
    "guest-network-get-interfaces": tuple(
        f".#.statistics.{way}-{what}"
        for way in ("rx", "tx")
        for what in ("bytes", "packets", "errs", "dropped")
    ),
    "guest-get-fsinfo": (".#.used-bytes", ".#.total-bytes"),
    "guest-get-diskstats": tuple(
        f".#.stats.{name}"
        for name in (
            *(f"{way}-{what}" for way in ("read", "write", "discard")
              for what in ("sectors", "ios", "merges", "ticks")),
            *("flush-ios", "flush-ticks", "ios-pgr", "total-ticks", "weight-ticks"),
        )
    ),
    "guest-get-cpustats": tuple(
        f".#.{name}"
        for name in ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
                     "guest", "guestnice")
    ),
    "guest-get-load": (".load1m", ".load5m", ".load15m"),
    "guest-network-get-route": (".#.use", ".#.refcnt"),
}  # fmt: skip

# Lists whose order nobody promises.
UNORDERED = frozenset(
    ("guest-get-vcpus", "guest-get-disks", "guest-get-memory-blocks", "guest-get-diskstats",
     "guest-network-get-interfaces", "guest-get-users")
)  # fmt: skip
