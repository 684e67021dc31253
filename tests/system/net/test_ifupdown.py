"""ifupdown's stanzas say all that was asked for, and are taken up by the real program."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from guestwire.errors import Unsupported
from guestwire.system.net import ifupdown, v2
from guestwire.system.net.model import File, Network

PATH = "/etc/network/interfaces.d/guestwire-eth0"
HEADER = "# Written by guestwire, and replaced at the next network.apply.\n"


def network(name="eth0", **keys):
    """A network of one device which is in this guest."""
    (ethernet,) = v2.read({"ethernets": {name: keys}}).ethernets
    return Network((ethernet._replace(names=(name,)),))


def rendered(**keys):
    """The text of the one file for one device."""
    ((path, file),) = ifupdown.render(network(**keys)).items()
    assert (path, file.mode) == (PATH, 0o644)
    assert file.text.startswith(HEADER)
    return file.text[len(HEADER) :]


EVERYTHING = {
    "dhcp4": True,
    "dhcp6": True,
    "dhcp4-overrides": {"route-metric": 50, "use-dns": True},
    "addresses": [
        "192.0.2.10/24",
        {"192.0.2.11/24": {"label": "eth0:a"}},
        {"2001:db8::1/64": {"lifetime": 0}},
        {"2001:db8::2/64": {"lifetime": "forever"}},
    ],
    "gateway4": "192.0.2.1",
    "routes": [
        {"to": "default", "via": "fe80::1", "on-link": True},
        {
            "to": "198.51.100.0/24",
            "via": "192.0.2.2",
            "from": "192.0.2.10",
            "metric": 7,
            "table": 100,
            "mtu": 1300,
        },
        {"to": "203.0.113.0/24", "type": "blackhole"},
        {"to": "10.0.0.0/8", "scope": "link"},
    ],
    "routing-policy": [
        {"from": "192.0.2.0/24", "to": "10.0.0.0/8", "table": 100, "priority": 7},
        {"to": "2001:db8:1::/48", "mark": 5, "type-of-service": 16},
    ],
    "nameservers": {"addresses": ["192.0.2.53", "::1"], "search": ["a.org", "b.org"]},
    "mtu": 1400,
    "macaddress": "02:00:00:00:00:01",
    "accept-ra": False,
    "link-local": [],
    "optional": True,
}
EVERYTHING_TEXT = """\
allow-hotplug eth0
iface eth0 inet dhcp
    pre-up ip link set dev eth0 address 02:00:00:00:00:01
    pre-up ip link set dev eth0 mtu 1400
    pre-up ip link set dev eth0 addrgenmode none
    post-down ip link set dev eth0 addrgenmode eui64
    pre-up echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_ra
    post-down echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra
    dns-nameservers 192.0.2.53 ::1
    dns-search a.org b.org
    metric 50

iface eth0 inet static
    address 192.0.2.10/24
    up ip address add 192.0.2.11/24 broadcast + dev eth0 label eth0:a
    up ip route replace 0.0.0.0/0 via 192.0.2.1 dev eth0
    up ip route replace 198.51.100.0/24 via 192.0.2.2 dev eth0 src 192.0.2.10 metric 7 table 100 mtu 1300
    up ip route replace blackhole 203.0.113.0/24
    down ip route del blackhole 203.0.113.0/24 || true
    up ip route replace 10.0.0.0/8 dev eth0 scope link
    up ip rule add from 192.0.2.0/24 to 10.0.0.0/8 lookup 100 priority 7
    down ip rule del from 192.0.2.0/24 to 10.0.0.0/8 lookup 100 priority 7 || true

iface eth0 inet6 dhcp
    accept_ra 0
    autoconf 0

iface eth0 inet6 static
    address 2001:db8::2/64
    accept_ra 0
    autoconf 0
    up ip address add 2001:db8::1/64 dev eth0 preferred_lft 0
    up ip -6 route replace ::/0 via fe80::1 dev eth0 onlink
    up ip -6 rule add from all to 2001:db8:1::/48 fwmark 5 tos 16 lookup 254
    down ip -6 rule del from all to 2001:db8:1::/48 fwmark 5 tos 16 lookup 254 || true
"""  # noqa: E501


def test_everything_that_ifupdown_can_do_is_in_its_file():
    assert rendered(**EVERYTHING) == EVERYTHING_TEXT


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "iface eth0 inet manual\n"),
        ({"dhcp4": True}, "iface eth0 inet dhcp\n"),
        ({"dhcp6": True}, "iface eth0 inet6 dhcp\n"),
        ({"accept-ra": True}, "iface eth0 inet6 auto\n"),
        (
            {"addresses": ["2001:db8::1/64"], "accept-ra": True},
            "iface eth0 inet6 static\n    address 2001:db8::1/64\n"
            "    accept_ra 2\n    autoconf 1\n",
        ),
        (
            {"routes": [{"to": "10.0.0.0/8", "scope": "link"}]},
            "iface eth0 inet manual\n    up ip route replace 10.0.0.0/8 dev eth0 scope link\n",
        ),
        (
            {"addresses": [{"192.0.2.1/31": {"lifetime": 0}}]},
            "iface eth0 inet manual\n    up ip address add 192.0.2.1/31 dev eth0 preferred_lft 0\n",
        ),
    ],
)
def test_a_device_has_the_stanzas_it_needs_and_no_more(keys, text):
    assert rendered(**keys) == "auto eth0\n" + text


def test_what_ifupdown_cannot_do_is_refused_by_its_path():
    with pytest.raises(Unsupported) as caught:
        rendered(
            **{
                "wakeonlan": True,
                "link-local": ["ipv4"],
                "addresses": [{"192.0.2.1/24": {"label": "lan"}}],
                "dhcp4-overrides": {"use-dns": False, "use-routes": True},
                "dhcp6-overrides": {"route-metric": 5, "use-ntp": False},
            }
        )
    assert str(caught.value).replace(": ifupdown cannot do this", "").split("; ") == [
        "ethernets.eth0.wakeonlan",
        "ethernets.eth0.link-local",
        "ethernets.eth0.addresses[0].label",
        "ethernets.eth0.dhcp4-overrides.use-dns",
        "ethernets.eth0.dhcp6-overrides.use-ntp",
        "ethernets.eth0.dhcp6-overrides.route-metric",
    ]


def test_a_mac_that_no_interface_here_has_is_refused():
    unbound = v2.read({"ethernets": {"lan": {"match": {"macaddress": "52:54:00:00:00:01"}}}})
    with pytest.raises(Unsupported, match=r"ethernets\.lan\.match: ifupdown cannot do this"):
        ifupdown.render(unbound)


@pytest.mark.skipif(not shutil.which("ifup"), reason="the real ifup is not installed")
def test_the_real_ifup_makes_commands_of_it(tmp_path):
    path = tmp_path / "interfaces"
    path.write_text(rendered(**{**EVERYTHING, "dhcp4": False, "dhcp6": False, "optional": False}))
    state = tmp_path / "state"
    state.mkdir()
    done = subprocess.run(
        ["ifup", "--no-act", "--verbose", "--no-scripts", f"--state-dir={state}"]
        + ["-i", str(path), "-a"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "ip route replace 0.0.0.0/0 via 192.0.2.1 dev eth0" in done.stderr + done.stdout


@pytest.fixture
def interfaces(root, tmp_path):
    """Writes /etc/network/interfaces, or another file there, and reads it."""
    (tmp_path / "etc/network/interfaces.d").mkdir(parents=True)

    def write(text, name="interfaces"):
        (tmp_path / "etc/network" / name).write_text(text)

    return write


def test_a_stanza_of_others_for_the_interface_is_commented_out(root, interfaces):
    interfaces(
        "# the primary one\n"
        "auto lo eth0\n"
        "allow-hotplug eth0\n"
        "iface lo inet loopback\n"
        "\n"
        "iface eth0 inet static\n"
        "    address 10.0.2.15/24\n"
        "    # a remark\n"
        "    gateway \\\n"
        "        10.0.2.2\n"
        "iface eth1 inet dhcp\n"
        "iface eth0:1 inet static\n"
        "    address 10.0.2.16/24\n"
        "source /etc/network/interfaces.d/*\n"
    )
    assert ifupdown.clear(root, network(dhcp4=True)) == {
        "/etc/network/interfaces": File(
            "# the primary one\n"
            "# guestwire: auto lo eth0\n"
            "auto lo\n"
            "# guestwire: allow-hotplug eth0\n"
            "iface lo inet loopback\n"
            "\n"
            "# guestwire: iface eth0 inet static\n"
            "# guestwire:     address 10.0.2.15/24\n"
            "    # a remark\n"
            "# guestwire:     gateway \\\n"
            "# guestwire:         10.0.2.2\n"
            "iface eth1 inet dhcp\n"
            "# guestwire: iface eth0:1 inet static\n"
            "# guestwire:     address 10.0.2.16/24\n"
            "source /etc/network/interfaces.d/*\n",
            mode=None,
        )
    }


def test_files_that_are_sourced_are_cleared_as_well(root, interfaces):
    interfaces("source-directory interfaces.d\n")
    interfaces("auto eth0\niface eth0 inet dhcp\n", "interfaces.d/50-cloud-init")
    interfaces("iface eth0 inet dhcp\n", "interfaces.d/eth0.bak")  # a name it does not take up
    interfaces(HEADER + "auto eth0\niface eth0 inet manual\n", "interfaces.d/guestwire-eth0")
    assert ifupdown.clear(root, network(dhcp4=True)) == {
        "/etc/network/interfaces.d/50-cloud-init": File(
            "# guestwire: auto eth0\n# guestwire: iface eth0 inet dhcp\n", mode=None
        )
    }


@pytest.mark.parametrize(
    "line",
    [
        "source /etc/network/interfaces.d/*",
        "source interfaces.d/*",
        "source-directory /etc/network/interfaces.d",
        "source /etc/other /etc/network/interfaces.d/guestwire-*",
    ],
)
def test_a_main_file_that_sources_ours_is_left_alone(root, interfaces, line):
    interfaces(f"auto lo\niface lo inet loopback\n{line}\n")
    assert ifupdown.clear(root, network(dhcp4=True)) == {}


@pytest.mark.parametrize("line", ["", "source /etc/network/interfaces.d/*.cfg\n"])
def test_a_main_file_that_does_not_source_ours_does_afterwards(root, interfaces, line):
    interfaces(f"auto lo\n{line}")
    assert ifupdown.clear(root, network(dhcp4=True)) == {
        "/etc/network/interfaces": File(
            f"auto lo\n{line}\nsource /etc/network/interfaces.d/guestwire-*\n", mode=None
        )
    }


def test_a_guest_without_a_main_file_gets_one_with_loopback(root):
    assert ifupdown.clear(root, network(dhcp4=True)) == {
        "/etc/network/interfaces": File(
            "auto lo\niface lo inet loopback\n\nsource /etc/network/interfaces.d/guestwire-*\n",
            mode=None,
        )
    }


def test_a_file_that_sources_itself_is_read_once(root, interfaces):
    interfaces("source /etc/network/interfaces\nsource /etc/network/interfaces.d/*\n")
    assert ifupdown.clear(root, network(dhcp4=True)) == {}


def test_the_name_of_a_file_is_one_that_source_directory_takes():
    (path,) = ifupdown.render(network(name="eth0.5", dhcp4=True))
    assert path == "/etc/network/interfaces.d/guestwire-eth0_2e5"
