"""systemd-networkd's files are what systemd.network(5) says, and nothing is left out unsaid."""

from __future__ import annotations

import pytest

from guestwire.errors import Unsupported
from guestwire.system.net import systemd_networkd, v2

PATH = "/etc/systemd/network/05-guestwire-eth0.network"
HEADER = "# Written by guestwire, and replaced at the next network.apply.\n"


def rendered(**keys):
    """The text of the one file for one device."""
    network = v2.read({"ethernets": {"eth0": keys}})
    ((path, file),) = systemd_networkd.render(network).items()
    assert (path, file.mode) == (PATH, 0o644)
    assert file.text.startswith(HEADER)
    return file.text[len(HEADER) :]


def test_dhcp_is_three_lines():
    assert rendered(dhcp4=True) == "[Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\n"


@pytest.mark.parametrize(
    ("dhcp4", "dhcp6", "word"),
    [(True, True, "yes"), (True, False, "ipv4"), (False, True, "ipv6"), (False, False, "no")],
)
def test_each_family_has_dhcp_of_its_own(dhcp4, dhcp6, word):
    assert f"\nDHCP={word}\n" in rendered(dhcp4=dhcp4, dhcp6=dhcp6)


def test_everything_that_networkd_can_do_is_in_its_file():
    assert (
        rendered(
            **{
                "match": {"macaddress": "52:54:00:00:00:01", "name": "en*"},
                "dhcp4": True,
                "dhcp6": True,
                "dhcp4-overrides": {
                    "hostname": "web",
                    "route-metric": 0,
                    "send-hostname": True,
                    "use-dns": False,
                    "use-domains": "route",
                    "use-hostname": False,
                    "use-mtu": False,
                    "use-ntp": False,
                    "use-routes": False,
                },
                "dhcp6-overrides": {"use-dns": False, "use-ntp": False},
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
                "accept-ra": True,
                "link-local": [],
                "optional": True,
            }
        )
        == """\
[Match]
PermanentMACAddress=52:54:00:00:00:01
Type=ether
Name=en*

[Link]
MACAddress=02:00:00:00:00:01
MTUBytes=1400
RequiredForOnline=no

[Network]
DHCP=yes
LinkLocalAddressing=no
IPv6AcceptRA=yes
DNS=192.0.2.53
DNS=::1
Domains=a.org b.org
Address=192.0.2.10/24

[Address]
Address=192.0.2.11/24
Label=eth0:a

[Address]
Address=2001:db8::1/64
PreferredLifetime=0

[Address]
Address=2001:db8::2/64
PreferredLifetime=forever

[Route]
Destination=0.0.0.0/0
Gateway=192.0.2.1

[Route]
Destination=::/0
Gateway=fe80::1
GatewayOnLink=yes

[Route]
Destination=198.51.100.0/24
Gateway=192.0.2.2
PreferredSource=192.0.2.10
Metric=7
Table=100
MTUBytes=1300

[Route]
Destination=203.0.113.0/24
Type=blackhole

[Route]
Destination=10.0.0.0/8
Scope=link

[RoutingPolicyRule]
From=192.0.2.0/24
To=10.0.0.0/8
Table=100
Priority=7

[RoutingPolicyRule]
To=2001:db8:1::/48
Table=254
FirewallMark=5
TypeOfService=16

[DHCPv4]
Hostname=web
RouteMetric=0
SendHostname=yes
UseDNS=no
UseDomains=route
UseHostname=no
UseMTU=no
UseNTP=no
UseRoutes=no

[DHCPv6]
UseDNS=no
UseNTP=no

[IPv6AcceptRA]
UseDNS=no
"""
    )


@pytest.mark.parametrize(
    ("families", "word"), [([], "no"), (["ipv4"], "ipv4"), (["ipv6", "ipv4"], "yes")]
)
def test_link_local_addresses_are_of_the_families_asked_for(families, word):
    assert f"\nLinkLocalAddressing={word}\n" in rendered(**{"link-local": families})


def test_what_networkd_cannot_do_is_refused_by_its_path():
    with pytest.raises(Unsupported) as caught:
        rendered(**{"wakeonlan": True, "dhcp6-overrides": {"use-routes": False, "hostname": "a"}})
    assert str(caught.value) == (
        "ethernets.eth0.wakeonlan: systemd-networkd cannot do this; "
        "ethernets.eth0.dhcp6-overrides.hostname: systemd-networkd cannot do this; "
        "ethernets.eth0.dhcp6-overrides.use-routes: systemd-networkd cannot do this"
    )


@pytest.fixture
def link(root, tmp_path):
    """eth0 with index 2, whose state file says what the test writes."""
    (tmp_path / "sys/class/net/eth0").mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0/ifindex").write_text("2\n")
    (tmp_path / "run/systemd/netif/links").mkdir(parents=True)
    (tmp_path / "run/systemd/units").mkdir(parents=True)
    (tmp_path / "run/systemd/units/invocation:systemd-networkd.service").symlink_to("0" * 32)
    return tmp_path / "run/systemd/netif/links/2"


@pytest.mark.parametrize(
    ("state", "owned"), [("configured", True), ("configuring", True), ("unmanaged", False)]
)
def test_it_owns_a_link_that_it_configures(root, link, state, owned):
    link.write_text(f"ADMIN_STATE={state}\nOPER_STATE=routable\n")
    assert systemd_networkd.owns(root, "eth0") is owned


def test_a_state_file_that_a_stopped_networkd_left_says_nothing(root, link, tmp_path):
    link.write_text("ADMIN_STATE=configured\n")
    (tmp_path / "run/systemd/units/invocation:systemd-networkd.service").unlink()
    assert not systemd_networkd.owns(root, "eth0")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (f"ADMIN_STATE=configured\nNETWORK_FILE={PATH}\n", ""),
        (
            f"ADMIN_STATE=configuring\nNETWORK_FILE={PATH}\n",
            "eth0 is configuring to systemd-networkd",
        ),
        (
            "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/00-all.network\n",
            "eth0 takes its configuration from /etc/systemd/network/00-all.network,"
            " which comes first",
        ),
    ],
)
def test_a_link_is_settled_when_networkd_has_finished_with_our_file(root, link, state, reason):
    link.write_text(state)
    (ethernet,) = v2.read({"ethernets": {"eth0": {"dhcp4": True}}}).ethernets
    assert systemd_networkd.unsettled(root, "eth0", ethernet) == reason
