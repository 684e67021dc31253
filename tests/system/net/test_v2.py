"""The v2 shape is read whole, or refused with the path of everything that is wrong."""

from __future__ import annotations

import pytest

from guestwire.errors import InvalidArgument, Unsupported
from guestwire.system.net import v2
from guestwire.system.net.model import Address, Ethernet, Lease, Match, Route, Rule


def device(**keys):
    """The one ethernet of a configuration, as the model has it."""
    (ethernet,) = v2.read({"version": 2, "ethernets": {"eth0": keys}}).ethernets
    return ethernet


def refusal(config):
    with pytest.raises(InvalidArgument) as caught:
        v2.read(config)
    return str(caught.value)


def test_every_key_of_a_device_finds_its_place_in_the_model():
    assert device(
        **{
            "match": {"macaddress": "52-54-00-AB-cd-01", "name": "en*"},
            "dhcp4": True,
            "dhcp6": "no",
            "dhcp4-overrides": {"use-dns": False, "use-domains": "route", "route-metric": 50},
            "addresses": ["192.0.2.10/24", {"2001:DB8:0::1/64": {"lifetime": 0}}],
            "gateway4": "192.0.2.1",
            "routes": [
                {"to": "default", "via": "2001:db8::ff", "on-link": True},
                {"to": "198.51.100.7", "via": "192.0.2.2", "from": "192.0.2.10", "mtu": 1400},
                {"to": "203.0.113.0/24", "type": "blackhole", "table": 100},
            ],
            "routing-policy": [{"from": "192.0.2.0/24", "table": 100, "priority": 7, "mark": 3}],
            "nameservers": {"addresses": ["192.0.2.53"], "search": ["example.org", "lab"]},
            "mtu": 1400,
            "macaddress": "02:00:00:00:00:01",
            "accept-ra": False,
            "link-local": [],
            "optional": True,
            "wakeonlan": False,
        }
    ) == Ethernet(
        id="eth0",
        match=Match("en*", "52:54:00:ab:cd:01"),
        dhcp4=True,
        lease4=Lease(use_dns=False, use_domains="route", route_metric=50),
        addresses=(
            Address("192.0.2.10", 24, 4),
            Address("2001:db8::1", 64, 6, forever=False),
        ),
        routes=(
            Route("0.0.0.0/0", 4, "192.0.2.1"),
            Route("::/0", 6, "2001:db8::ff", on_link=True),
            Route("198.51.100.7/32", 4, "192.0.2.2", "192.0.2.10", mtu=1400),
            Route("203.0.113.0/24", 4, table=100, type="blackhole"),
        ),
        rules=(Rule(4, 100, "192.0.2.0/24", priority=7, mark=3),),
        dns=("192.0.2.53",),
        search=("example.org", "lab"),
        mtu=1400,
        mac="02:00:00:00:00:01",
        accept_ra=False,
        link_local=(),
        optional=True,
    )


def test_a_device_without_match_is_an_interface_of_that_name():
    assert device(dhcp4=True).match == Match("eth0")


def test_the_configuration_may_come_inside_of_network():
    inner = {"version": 2, "ethernets": {"eth0": {"dhcp4": True}}}
    assert v2.read({"network": inner}) == v2.read(inner)


def test_a_dotted_netmask_is_a_prefix_length():
    assert device(addresses=["192.0.2.1/255.255.255.0"]).addresses == (Address("192.0.2.1", 24, 4),)


WRONG = [
    ({"dhcp4": 1}, "dhcp4: 1 is neither true nor false"),
    ({"dchp4": True}, "dchp4: there is no such key"),
    ({"mtu": 67}, "mtu: 67 is not a number from 68 to 65535"),
    ({"mtu": True}, "mtu: true is not a number from 68 to 65535"),
    ({"mtu": None}, "mtu: null is not a number from 68 to 65535"),
    ({"addresses": "192.0.2.1/24"}, "addresses: '192.0.2.1/24' is not a list"),
    (
        {"addresses": ["192.0.2.1"]},
        "addresses[0]: '192.0.2.1' lacks its prefix length, such as /24",
    ),
    (
        {"addresses": ["192.0.2.1/24", "192.0.2.256/24"]},
        "addresses[1]: '192.0.2.256/24' is not an address with a prefix length",
    ),
    (
        {"addresses": ["fe80::1%eth0/64"]},
        "addresses[0]: 'fe80::1%eth0/64' is not an address with a prefix length",
    ),
    (
        {"addresses": [{"192.0.2.1/24": {"lifetime": 60}}]},
        "addresses[0].192.0.2.1/24.lifetime: 60 is neither 'forever' nor 0",
    ),
    (
        {"addresses": [{"2001:db8::1/64": {"label": "eth0:1"}}]},
        "addresses[0].2001:db8::1/64.label: only an IPv4 address can have one",
    ),
    (
        {"addresses": [{"192.0.2.1/24": {"label": "a;reboot"}}]},
        "addresses[0].192.0.2.1/24.label: 'a;reboot' is not a label"
        " of at most 15 letters, digits and '_.:@-'",
    ),
    ({"addresses": ["192.0.2.1/24", "192.0.2.1/25"]}, "addresses: 192.0.2.1 is there twice"),
    ({"gateway4": "2001:db8::1"}, "gateway4: '2001:db8::1' is not an IPv4 address"),
    (
        {
            "routes": [
                {"to": "10.0.0.0/8", "via": "192.0.2.1"},
                {"to": "10.0.0.0/9", "via": "10.0.0"},
            ]
        },
        "routes[1].via: '10.0.0' is not an address",
    ),
    ({"routes": [{"via": "192.0.2.1"}]}, "routes[0]: needs a 'to'"),
    (
        {"routes": [{"to": "10.0.0.1/8", "via": "192.0.2.1"}]},
        "routes[0].to: '10.0.0.1/8' has bits set past its prefix length; 10.0.0.0/8 has not",
    ),
    (
        {"routes": [{"to": "10.0.0.0/8", "via": "2001:db8::1"}]},
        "routes[0].via: 2001:db8::1 is of another family than 10.0.0.0/8",
    ),
    ({"routes": [{"to": "10.0.0.0/8"}]}, "routes[0]: needs a 'via', or the scope 'link'"),
    (
        {"routes": [{"to": "10.0.0.0/8", "type": "blackhole", "via": "192.0.2.1"}]},
        "routes[0].via: a route of type blackhole has no gateway",
    ),
    (
        {"routes": [{"to": "10.0.0.0/8", "scope": "link", "metric": -1}]},
        "routes[0].metric: -1 is not a number from 0 to 4294967295",
    ),
    (
        {"gateway4": "192.0.2.1", "routes": [{"to": "default", "via": "192.0.2.2"}]},
        "routes: two go to 0.0.0.0/0 in table 254 with metric 0",
    ),
    ({"routing-policy": [{"table": 5}]}, "routing-policy[0]: needs a 'from' or a 'to'"),
    (
        {"routing-policy": [{"from": "10.0.0.0/8", "to": "2001:db8::/32"}]},
        "routing-policy[0]: 'from' and 'to' are of different families",
    ),
    ({"nameservers": {"addresses": ["dns"]}}, "nameservers.addresses[0]: 'dns' is not an address"),
    (
        {"nameservers": {"search": ["a b\nnameserver 203.0.113.1"]}},
        "nameservers.search[0]: 'a b\\nnameserver 203.0.113.1' is not a domain",
    ),
    ({"nameservers": {"addreses": []}}, "nameservers.addreses: there is no such key"),
    ({"match": {}}, "match: needs a name or a macaddress"),
    (
        {"match": {"macaddress": 9857692661}},
        "match.macaddress: 9857692661 is not a MAC address (in YAML it needs quotes)",
    ),
    (
        {"macaddress": "01:00:5e:00:00:01"},
        "macaddress: '01:00:5e:00:00:01' is the MAC address of a group",
    ),
    ({"link-local": ["ipv5"]}, "link-local: [\"ipv5\"] is not a list of 'ipv4' and 'ipv6'"),
    ({"dhcp4-overrides": {"use-dns": 3}}, "dhcp4-overrides.use-dns: 3 is neither true nor false"),
    ([], " [] is not an object"),
]


@pytest.mark.parametrize(("keys", "text"), WRONG, ids=[text for _, text in WRONG])
def test_what_is_wrong_is_told_with_its_path(keys, text):
    joint = ":" if text.startswith(" ") else "."
    told = refusal({"version": 2, "ethernets": {"eth0": keys}})
    assert told == f"ethernets.eth0{joint}{text}"


def test_everything_that_is_wrong_is_told_at_once():
    told = refusal(
        {
            "version": 1,
            "ethernets": {"eth0": {"dhcp4": 3, "set-name": "lan0"}, "e/0": {}},
            "bonds": {},
            "ethernet": {},
        }
    )
    assert told.split("; ") == [
        "version: 1 is not 2, the only version that is read",
        "ethernets.eth0.dhcp4: 3 is neither true nor false",
        "ethernets.e/0: 'e/0' is not the name of an interface",
        "ethernet: there is no such key",
    ]


def test_of_very_many_faults_twenty_are_told_and_the_rest_counted():
    told = refusal({"ethernets": {"eth0": {f"key{n}": 1 for n in range(25)}}})
    assert told.count("there is no such key") == 20
    assert told.endswith("; and 5 more")


@pytest.mark.parametrize("config", [{}, {"version": 2}, {"ethernets": {}}])
def test_a_configuration_of_nothing_is_refused(config):
    assert refusal(config) == "ethernets: there is nothing to configure"


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"ethernets": {"eth0": {"set-name": "lan0"}}}, "ethernets.eth0.set-name"),
        ({"ethernets": {"eth0": {"match": {"driver": "virtio*"}}}}, "ethernets.eth0.match.driver"),
        ({"bonds": {"bond0": {}}}, "bonds"),
        (
            {
                "ethernets": {
                    "eth0": {
                        "routes": [{"to": "10.0.0.0/8", "via": "10.0.0.1", "advertised-mss": 1}]
                    }
                }
            },
            "ethernets.eth0.routes[0].advertised-mss",
        ),
    ],
)
def test_keys_of_netplan_that_come_later_are_unsupported_and_not_unknown(config, path):
    with pytest.raises(Unsupported) as caught:
        v2.read(config)
    assert str(caught.value) == f"{path}: is not supported yet"


def test_a_domain_of_many_parts_is_read_in_no_time():
    assert "is not a domain" in refusal(
        {"ethernets": {"eth0": {"nameservers": {"search": ["a" * 200 + "!"]}}}}
    )
