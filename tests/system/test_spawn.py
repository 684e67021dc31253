"""What must be tried in a process of its own, because it cannot be undone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# An older kernel, by a seccomp filter: pidfd_open (434 everywhere) fails with ENOSYS.
WITHOUT_PIDFD = """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
code = b"".join(struct.pack("HBBI", *one) for one in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 434), (0x06, 0, 0, 0x50000 | 38), (0x06, 0, 0, 0x7FFF0000)))
kept = ctypes.create_string_buffer(code)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(kept)))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, program):
    print("no seccomp"); raise SystemExit
from guestwire.system.spawn import open_pidfd
import os
assert open_pidfd(os.getpid()) is None
"""
RUN = """
import time
from guestwire.errors import DeadlinePassed
from guestwire.system.run import run
start = time.monotonic()
assert run(["cat"], input=b"in").out == b"in"
assert run(["sh", "-c", "sleep 0.1; exit 3"]).code == 3
try:
    run(["sleep", "30"], deadline=time.monotonic() + 0.1)
except DeadlinePassed:
    print("killed")
assert time.monotonic() - start < 10
"""
CLOSED = """
import os
for fd in {closed}:
    os.close(fd)
from guestwire.system.spawn import spawn
child = spawn(["sh", "-c", "echo err >&2"], os.environ, stdin=False, stdout=False)
os.waitpid(child.pid, 0)
assert os.read(child.stderr, 9) == b"err\\n"
from guestwire.system.run import run
done = run(["sh", "-c", "cat; echo err >&2"], input=b"in")
assert (done.out, done.err) == (b"in", b"err\\n"), done
"""
IGNORED = """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
from guestwire.system.run import run
done = run(["echo", "hi"])
assert done.out == b"hi\\n", done
print(done.code)
"""


def python(code):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_programs_run_and_are_killed_on_a_kernel_without_pidfd():
    said = python(WITHOUT_PIDFD + RUN)
    if said == "no seccomp\n":
        pytest.skip("no seccomp here")
    assert said == "killed\n"


@pytest.mark.parametrize("closed", [[0], [1], [0, 1], [1, 2], [0, 1, 2]])
def test_an_agent_without_standard_streams_still_talks_to_its_programs(closed):
    code = CLOSED.format(closed=closed)
    if 2 in closed:
        code = "import os; keep = os.dup(2)\n" + code
    python(code)


def test_an_end_that_the_kernel_kept_to_itself_is_no_success():
    assert python(IGNORED) == "255\n"


def test_neither_subprocess_nor_another_heavy_module_is_imported_to_start_a_program():
    heavy = "{'subprocess', 'selectors', 'inspect', 'dataclasses'}"
    code = "import sys\nfrom guestwire.system.run import run\nrun(['true'])\n"
    assert python(code + f"print(sorted({heavy} & set(sys.modules)))") == "[]\n"
