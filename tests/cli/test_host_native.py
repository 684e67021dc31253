"""guestwire over its own protocol: programs that are talked with, terminals, copies that go on."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

import agents


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    with agents.Agent(tmp_path_factory.mktemp("agent"), agents.native, ("--root", "/")) as running:
        yield running


@pytest.fixture
def web(agent):
    return f"native+unix:{agent.socket}"


def command(*arguments):
    return [sys.executable, "-c", "import sys; from guestwire.cli.host import main; "
            "sys.exit(main())", *arguments]  # fmt: skip


def process(*arguments, **options):
    return subprocess.run(command(*arguments), capture_output=True, timeout=60, **options)


def begin(*arguments, **options):
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def gone(pid, seconds=10):
    give_up = time.monotonic() + seconds
    while os.path.exists(f"/proc/{pid}"):
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_50_megabytes_pass_through_a_program_that_ends_with_7(web, tmp_path):
    data = os.urandom(50 << 20)
    (tmp_path / "in").write_bytes(data)
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as target:
        argv = command("exec", web, "--", "sh", "-c", "cat; exit 7")
        assert subprocess.run(argv, stdin=source, stdout=target, timeout=120).returncode == 7
    assert (tmp_path / "out").read_bytes() == data


def test_output_comes_while_the_program_runs(web):
    running = begin("exec", "-n", web, "sh", "-c", "echo first; sleep 60")
    assert running.stdout.readline() == b"first\n"
    running.terminate()
    assert running.wait(10) == 128 + signal.SIGTERM
    running.communicate()


@pytest.mark.parametrize(
    ("program", "code"),
    [(["sh", "-c", "kill -9 $$"], 137), (["/no/such"], 127), (["/etc/passwd"], 126),
     (["sh", "-c", "exit 125"], 125)],
)  # fmt: skip
def test_exec_has_a_code_for_each_end(web, program, code):
    assert process("exec", web, *program).returncode == code


def test_exec_that_takes_too_long_ends_with_124_and_the_program_ends_too(web):
    done = process("exec", "--timeout", "0.3", web, "sh", "-c", "echo $$; exec sleep 60")
    assert done.returncode == 124
    gone(int(done.stdout))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_reaches_the_programs_whole_group(web, number):
    running = begin("exec", "-n", web, "sh", "-c", "echo $$; sleep 60 | sleep 60")
    pid = int(running.stdout.readline())
    running.send_signal(number)
    assert running.wait(10) == 128 + number
    gone(pid)
    running.communicate()


def test_a_third_interrupt_leaves_a_program_that_minds_none(web):
    running = begin(
        "exec", "-n", web, "sh", "-c", "trap '' INT; echo $$; while :; do sleep 1; done"
    )
    pid = int(running.stdout.readline())
    for _ in range(3):
        time.sleep(0.1)
        running.send_signal(signal.SIGINT)
    assert running.wait(10) == 130
    gone(pid)
    running.communicate()


def test_a_client_that_is_killed_takes_the_program_along(web):
    running = begin("exec", "-n", web, "sh", "-c", "echo $$; exec sleep 60")
    pid = int(running.stdout.readline())
    running.kill()
    running.communicate()
    gone(pid)
    assert process("exec", web, "true").returncode == 0


def test_a_reader_that_has_enough_ends_it(web):
    running = begin("exec", "-n", web, "cat", "/dev/zero")
    running.stdout.read(1000)
    running.stdout.close()
    assert running.wait(10) != 0
    running.stderr.close()


def test_exec_on_many_and_with_json_works_too(web):
    done = process("exec", "-g", web, "-g", web + "x", "--", "echo", "hi")
    assert done.returncode == 125
    assert done.stdout == f"{web} | hi\n".encode()
    assert b'"out": "x"' in process("exec", "--json", "-i", web, "cat", input=b"x").stdout


def test_verbose_says_which_way_it_goes(tmp_path):
    with agents.Agent(tmp_path) as agent:
        done = process("-v", "exec", f"unix:{agent.socket}", "true")
        assert done.returncode == 0
        assert (
            done.stderr
            == f"guestwire: unix:{agent.socket}: reached by unix:{agent.socket}\n".encode()
        )


# Copies


def test_a_file_is_copied_in_and_out(web, tmp_path):
    data = os.urandom(5 << 20)
    (tmp_path / "in").write_bytes(data)
    assert process("cp", str(tmp_path / "in"), f"{web}:{tmp_path}/inside").returncode == 0
    assert process("cp", f"{web}:{tmp_path}/inside", str(tmp_path / "out")).returncode == 0
    assert (tmp_path / "out").read_bytes() == data
    assert sorted(os.listdir(tmp_path)) == ["in", "inside", "out"]


def part_of(path):
    return path.with_name(f".{path.name}.guestwire-part")


@pytest.mark.parametrize("inward", [True, False])
def test_a_copy_that_is_killed_half_way_goes_on(web, tmp_path, inward):
    size = 300 << 20
    source, target = tmp_path / "source", tmp_path / "target"
    with open(source, "wb") as file:
        for _ in range(30):
            file.write(os.urandom(1 << 20) * 10)
    places = (str(source), f"{web}:{target}") if inward else (f"{web}:{source}", str(target))
    running = begin("cp", "--resume", *places)
    give_up = time.monotonic() + 30
    while not part_of(target).exists() or part_of(target).stat().st_size < size // 10:
        assert running.poll() is None and time.monotonic() < give_up
        time.sleep(0.005)
    running.kill()
    running.communicate()
    held = part_of(target).stat().st_size
    assert size // 10 <= held < size
    while process("cp", "--resume", *places).returncode:  # until the guest has noticed
        assert time.monotonic() < give_up
    assert subprocess.run(["cmp", source, target]).returncode == 0
    assert sorted(os.listdir(tmp_path)) == ["source", "target"]


# Terminals


class Terminal:
    """guestwire on a terminal of its own, with a person at it."""

    def __init__(self, *arguments, rows=30, columns=90):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ["TERM"] = "xterm"
            time.sleep(0.1)
            os.execv(sys.executable, command(*arguments))
        self.resize(rows, columns)
        self.text = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data):
        os.write(self.fd, data)

    def until(self, pattern, seconds=20):
        give_up = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            assert select.select([self.fd], [], [], give_up - time.monotonic())[0], self.text
            self._read()
        self.text = self.text[found.end() :]
        return found

    def _read(self):
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        assert data, f"it has ended: {self.text}"
        self.text += data

    def end(self):
        """Its exit code."""
        give_up = time.monotonic() + 20
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            assert time.monotonic() < give_up, self.text
            if select.select([self.fd], [], [], 0.02)[0]:
                try:
                    self.text += os.read(self.fd, 65536)
                except OSError:
                    pass
        return os.waitstatus_to_exitcode(status)

    def close(self):
        os.close(self.fd)


SH = ("sh", "-c", "echo ready; exec sh")


@pytest.fixture
def terminal(web):
    made = []

    def make(*program):
        made.append(Terminal("shell", web, *program))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_shell_knows_the_size_of_our_terminal_and_its_changes(terminal):
    shell = terminal(*SH)
    shell.until(rb"ready")
    shell.type(b"stty size\n")
    shell.until(rb"30 90")
    shell.resize(40, 100)
    time.sleep(0.2)
    shell.type(b"stty size\n")
    shell.until(rb"40 100")
    shell.type(b"exit 5\n")
    assert shell.end() == 5


def test_ctrl_c_goes_to_the_guest(terminal):
    shell = terminal(*SH)
    shell.until(rb"ready")
    shell.type(b"sleep 77\n")
    time.sleep(0.3)
    shell.type(b"\x03")
    shell.type(b"echo still $((40 + 2))\n")
    shell.until(rb"still 42")
    shell.type(b"\x04")
    shell.end()


def test_a_login_shell_is_what_comes_by_itself(terminal):
    shell = terminal()
    shell.until(rb"[#$] ")
    shell.type(b"echo $TERM-$((40 + 2)) $HOME; exit 3\n")
    shell.until(rb"xterm-42 /root")
    assert shell.end() == 3


def test_three_times_ctrl_right_bracket_leave_whatever_runs(terminal):
    shell = terminal("sh", "-c", "trap '' HUP INT; stty raw -echo; echo pid $$; sleep 60")
    pid = int(shell.until(rb"pid (\d+)")[1])
    shell.type(b"\x1d\x1d\x1d")
    assert shell.end() == 129
    gone(pid)


WAYS_OUT = {
    "exit": lambda shell: shell.type(b"exit\n"),
    "leave": lambda shell: shell.type(b"\x1d\x1d\x1d"),
    "TERM": lambda shell: os.kill(shell.pid, signal.SIGTERM),
    "HUP": lambda shell: os.kill(shell.pid, signal.SIGHUP),
    "INT": lambda shell: os.kill(shell.pid, signal.SIGINT),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_the_terminal_is_as_before_on_every_way_out(web, way):
    """A shell around ours keeps the terminal, so that it can be looked at afterwards."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    running = subprocess.Popen(
        command("shell", web, *SH), stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    shell = Terminal.__new__(Terminal)
    shell.fd, shell.text, shell.pid = master, b"", running.pid
    shell.until(rb"ready")
    assert termios.tcgetattr(slave) != before
    WAYS_OUT[way](shell)
    running.wait(20)
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_a_terminal_whose_agent_dies_is_given_back(tmp_path):
    with agents.Agent(tmp_path, agents.native) as agent:
        shell = Terminal("shell", f"native+unix:{agent.socket}", *SH)
        shell.until(rb"ready")
        agent.kill()
        assert shell.end() == 125
        shell.close()


def test_a_shell_without_a_terminal_is_refused(web):
    assert b"needs a terminal" in process("shell", web).stderr


def test_a_shell_over_qga_says_what_is_missing(tmp_path):
    with agents.Agent(tmp_path) as agent:
        shell = Terminal("shell", f"unix:{agent.socket}")
        shell.until(rb"org\.guestwire\.agent\.0")
        assert shell.end() == 125
        shell.close()


def test_output_on_a_terminal_is_filtered_as_it_comes(web):
    shell = Terminal("exec", web, "printf", r"\033]0;x\007\303\244-end")
    shell.until(rb"\\x1b\]0;x\\x07\xc3\xa4-end")
    shell.end()
    shell.close()
