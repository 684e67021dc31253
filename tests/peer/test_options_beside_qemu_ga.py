"""Our reading of qemu-ga's options and of qemu-ga.conf, beside the real qemu-ga's."""

from __future__ import annotations

import socket

import pytest

from agents import QEMU_GA, require_qemu_ga
from drop_in import call, call_theirs, install, with_socket

NEWER = b"allow-rpcs=\n"  # a key that the dumps of QEMU 8.2 and later have


@pytest.fixture(scope="module", autouse=True)
def _qemu_ga():
    require_qemu_ga()


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return install(tmp_path_factory.mktemp("drop-in"))


DUMPED = [
    "-D",
    "-vD",
    "-D=",
    "-D - x -- -V",
    "-D -v x -r",
    "-D -d --retry-path",
    "-D --dae --verb --retry",
    "-D -F",
    "-D -F/hook",
    "-D -F /hook",
    "-D -vF/hook",
    "-D --fsfreeze-hook",
    "-D --fsfreeze-hook=",
    "-D --fsfreeze-hook=/hook",
    "-D --fsfreeze-hook /hook",
    "-D -m isa-serial",
    "-D -m isa-serial -p /dev/ttyS3",
    "-D -misa-serial -p/dev/ttyS3",
    "-D --method=isa-serial --path=a --pa b",
    "-D -m unix-listen -p relative",
    "-D -m unix-listen",
    "-D -m nonsense",
    "-D -m nonsense -p x",
    "-D -p --",
    "-D -l log -f pid -t state",
    "-D --logf log --pid pid --state state",
    "-D -b a",
    "-D -b a,b,c -b d,e",
    "-D -b a;b,,c",
    "-D -b ,",
    "-D --blacklist=a --block-rpcs b --b c --bl d --block=e",
    "-D --path=a=b",
]


@pytest.mark.parametrize("line", DUMPED)
def test_a_dump_is_the_same(program, line):
    theirs = call_theirs(program, *line.split())
    ours = call(program, *line.split())
    assert ours[:2] == (theirs[0], theirs[1] + (NEWER if theirs[1].startswith(b"[") else b""))
    assert bool(ours[2]) == bool(theirs[2])


@pytest.mark.parametrize(
    "arguments",
    [
        ["-D", "-b", ""],
        ["-D", "-p", "", "-l", "", "-f", "", "-t", "", "-m", "isa-serial"],
        ["-D", "-F", ""],
        ["-D", "-p", " \t a b\tc\nd\re\\s "],
        ["-D", "-b", " a, b "],
        ["-D", "-p", "ä€😀"],
        ["-D", "--", "-v"],
        ["-D", "-p", "--", "-v"],
    ],
)
def test_a_dump_is_the_same_with_odd_values(program, arguments):
    theirs = call_theirs(program, *arguments)
    assert theirs[0] == 0
    assert call(program, *arguments) == (0, theirs[1] + NEWER, b"")


REFUSED = [
    "--nope",
    "--nope=3",
    "-Z",
    "-vZq",
    "-D -Z",
    "-m",
    "-vp",
    "--method",
    "--meth",
    "--daemonize=1",
    "--dae=1",
    "--ver",
    "--ver=3",
    "--d",
    "--v",
]


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_not_understood_is_refused_in_the_same_words(program, line):
    theirs = call_theirs(program, *line.split())
    assert theirs[0] == 1
    assert call(program, *line.split()) == theirs


@pytest.mark.parametrize(
    "line", ["-b help", "-b ?", "-D -b help", "-V -b help", "-b x -b help -Z", "-VZ", "x -V", "-hV"]
)
def test_of_options_that_only_print_the_first_wins(program, line):
    code, theirs, _ = call_theirs(program, *line.split())
    assert code == 0
    code, ours, errors = call(program, *line.split())
    assert (code, errors) == (0, b"")
    assert ours.split()[:1] == theirs.split()[:1]


def test_help_for_a_list_names_their_commands_in_their_order(program):
    theirs = call_theirs(program, "-b", "help")[1].split()
    theirs = [name for name in theirs if name != b"guest-get-devices"]  # Windows alone, since 8.0
    ours = call(program, "-b", "help")[1].split()
    assert [name for name in ours if name in theirs] == theirs


FILES = {
    "all keys": b"[general]\ndaemon=true\nmethod=isa-serial\npath=/dev/x\nlogfile=/l\npidfile=/p\n"
    b"fsfreeze-hook=/h\nstatedir=/s\nverbose=true\nretry-path=true\nblock-rpcs=a\n",
    "numbers are booleans": b"[general]\nverbose=1\ndaemon=0\n",
    "spaces": b"[general]\nverbose = true \n daemon= 1\n  # comment\n path \t=  /x y \n",
    "carriage returns": b"[general]\r\npath=/x\r\n",
    "other keys and groups": b"[other]\npath=/o\n[general]\ndaemonize=1\nPath=/P\npath[de]=/de\n",
    "underscore": b"[general]\nretry_path=true\nblock_rpcs=a\n",
    "a group twice": b"[general]\nblock-rpcs=a\n[other]\n[general]\nblock-rpcs=b\n",
    "a key twice": b"[general]\nverbose=0\nverbose=1\n",
    "an equals sign": b"[general]\npath=/x=y # z\n",
    "a percent sign": b"[general]\npath=/%(x)s\n",
    "escapes": b"[general]\npath=\\s/a\\tb\\nc\\rd\\\\n\n",
    "empty values": b"[general]\npath=\nfsfreeze-hook=\nblock-rpcs=\n",
    "no newline at the end": b"[general]\npath=/x",
    "capitals in a group": b"[General]\npath=/x\n",
    "a comma alone": b"[general]\nblock-rpcs=,\n",
    "semicolon": b"[general]\nblock-rpcs=a;b\n",
    "nothing": b"",
    "comments": b"\n# x\n \t\n",
    "a word for a boolean": b"[general]\nverbose=yes\n",
    "a capital boolean": b"[general]\nverbose=TRUE\n",
    "no boolean at all": b"[general]\ndaemon=\n",
    "no group": b"path=/x\n",
    "no pair": b"[general]\njunk\n",
    "no key": b"[general]\n=3\n",
    "an open group": b"[general\npath=/x\n",
    "a wrong escape": b"[general]\npath=/a\\qb\n",
    "a backslash at the end": b"[general]\npath=/a\\\n",
    "not UTF-8": b"[general]\npath=\xff\xfe\n",
    "not UTF-8 in what is not read": b"# \xff\n[general]\nunknown=\xff\n",
    "a byte order mark": b"\xef\xbb\xbf[general]\npath=/x\n",
}


@pytest.mark.parametrize("arguments", [["-D"], ["-D", "-v", "-b", "x", "-F/cli", "-p", "/cli"]])
@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_is_read_the_same(program, tmp_path, content, arguments):
    file = tmp_path / "qemu-ga.conf"
    file.write_bytes(content)
    env = {"QGA_CONF": str(file)}
    theirs = call_theirs(program, *arguments, env=env)
    code, dump, errors = call(program, *arguments, env=env)
    assert code == theirs[0]
    assert dump == theirs[1] + (NEWER if code == 0 else b"")
    assert bool(errors) == bool(theirs[2])


@pytest.mark.parametrize("path", ["/nonexistent", "", "/"])
def test_a_file_that_is_none_is_taken_the_same(program, path):
    theirs = call_theirs(program, "-D", env={"QGA_CONF": path})
    ours = call(program, "-D", env={"QGA_CONF": path})
    assert ours[0] == theirs[0]


def test_a_wrong_file_comes_before_any_option(program, tmp_path):
    file = tmp_path / "qemu-ga.conf"
    file.write_text("junk")
    for option in ("-V", "-h", "-D"):
        assert call_theirs(program, option, env={"QGA_CONF": str(file)})[:2] == (1, b"")
        assert call(program, option, env={"QGA_CONF": str(file)})[:2] == (1, b"")


SOCKETS = [
    (socket.AF_UNIX, {"LISTEN_FDS": "1"}),
    (socket.AF_INET, {"LISTEN_FDS": "1"}),
    (socket.AF_UNIX, {"LISTEN_FDS": "2"}),
    (socket.AF_UNIX, {"LISTEN_FDS": "0"}),
    (socket.AF_UNIX, {"LISTEN_FDS": "x"}),
    (socket.AF_UNIX, {"LISTEN_FDS": ""}),
    (socket.AF_UNIX, {}),
    (socket.AF_UNIX, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}),
]


@pytest.mark.parametrize(("family", "variables"), SOCKETS)
def test_a_socket_from_systemd_is_taken_the_same(program, tmp_path, family, variables):
    with socket.socket(family) as listener:
        if family == socket.AF_UNIX:
            listener.bind(str(tmp_path / "socket"))
        listener.listen()

        def dump(command):
            line = with_socket(listener, command, "-D", "-m", "isa-serial")
            return call(*line, env=variables, pass_fds=[listener.fileno()])

        theirs, ours = dump(QEMU_GA), dump(program)
    assert ours[:2] == (theirs[0], theirs[1] + (NEWER if theirs[0] == 0 else b""))
    assert bool(ours[2]) == bool(theirs[2])
