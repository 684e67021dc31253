"""Our agent installed under the name of qemu-ga, and calls of it and of the real one."""

from __future__ import annotations

import subprocess
import sys

from agents import QEMU_GA

# What systemd does before it starts a program with a socket: sd_listen_fds(3).
SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
SCRIPT = "#!{}\nimport sys\nfrom guestwire.cli.agent import main\nsys.exit(main())\n"


def install(directory):
    """Put a program named qemu-ga there, as an administrator would."""
    program = directory / "qemu-ga"
    program.write_text(SCRIPT.format(sys.executable))
    program.chmod(0o755)
    return str(program)


def call(program, *arguments, env=None, timeout=30, **options):
    """The exit code, standard output and standard error of ours."""
    return _call([program, *arguments], env, timeout, options)


def call_theirs(program, *arguments, env=None, timeout=30, **options):
    """The same of the real one, which is told that it has our program's name."""
    return _call([program, *arguments], env, timeout, {"executable": QEMU_GA, **options})


def with_socket(listener, *command):
    """The command line that starts the command as systemd would; pass the socket's number on."""
    return [sys.executable, "-c", SYSTEMD, str(listener.fileno()), *command]


def _call(argv, env, timeout, options):
    # no file of this machine's, unless the test names one
    environment = {"QGA_CONF": "/nonexistent/qemu-ga.conf", **(env or {})}
    done = subprocess.run(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
        **options,
    )
    return done.returncode, done.stdout, done.stderr
