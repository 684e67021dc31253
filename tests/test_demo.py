"""`make demo` shows what a newcomer is promised: requests, answers, and what changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_demo_shows_requests_answers_and_what_changed():
    demo = Path(__file__).with_name("demo.py")
    done = subprocess.run([sys.executable, str(demo)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for shown in ("host-name", "is not a host name", "fingerprint", "systemd-networkd",
                  "+web-1", "+Address=192.0.2.10/24", "+ssh-ed25519", "exited with 0"):  # fmt: skip
        assert shown in done.stdout
