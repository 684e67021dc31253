"""guest-get-osinfo."""

from __future__ import annotations

import os

from guestwire.commands import osinfo
from guestwire.system.root import Root

FEDORA = """\
NAME="Fedora Linux"
VERSION="40 (Server Edition)"
ID=fedora
VERSION_ID=40
PRETTY_NAME="Fedora Linux 40 (Server Edition)"
VARIANT="Server Edition"
VARIANT_ID=server
HOME_URL="https://fedoraproject.org/"
"""


def test_a_distribution_is_told_with_the_wires_names(context, tmp_path):
    (tmp_path / "etc/os-release").write_text(FEDORA)
    assert osinfo.get_osinfo(context) == {
        "id": "fedora",
        "name": "Fedora Linux",
        "pretty-name": "Fedora Linux 40 (Server Edition)",
        "version": "40 (Server Edition)",
        "version-id": "40",
        "variant": "Server Edition",
        "variant-id": "server",
    }


def test_on_this_machine_the_kernel_is_told(context):
    told = osinfo.get_osinfo(context._replace(root=Root("/")))
    assert told["kernel-release"] == os.uname().release
    assert told["kernel-version"] == os.uname().version
    assert told["machine"] == os.uname().machine


def test_another_file_can_be_named_in_the_environment(context, tmp_path, monkeypatch):
    (tmp_path / "etc/os-release").write_text(FEDORA)
    (tmp_path / "other").write_text("ID=other\n")
    monkeypatch.setenv("QGA_OS_RELEASE", "/other")
    assert osinfo.get_osinfo(context) == {"id": "other"}


def test_without_os_release_there_is_an_answer(context):
    assert osinfo.get_osinfo(context) == {}
