"""guestwire, the host's command: its output, its JSON, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

import agents
from fake_guest import FakeGuest, answering
from guestwire.cli.host.commands import run
from guestwire.cli.host.copying import Place, place


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with agents.Agent(tmp_path_factory.mktemp("agent"), agents.ours, ("--root", "/")) as running:
        yield running


@pytest.fixture
def web(agent):
    """The address of a guest that answers."""
    return f"unix:{agent.socket}"


@pytest.fixture
def gone(tmp_path):
    return f"unix:{tmp_path}/gone.sock"


def command(*arguments):
    return [sys.executable, "-c", "import sys; from guestwire.cli.host import main; "
            "sys.exit(main())", *arguments]  # fmt: skip


def process(*arguments, **options):
    return subprocess.run(command(*arguments), capture_output=True, timeout=60, **options)


def test_a_ping_says_that_the_agent_answers(web, capsys):
    assert run(["ping", web]) == 0
    assert capsys.readouterr().out.startswith(f"{web}: answers in ")


def test_what_is_wrong_goes_to_stderr_with_what_to_do_next(gone, capsys):
    assert run(["ping", gone]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith(f"guestwire: {gone}: there is no socket")
    assert err.splitlines()[1] == "  next: start the VM"


def test_of_many_each_is_told_and_the_failures_are_counted(web, gone, capsys):
    assert run(["ping", web, gone]) == 1
    out, err = capsys.readouterr()
    assert "answers in" in out
    assert err.splitlines()[-1] == "guestwire: 1 of 2 guests failed"


def test_json_has_one_shape_for_success_and_failure(web, gone, capsys):
    assert run(["ping", "--json", web, gone]) == 1
    good, bad = json.loads(capsys.readouterr().out)["guests"]
    assert good["guest"] == web and good["ok"] is True
    assert set(good["result"]) == {"seconds"}
    assert set(bad) == {"guest", "ok", "error"} and bad["ok"] is False
    assert bad["error"]["code"] == "vm-off"
    assert set(bad["error"]) == {"code", "text", "advice"}


def stalling(guest, connection):
    while connection.recv(65536):
        time.sleep(9)


def test_fifty_guests_of_which_some_hang_take_no_longer_than_one(tmp_path, capsys):
    with ExitStack() as stack:
        addresses = []
        for number in range(50):
            path = tmp_path / f"{number}"
            dead = number % 10 == 0
            behaviour = (
                (lambda guest, one: one.recv(1) and time.sleep(9)) if dead else answering({})
            )
            stack.enter_context(FakeGuest(path, behaviour))
            addresses.append(f"unix:{path}")
        begun = time.monotonic()
        assert run(["ping", "--json", "-j", "50", "--timeout", "2", *addresses]) == 1
        assert time.monotonic() - begun < 6
    told = json.loads(capsys.readouterr().out)["guests"]
    assert [one["guest"] for one in told] == addresses
    assert [one["ok"] for one in told].count(False) == 5


def test_info_is_a_page_of_facts(web, capsys):
    assert run(["info", web]) == 0
    assert f"hostname:   {os.uname().nodename}" in capsys.readouterr().out
    assert run(["info", "--json", web]) == 0
    result = json.loads(capsys.readouterr().out)["guests"][0]["result"]
    assert set(result) == {"version", "hostname", "os", "kernel", "addresses", "frozen", "disabled"}


HOSTILE = "\x1b]0;owned\x07\u202eevil"


@pytest.fixture
def hostile(tmp_path):
    words = {"exited": True, "exitcode": 0, "out-data": "G1syShtdNTI7YztoaQcKCWVuZAo="}
    info = {"version": HOSTILE, "supported_commands": [
        {"name": one, "enabled": True, "success-response": True}
        for one in ("guest-get-host-name", "guest-get-osinfo", "guest-network-get-interfaces")
    ]}  # fmt: skip
    answers = {
        "guest-info": info,
        "guest-get-host-name": {"host-name": HOSTILE},
        "guest-get-osinfo": {"pretty-name": HOSTILE, "kernel-release": "\x9b2J"},
        "guest-network-get-interfaces": [{"name": "a", "ip-addresses": [{"ip-address": HOSTILE}]}],
        "guest-fsfreeze-status": "thawed",
        "guest-exec": {"pid": 5},
        "guest-exec-status": words,
        "guest-x": lambda _: json.dumps(
            {"error": {"class": "GenericError", "desc": HOSTILE}}
        ).encode() + b"\n",
    }  # fmt: skip
    with FakeGuest(tmp_path / "hostile.sock", answering(answers)) as guest:
        yield f"unix:{guest.path}"


@pytest.mark.parametrize(
    "arguments",
    [["info"], ["info", "--json"], ["call", "guest-x"], ["call", "guest-get-host-name"],
     ["call", "guest-x", "--json"], ["exec", "--json", "--", "x"]],
    ids=" ".join,
)  # fmt: skip
def test_nothing_a_guest_says_reaches_the_terminal_as_more_than_text(hostile, arguments, capsys):
    run([arguments[0], hostile, *arguments[1:]] if arguments[0] != "exec"
        else ["exec", "--json", hostile, "x"])  # fmt: skip
    shown = "".join(capsys.readouterr())
    assert "evil" in shown or "end" in shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e")


def on_a_terminal(*arguments):
    """The bytes that a terminal would get."""
    controller, line = pty.openpty()
    running = subprocess.Popen(command(*arguments), stdout=line, stderr=line, stdin=line)
    os.close(line)
    shown = b""
    while True:
        try:
            data = os.read(controller, 65536)
        except OSError:
            break
        shown += data
    os.close(controller)
    assert running.wait(30) == 0
    return shown


def test_a_programs_output_is_filtered_on_a_terminal(hostile):
    shown = on_a_terminal("exec", hostile, "x")
    assert shown == b"\\x1b[2J\\x1b]52;c;hi\\x07\r\n\tend\r\n"


def test_raw_output_reaches_the_terminal_where_that_is_asked_for(hostile):
    assert on_a_terminal("exec", "--raw", hostile, "x").startswith(b"\x1b[2J")


def test_a_programs_output_in_a_file_is_what_it_was(hostile):
    assert process("exec", hostile, "x").stdout == b"\x1b[2J\x1b]52;c;hi\x07\n\tend\n"


def test_exec_ends_as_the_program_ended(web):
    done = process("exec", web, "--", "sh", "-c", "cat; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"err\n", 7)


def test_exec_needs_no_dashes_before_the_program(web, capfd):
    assert run(["exec", web, "printf", "%s|", "-n", "--json", "a b"]) == 0
    assert capfd.readouterr().out == "-n|--json|a b|"


def test_exec_sends_its_standard_input_when_it_is_asked_to(web):
    data = os.urandom(1 << 20)
    done = process("exec", "-i", web, "cat", input=data)
    assert done.stdout == data


@pytest.mark.parametrize(
    ("program", "code"),
    [(["sh", "-c", "kill -9 $$"], 137), (["/no/such"], 127), (["/etc/passwd"], 126),
     (["sh", "-c", "exit 125"], 125)],
)  # fmt: skip
def test_exec_has_a_code_for_each_end(web, program, code, capsys):
    assert run(["exec", web, *program]) == code


def test_exec_that_takes_too_long_says_where_the_program_is(web, capsys):
    assert run(["exec", "--timeout", "0.2", web, "sleep", "1"]) == 124
    assert "goes on as process" in capsys.readouterr().err


def test_failures_of_our_own_are_125_in_exec(gone, capsys):
    assert run(["exec", gone, "true"]) == 125
    assert run(["exec", "--nonsense"]) == 125
    assert run(["exec", gone]) == 125
    assert run(["exec", "ssh:x", "true"]) == 125


def test_exec_on_many_marks_each_line_and_ends_with_the_worst(web, gone, capsys):
    assert run(["exec", "-g", web, "-g", gone, "--", "echo", "hi"]) == 125
    assert f"{web} | hi\n" in capsys.readouterr().out
    assert run(["exec", "-g", web, "-g", web + "x", "false"]) == 125


def test_exec_sets_an_environment(web, capfd):
    assert run(["exec", "-e", "A=b=c", web, "env"]) == 0
    assert "A=b=c\n" in capfd.readouterr().out


def test_an_interrupt_says_what_goes_on_in_the_guest(web):
    running = subprocess.Popen(
        command("exec", web, "sleep", "2"), stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130
    assert b"the program goes on as process" in err


def test_call_prints_what_the_agent_returns(web, capsys):
    assert run(["call", web, "guest-sync", "id=7"]) == 0
    assert capsys.readouterr().out == "7\n"
    assert run(["call", web, "guest-sync", '{"id": 8}']) == 0
    assert capsys.readouterr().out == "8\n"
    assert run(["call", web, "guest-sync", "id"]) == 2


def test_a_file_is_copied_in_and_out(web, tmp_path, capsys):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(100_000))
    source.chmod(0o640)
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    assert run(["cp", str(source), f"{web}:{tmp_path}/in/"]) == 0
    assert run(["cp", f"{web}:{tmp_path}/in/source", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out/source").read_bytes() == source.read_bytes()
    assert (tmp_path / "out/source").stat().st_mode & 0o777 == 0o640
    assert "100000 bytes copied" in capsys.readouterr().out


def test_a_copy_that_cannot_be_says_which_file(web, tmp_path, capsys):
    assert run(["cp", str(tmp_path / "missing"), f"{web}:/tmp/x"]) == 1
    assert f"{tmp_path}/missing: No such file" in capsys.readouterr().err
    assert run(["cp", f"{web}:/no/such", str(tmp_path)]) == 1
    assert run(["cp", "a", "b"]) == 2
    assert run(["cp", web, "."]) == 1
    assert "names a guest, and no file of it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("web1:/etc/x", Place("web1", "/etc/x")),
        ("web1:/a:/b", Place("web1", "/a:/b")),
        ("unix:/run/a.sock:/etc/x", Place("unix:/run/a.sock", "/etc/x")),
        ("libvirt+qemu:///system/web1:/etc/x", Place("libvirt+qemu:///system/web1", "/etc/x")),
        ("vsock:3:1234:/x", Place("vsock:3:1234", "/x")),
        ("./a:/b", Place("", "./a:/b")),
        ("/a:/b", Place("", "/a:/b")),
        ("file", Place("", "file")),
        ("a:b", Place("", "a:b")),
        (":/etc/x", Place("", "/etc/x")),
    ],
)
def test_a_place_is_a_guests_or_the_hosts(text, expected):
    assert place(text) == expected


def frozen_answers():
    state = {"frozen": False}

    def change(frozen):
        def work(_):
            state["frozen"] = frozen
            return 2

        return work

    return state, {
        "guest-fsfreeze-freeze": change(True),
        "guest-fsfreeze-thaw": change(False),
        "guest-fsfreeze-status": lambda _: "frozen" if state["frozen"] else "thawed",
    }


def test_a_freeze_says_how_it_ends_and_a_thaw_ends_it(tmp_path, capsys):
    state, answers = frozen_answers()
    with FakeGuest(tmp_path / "f.sock", answering(answers)) as guest:
        address = f"unix:{guest.path}"
        assert run(["freeze", address]) == 0
        assert state["frozen"]
        assert f"2 file systems frozen until 'guestwire thaw {address}'" in capsys.readouterr().out
        assert run(["thaw", address]) == 0
        assert not state["frozen"]


def test_a_freeze_that_froze_nothing_is_a_failure(tmp_path, capsys):
    answers = {"guest-fsfreeze-freeze": 0}
    with FakeGuest(tmp_path / "f.sock", answering(answers)) as guest:
        assert run(["freeze", f"unix:{guest.path}"]) == 1
    assert "no file system was frozen" in capsys.readouterr().err


def test_a_wait_tells_what_it_waits_for_and_why_it_gave_up(gone, capsys):
    assert run(["wait", "--timeout", "1.5", gone]) == 1
    err = capsys.readouterr().err
    assert f"waiting: {gone}: there is no socket" in err
    assert "gave up after 1.5 s" in err


def test_ls_lists_libvirts_domains(monkeypatch, capsys):
    pytest.importorskip("libvirt")
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///default")
    assert run(["ls"]) == 0
    heads, *rows = capsys.readouterr().out.splitlines()
    assert heads.split() == ["NAME", "STATE", "AGENT", "ADDRESS"]
    row = next(one.split() for one in rows if one.startswith("test "))
    assert row[1] == "running" and row[-1] == "libvirt+test:///default/test"
    assert run(["ls", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"guests", "remarks"}
    assert {"name", "state", "why", "address", "uri", "uuid", "pid", "cid", "channels"} == set(
        told["guests"][0]
    )


def test_without_a_guest_it_asks_for_one(capsys):
    assert run(["ping"]) == 2
    assert "'guestwire ls' lists them" in capsys.readouterr().err
    assert run(["ping", "--all", "web1"]) == 2


def test_a_pattern_that_fits_nothing_is_no_success(capsys):
    assert run(["ping", "no-such-guest-at-all-*"]) == 1
    assert "no guest that runs fits" in capsys.readouterr().err


def test_without_click_it_says_what_to_install(tmp_path):
    (tmp_path / "click.py").write_text("raise ImportError(name='click')\n")
    done = process("ls", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 125
    assert done.stderr.startswith(b"guestwire: click is missing: install python3-click")
    assert done.stderr.count(b"\n") == 1
