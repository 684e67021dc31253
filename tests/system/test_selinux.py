import os
import subprocess
import sys

import pytest

from guestwire.system import selinux
from guestwire.system.run import run

LIVE = """
from guestwire.system import selinux
from guestwire.system.root import Root
from guestwire.system.run import Completed

def run(argv, **rest):
    print(*argv)
    return Completed(argv, 0, b"", b"")

selinux.relabel(Root(), run, ["/home/ann/.ssh", "/etc/hostname"], 0)
"""


def live(script):
    """Run LIVE where /sys/fs is not this machine's."""
    own = ["unshare", "--mount", "sh", "-c", f'{script} && exec "$0" -c "$1"']
    if os.geteuid() != 0 or run(["unshare", "--mount", "true"]).code != 0:
        pytest.skip("needs root and namespaces")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [*own, sys.executable, LIVE]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout


def test_where_selinux_is_on_restorecon_labels_what_is_new():
    there = "mount -t tmpfs none /sys/fs && mkdir /sys/fs/selinux && touch /sys/fs/selinux/enforce"
    assert live(there) == "restorecon -F /home/ann/.ssh /etc/hostname\n"


def test_where_selinux_is_off_nothing_is_run():
    assert live("mount -t tmpfs none /sys/fs") == ""


def test_an_image_is_left_to_its_first_boot(root, tmp_path):
    (tmp_path / "sys/fs/selinux").mkdir(parents=True)
    (tmp_path / "sys/fs/selinux/enforce").write_text("1")

    def none(argv, **rest):
        raise AssertionError(argv)

    selinux.relabel(root, none, ["/etc/hostname"], 0)
