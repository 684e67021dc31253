"""network.apply in real guests: systemd-networkd has one NIC, and ifupdown another.

The guest is this file's own, since its network is turned upside down. eth1 is networkd's, eth2
is ifupdown's, and both hang on a network that QEMU makes: DHCP and router advertisements come
from 10.0.N.2 and fd00:N::2, and nothing leads out.
"""

from __future__ import annotations

import json
import time

import pytest

from vm.channel import Refused
from vm.conftest import AGENT
from vm.guest import Guest

NICS = {"eth1": 11, "eth2": 12}  # and the number of its network
MACS = {name: f"52:54:00:00:00:{number}" for name, number in NICS.items()}


@pytest.fixture(scope="module")
def agent(image, tmp_path_factory):
    """A channel to the agent of a guest with two NICs that nobody has configured."""
    if AGENT != "guestwire":
        pytest.skip("QEMU's own agent cannot configure a network")
    guest = Guest(image, tmp_path_factory.mktemp(f"network-{image.release}-"))
    try:
        guest.start()
        guest.settle()
        for name, number in NICS.items():
            net = {"net": f"10.0.{number}.0/24", "ipv6-prefix": f"fd00:{number}::"}
            guest.qmp.call("netdev_add", {"type": "user", "id": name, "restrict": True, **net})
            nic = {"driver": "virtio-net-pci", "id": name, "netdev": name, "mac": MACS[name]}
            guest.qmp.call("device_add", nic)
        channel = guest.open()
        until(lambda: run(channel, "ls /sys/class/net").split()[:3] == ["eth0", "eth1", "eth2"])
        run(channel, "systemctl start systemd-networkd")
        yield channel
    finally:
        guest.stop()


def interface(agent, name, manager):
    if manager == "ifupdown" and "ifup" not in run(agent, "ls /sbin"):
        pytest.skip("this release has no ifupdown")
    return Nic(agent, name, manager)


@pytest.fixture
def networkd(agent):
    return interface(agent, "eth1", "systemd-networkd")


@pytest.fixture
def ifupdown(agent):
    return interface(agent, "eth2", "ifupdown")


@pytest.fixture(params=["eth1 systemd-networkd", "eth2 ifupdown"])
def nic(agent, request):
    """The NIC of each manager in turn."""
    return interface(agent, *request.param.split())


class Nic:
    """An interface of the guest and the manager that is to have it."""

    def __init__(self, agent, name, manager):
        self.agent = agent
        self.name = name
        self.manager = manager
        self.number = NICS[name]

    def address(self, last):
        return f"10.0.{self.number}.{last}"

    def address6(self, last):
        return f"fd00:{self.number}::{last}"

    def apply(self, **keys):
        config = {"version": 2, "ethernets": {self.name: keys}}
        arguments = {"config": config, "manager": self.manager}
        return self.agent.call("network.apply", arguments, timeout=120)

    def addresses(self):
        """What `ip addr` shows, but for link-local ones and those of router advertisements."""
        (link,) = json.loads(run(self.agent, f"ip -j addr show dev {self.name}"))
        return {
            f"{one['local']}/{one['prefixlen']}": one
            for one in link["addr_info"]
            if one["scope"] != "link" and not one.get("mngtmpaddr")
        }

    def link(self):
        (link,) = json.loads(run(self.agent, f"ip -j link show dev {self.name}"))
        return link

    def routes(self, *what):
        """(destination, gateway) of the routes through this interface."""
        text = run(self.agent, f"ip route show {' '.join(what)} dev {self.name}")
        text += run(self.agent, f"ip -6 route show {' '.join(what)}")
        return text

    def static(self, last=20, **more):
        """A configuration of both families with all that belongs to it."""
        return {
            "addresses": [f"{self.address(last)}/24", f"{self.address6(last)}/64"],
            "gateway4": self.address(2),
            "routes": [{"to": "default", "via": self.address6(2), "metric": 3000}],
            "nameservers": {"addresses": [self.address(3)], "search": ["example.org"]},
            "accept-ra": False,
            **more,
        }


def run(agent, command):
    """What a command of the guest says; it has to succeed."""
    done = agent.run(command)
    assert done.exitcode == 0, done.err
    return done.out


def until(holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.1)


def test_static_addresses_of_both_families_with_routes_and_dns(nic):
    done = nic.apply(**nic.static(mtu=1400))
    assert (done["manager"], done["applied"]) == (nic.manager, True)
    assert set(nic.addresses()) == {f"{nic.address(20)}/24", f"{nic.address6(20)}/64"}
    assert {one["address"] for one in done["addresses"]} >= {nic.address(20), nic.address6(20)}
    assert nic.link()["mtu"] == 1400
    assert f"default via {nic.address(2)}" in nic.routes()
    assert f"default via {nic.address6(2)} dev {nic.name}" in nic.routes()
    assert "nameserver " + nic.address(3) in run(nic.agent, "cat /etc/resolv.conf")


def test_after_another_address_only_that_one_is_there(nic):
    for last in (21, 22):
        nic.apply(**nic.static(last))
    assert set(nic.addresses()) == {f"{nic.address(22)}/24", f"{nic.address6(22)}/64"}
    assert nic.link()["mtu"] == 1500


def test_the_same_again_writes_nothing_and_bounces_nothing(nic):
    nic.apply(**nic.static(23))
    before = run(nic.agent, f"cat /sys/class/net/{nic.name}/carrier_changes")
    assert nic.apply(**nic.static(23))["files"] == []
    assert run(nic.agent, f"cat /sys/class/net/{nic.name}/carrier_changes") == before


def test_what_was_taken_away_by_hand_comes_back(nic):
    nic.apply(**nic.static(24))
    run(nic.agent, f"ip addr del {nic.address(24)}/24 dev {nic.name}")
    assert nic.apply(**nic.static(24))["files"] == []
    assert f"{nic.address(24)}/24" in nic.addresses()
    assert f"default via {nic.address(2)}" in nic.routes()


def test_labels_lifetimes_special_routes_and_rules(nic):
    nic.apply(
        addresses=[
            f"{nic.address(30)}/24",
            {f"{nic.address(31)}/24": {"label": f"{nic.name}:a"}},
            {f"{nic.address6(31)}/64": {"lifetime": 0}},
        ],
        routes=[
            {"to": "198.51.100.0/24", "via": nic.address(2), "from": nic.address(31), "mtu": 1300},
            {"to": "203.0.113.0/24", "type": "blackhole", "table": nic.number},
            {"to": "192.0.2.1", "via": "192.0.2.2", "on-link": True, "metric": 77},
        ],
        **{"routing-policy": [{"from": f"{nic.address(30)}/32", "table": nic.number}]},
    )
    found = nic.addresses()
    assert found[f"{nic.address(31)}/24"]["label"] == f"{nic.name}:a"
    assert found[f"{nic.address6(31)}/64"]["preferred_life_time"] == 0
    routes = nic.routes()
    assert f"198.51.100.0/24 via {nic.address(2)}" in routes
    assert f"src {nic.address(31)}" in routes
    assert "192.0.2.1 via 192.0.2.2" in routes
    table = f"table {nic.number}"
    assert "blackhole 203.0.113.0/24" in run(nic.agent, f"ip route show {table}")
    assert f"from {nic.address(30)} lookup {nic.number}" in run(nic.agent, "ip rule")
    nic.apply(**nic.static())
    assert "blackhole" not in run(nic.agent, f"ip route show {table} || true")
    assert f"lookup {nic.number}" not in run(nic.agent, "ip rule")


def test_a_gateway_out_of_reach_puts_everything_back(nic):
    nic.apply(**nic.static(25, mtu=1400))
    files = run(nic.agent, "cat /etc/network/interfaces* /etc/systemd/network/* || true")
    wrong = nic.static(26, gateway4="10.77.0.1", macaddress="52:54:00:00:00:99", mtu=1300)
    with pytest.raises(Refused, match="the network was put back as it was: "):
        nic.apply(**wrong)
    assert set(nic.addresses()) == {f"{nic.address(25)}/24", f"{nic.address6(25)}/64"}
    assert (nic.link()["mtu"], nic.link()["address"]) == (1400, MACS[nic.name])
    assert f"default via {nic.address(2)}" in nic.routes()
    again = run(nic.agent, "cat /etc/network/interfaces* /etc/systemd/network/* || true")
    assert again == files


def test_a_mac_is_changed_and_changed_back(nic):
    nic.apply(**nic.static(macaddress="52:54:00:00:00:98"))
    assert nic.link()["address"] == "52:54:00:00:00:98"
    by_mac = {"match": {"macaddress": MACS[nic.name]}}
    if "permaddr" in run(nic.agent, f"ip link show dev {nic.name}"):  # Linux 5.6, iproute2 5.7
        nic.apply(**nic.static(28), **by_mac)
        assert nic.link()["address"] == MACS[nic.name]


def test_networkd_takes_an_address_from_dhcp(networkd):
    done = networkd.apply(dhcp4=True, **{"dhcp4-overrides": {"route-metric": 500}})
    assert networkd.address(15) in {one["address"] for one in done["addresses"]}
    assert networkd.addresses()[f"{networkd.address(15)}/24"]["dynamic"] is True


def test_router_advertisements_are_taken_up_when_asked_for(nic):
    nic.apply(addresses=[f"{nic.address(20)}/24"], **{"accept-ra": True})
    until(lambda: "mngtmpaddr" in run(nic.agent, f"ip -6 addr show dev {nic.name}"))


def test_ifupdown_without_a_dhcp_client_says_so_and_keeps_what_it_had(ifupdown):
    if "dhclient" in run(ifupdown.agent, "ls /sbin"):
        pytest.skip("this guest has a client")
    ifupdown.apply(**ifupdown.static(27))
    with pytest.raises(Refused, match="No DHCP client"):
        ifupdown.apply(dhcp4=True)
    assert f"{ifupdown.address(27)}/24" in ifupdown.addresses()


def test_each_manager_is_found_by_what_it_owns(nic):
    nic.apply(**nic.static(29))
    config = {"ethernets": {nic.name: nic.static(29)}}
    assert nic.agent.call("network.apply", {"config": config})["manager"] == nic.manager
    shown = nic.agent.call("network.show")
    (one,) = [one for one in shown["interfaces"] if one["name"] == nic.name]
    assert (one["managed-by"], one["mac"]) == (nic.manager, MACS[nic.name])
    assert one["default-route"] is True
    assert {"to": "0.0.0.0/0", "via": nic.address(2)}.items() <= one["routes"][0].items()
    assert nic.address(3) in shown["dns"]["servers"]


def test_what_the_host_got_wrong_is_told_with_its_path(nic):
    with pytest.raises(Refused, match=rf"^ethernets\.{nic.name}\.routes\[0\]\.via: '10\.0\.0' is"):
        nic.apply(routes=[{"to": "10.0.0.0/8", "via": "10.0.0"}])
