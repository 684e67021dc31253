import json
import os
import subprocess
import sys

import pytest

from guestwire.commands import hostname
from guestwire.errors import CommandError, InvalidArgument
from guestwire.system.run import run

DEBIAN = 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
ROCKY = 'ID="rocky"\nID_LIKE="rhel centos fedora"\n'
ALPINE = "ID=alpine\n"
ARCH = "ID=arch\n"
HOSTS = "127.0.0.1\tlocalhost\n127.0.1.1\told.example.org old # installer\n::1 localhost\n"


@pytest.fixture
def guest(tmp_path, context):
    """Make the empty guest one of a distribution that is called old.example.org."""

    def make(os_release="", hosts=None, name="old"):
        (tmp_path / "etc/os-release").write_text(os_release)
        (tmp_path / "etc/hostname").write_text(name + "\n")
        if hosts is not None:
            (tmp_path / "etc/hosts").write_text(hosts)
        return tmp_path / "etc"

    return make


def test_a_new_name_is_kept_in_etc_hostname(context, tmp_path):
    answer = hostname.set_name(context, "web-1.example.org")
    assert answer["host-name"] == answer["static"] == answer["fqdn"] == "web-1.example.org"
    assert (tmp_path / "etc/hostname").read_text() == "web-1.example.org\n"


def test_the_qemu_command_reads_the_name_each_time(context, tmp_path):
    (tmp_path / "etc/hostname").write_text("# set by hand\n\none\n")
    assert hostname.qga_name(context) == {"host-name": "one"}
    (tmp_path / "etc/hostname").write_text("two\n")
    assert hostname.qga_name(context) == {"host-name": "two"}


REFUSED = {
    "": "empty",
    ".": "a dot too many",
    "a..b": "a dot too many",
    "web.example.org.": "a dot too many",
    "-a": "letters, digits and inner hyphens",
    "a-": "letters, digits and inner hyphens",
    "a b": "letters, digits and inner hyphens",
    "a\n": "letters, digits and inner hyphens",
    "a_b": "letters, digits and inner hyphens",
    "b\u00fccher": "letters, digits and inner hyphens",
    "\u212a": "letters, digits and inner hyphens",
    "\ud800": "letters, digits and inner hyphens",
    "\u0661": "letters, digits and inner hyphens",
    "a" * 64: "longer than 63",
    ".".join(["a" * 63] * 4): "longer than 253",
    "123": "a number would make it an address",
    "10.0.0.1": "a number would make it an address",
    "web.0x7f": "a number would make it an address",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_dns_would_refuse_is_refused_before_anything_changes(context, tmp_path, name):
    with pytest.raises(InvalidArgument, match=REFUSED[name]):
        hostname.set_name(context, name)
    assert os.listdir(tmp_path / "etc") == []


@pytest.mark.parametrize("name", ["a", "1a", "3com.com", "A-B", "xn--bcher-kva.example", "a" * 63])
def test_what_dns_takes_is_taken(context, name):
    assert hostname.set_name(context, name)["static"] == name


def test_debian_has_the_domain_in_etc_hosts_alone(context, guest):
    etc = guest(DEBIAN, HOSTS)
    answer = hostname.set_name(context, "web.example.com")
    assert answer == {"host-name": "web", "static": "web", "fqdn": "web.example.com"}
    assert (etc / "hostname").read_text() == "web\n"
    assert (etc / "hosts").read_text() == HOSTS.replace(
        "old.example.org old", "web.example.com web"
    )


def test_debian_gets_the_line_for_its_name_when_there_is_none(context, guest):
    etc = guest(DEBIAN, "127.0.0.1 localhost\n::1 localhost")
    hostname.set_name(context, "web")
    assert (etc / "hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1\tweb\n::1 localhost\n"


def test_a_guest_without_etc_hosts_gets_one_where_the_name_needs_it(context, guest):
    etc = guest(DEBIAN)
    hostname.set_name(context, "web.example.com")
    assert (etc / "hosts").read_text() == "127.0.1.1\tweb.example.com web\n"


def test_red_hat_has_the_domain_in_the_name(context, guest):
    etc = guest(ROCKY, "127.0.0.1 localhost\n")
    answer = hostname.set_name(context, "web.example.com")
    assert answer["static"] == "web.example.com"
    assert (etc / "hosts").read_text() == "127.0.0.1 localhost\n"


def test_a_name_too_long_for_the_kernel_is_short_there_and_whole_in_etc_hosts(context, guest):
    guest(ROCKY, "127.0.0.1 localhost\n")
    long = "web." + "x" * 60 + ".example.com"
    assert hostname.set_name(context, long) == {"host-name": "web", "static": "web", "fqdn": long}


def test_alpine_keeps_its_domain_in_etc_hosts(context, guest):
    etc = guest(ALPINE, "127.0.0.1\told.lan old localhost.localdomain localhost\n")
    answer = hostname.set_name(context, "web.example.com")
    assert answer == {"host-name": "web", "static": "web", "fqdn": "web.example.com"}
    assert "127.0.0.1\tlocalhost.localdomain localhost\n" in (etc / "hosts").read_text()


def test_a_plain_name_adds_no_line_where_the_distribution_has_none(context, guest):
    etc = guest(ARCH, "127.0.0.1 localhost old\n10.0.0.5 old # the template\n")
    hostname.set_name(context, "web")
    assert (etc / "hosts").read_text() == "127.0.0.1 localhost web\n10.0.0.5 old # the template\n"


@pytest.mark.parametrize("release", [DEBIAN, ROCKY, ALPINE, ""])
@pytest.mark.parametrize("name", ["web", "web.example.com"])
def test_setting_a_name_twice_is_setting_it_once(context, guest, release, name):
    etc = guest(release, HOSTS)
    first = hostname.set_name(context, name)
    files = {file: (etc / file).stat().st_ino for file in ("hosts", "hostname")}
    assert hostname.set_name(context, name) == first
    assert {file: (etc / file).stat().st_ino for file in files} == files


def test_other_files_that_have_the_name_follow_where_they_are(context, guest):
    etc = guest()
    (etc / "sysconfig").mkdir()
    (etc / "sysconfig/network").write_text("NETWORKING=yes\nHOSTNAME=old\n")
    (etc / "HOSTNAME").symlink_to("hostname")
    hostname.set_name(context, "web")
    assert (etc / "sysconfig/network").read_text() == 'NETWORKING=yes\nHOSTNAME="web"\n'
    assert (etc / "HOSTNAME").is_symlink() and (etc / "HOSTNAME").read_text() == "web\n"


def test_a_network_file_without_a_name_is_left_alone(context, guest):
    etc = guest()
    (etc / "sysconfig").mkdir()
    (etc / "sysconfig/network").write_text("# Created by anaconda\n")
    hostname.set_name(context, "web")
    assert (etc / "sysconfig/network").read_text() == "# Created by anaconda\n"


def test_when_a_later_step_fails_the_earlier_ones_are_put_back(context, guest):
    etc = guest(DEBIAN)
    (etc / "hosts").symlink_to("/nowhere/hosts")
    with pytest.raises(OSError, match="nowhere"):
        hostname.set_name(context, "web")
    assert (etc / "hostname").read_text() == "old\n"


def test_a_file_that_did_not_exist_is_gone_again_when_a_later_step_fails(context, tmp_path):
    (tmp_path / "etc/os-release").write_text(DEBIAN)
    (tmp_path / "etc/hosts").symlink_to("/nowhere/hosts")
    with pytest.raises(OSError, match="nowhere"):
        hostname.set_name(context, "web")
    assert sorted(os.listdir(tmp_path / "etc")) == ["hosts", "os-release"]


LIVE = """
import json, os, socket, sys, time
from guestwire.commands import hostname
from guestwire.dispatch.command import Context
from guestwire.dispatch.jobs import Jobs
from guestwire.errors import CommandError
from guestwire.system.root import Root
from guestwire.system.run import run
context = Context(Root(), run, Jobs(), time.monotonic() + 60, {}, lambda: iter(()))
try:
    hostname.set_name(context, sys.argv[1])
except CommandError as error:
    print(error, file=sys.stderr)
print(json.dumps([hostname.qga_name(context), socket.gethostname(), hostname.get(context)]))
"""


def live(tmp_path, name, within=""):
    """Set a name on a live root whose /etc and kernel name are not this machine's."""
    script = f'mount --bind "$1" /etc && exec {within} "$2" -c "$3" "$4"'
    own = ["unshare", "--mount", "--uts", "sh", "-c", script, "sh"]
    if os.geteuid() != 0 or run(["unshare", "--mount", "--uts", "true"]).code != 0:
        pytest.skip("needs root and namespaces")
    argv = [*own, str(tmp_path / "etc"), sys.executable, LIVE, name]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=True)


def test_on_a_live_guest_the_kernel_has_the_name_at_once(guest, tmp_path):
    guest(DEBIAN, HOSTS)
    answers = json.loads(live(tmp_path, "web.example.com").stdout)
    whole = {"host-name": "web", "static": "web", "fqdn": "web.example.com"}
    assert answers == [{"host-name": "web"}, "web", whole]


def test_a_kernel_that_refuses_leaves_the_files_as_they_were(guest, tmp_path):
    etc = guest(DEBIAN, HOSTS)
    # A user namespace of its own below the UTS namespace: root there, but not over this name.
    done = live(tmp_path, "web", "unshare --user --map-root-user")
    assert "cannot set the kernel's host name" in done.stderr
    assert (etc / "hostname").read_text() == "old\n"
    assert (etc / "hosts").read_text() == HOSTS


def test_only_command_errors_come_from_odd_names(context):
    for name in ["\0", "a\0b", "a/b", "../x", "%s", "a" * 10**6, "." * 300, "\U0010ffff"]:
        with pytest.raises(CommandError):
            hostname.set_name(context, name)
