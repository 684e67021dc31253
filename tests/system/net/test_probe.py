"""A network has come up when nothing of it is missing in the kernel."""

from __future__ import annotations

import time

import pytest

from guestwire.errors import CommandError
from guestwire.system.net import link_state, probe, v2
from guestwire.system.net.links import Address, Link
from guestwire.system.net.model import File, Network
from guestwire.system.net.routes import Route

MAC = "52:54:00:00:00:01"


def address(text, *, dynamic=False, usable=True):
    local, _, prefix = text.partition("/")
    family = 6 if ":" in local else 4
    return Address(local, int(prefix), family, "global", dynamic, False, usable, "")


def link(*addresses, up=True, carrier=True, mac=MAC, mtu=1500):
    return Link(
        name="eth0",
        index=2,
        mac=mac,
        flags=0,
        up=up,
        carrier=carrier,
        loopback=False,
        state="up",
        mtu=mtu,
        kind="",
        master=0,
        addresses=addresses,
        statistics=None,
        permanent_mac=MAC,
    )


def route(to, via, index=2, table=254):
    family = 6 if ":" in to else 4
    return Route(family, to, via, index, 0, table, "unicast", "global", "static", "")


def network(**keys):
    (ethernet,) = v2.read({"ethernets": {"eth0": keys}}).ethernets
    return Network((ethernet._replace(names=("eth0",)),))


def lacking(wanted, links, routes=()):
    return list(probe.lacking(wanted, list(links), list(routes)))


STATIC = network(addresses=["192.0.2.1/24"], gateway4="192.0.2.254")


def test_nothing_is_missing_when_all_is_there():
    ways = [route("0.0.0.0/0", "192.0.2.254")]
    assert lacking(STATIC, [link(address("192.0.2.1/24"))], ways) == []


@pytest.mark.parametrize(
    ("links", "routes", "text"),
    [
        ([], [], "eth0 is gone"),
        ([link(up=False, carrier=False)], [], "eth0 is down"),
        ([link(carrier=False)], [], "eth0 is without carrier"),
        (
            [link(address("192.0.2.1/25"))],
            [route("0.0.0.0/0", "192.0.2.254")],
            "eth0 has no 192.0.2.1/24",
        ),
        (
            [link(address("192.0.2.1/24"))],
            [
                route("0.0.0.0/0", "192.0.2.254", index=3),
                route("0.0.0.0/0", "192.0.2.253"),
                route("0.0.0.0/0", "192.0.2.254", table=5),
            ],
            "eth0 has no default route via 192.0.2.254",
        ),
    ],
)
def test_what_is_missing_is_named(links, routes, text):
    assert lacking(STATIC, links, routes) == [text]


def test_an_address_that_another_host_may_have_is_not_there_yet():
    wanted = network(addresses=["2001:db8::1/64"])
    (text,) = lacking(wanted, [link(address("2001:db8::1/64", usable=False))])
    assert text == "eth0 may not use 2001:db8::1/64 yet: others may have it"
    passing = network(addresses=[{"2001:db8::1/64": {"lifetime": 0}}])
    assert lacking(passing, [link(address("2001:db8::1/64", usable=False))]) == []


@pytest.mark.parametrize(
    ("keys", "addresses", "missing"),
    [
        ({"dhcp4": True}, ["192.0.2.9/24"], []),
        ({"dhcp4": True}, ["2001:db8::9/64"], ["eth0 has no address from DHCP"]),
        ({"dhcp4": True, "dhcp6": True}, ["192.0.2.9/24"], []),
        ({"dhcp6": True}, [], ["eth0 has no address from DHCPv6"]),
    ],
)
def test_dhcp_has_to_have_answered(keys, addresses, missing):
    there = link(*(address(one, dynamic=True) for one in addresses))
    assert lacking(network(**keys), [there]) == missing


def test_a_device_that_is_optional_may_lack_everything():
    assert lacking(network(dhcp4=True, optional=True), []) == []


def commands(wanted, text, there):
    return list(link_state.forgotten(wanted, {"/a": File(text), "/b": None}, [there]))


@pytest.mark.parametrize(
    "text",
    [
        "[Link]\nMACAddress=02:00:00:00:00:01\nMTUBytes=1400\n",
        "pre-up ip link set dev eth0 address 02:00:00:00:00:01\n"
        "pre-up ip link set dev eth0 mtu 1400\n",
    ],
)
def test_what_an_old_file_of_ours_set_is_undone_when_nobody_asks_for_it(text):
    there = link(mac="02:00:00:00:00:01", mtu=1400)
    undone = ["ip", "link", "set", "dev", "eth0", "address", MAC, "mtu", "1500"]
    assert commands(STATIC, text, there) == [undone]
    still = network(macaddress="02:00:00:00:00:01", mtu=1400)
    assert commands(still, text, there) == []


def test_what_others_set_is_left_alone():
    assert commands(STATIC, "", link(mac="02:00:00:00:00:01", mtu=1400)) == []


def test_a_link_is_made_what_it_was():
    old = link(up=False)
    new = link(mac="02:00:00:00:00:01", mtu=1400)
    assert list(link_state.back([old], [new])) == [
        ["ip", "link", "set", "dev", "eth0", "address", MAC, "mtu", "1500", "down"]
    ]
    assert list(link_state.back([old], [old])) == []


class Slow:
    """A manager that never settles."""

    def unsettled(self, root, name, ethernet):
        return f"{name} is configuring"


def test_at_the_deadline_what_is_still_missing_is_told(root):
    with pytest.raises(CommandError, match=r"^eth0 is configuring; eth0 is gone$"):
        probe.wait(root, Slow(), STATIC, time.monotonic() + 0.3)


RULE = "[RoutingPolicyRule]\nFrom=192.0.2.0/24\nTable=100\nPriority=7\n"
RULE6 = "[RoutingPolicyRule]\nTo=2001:db8::/32\nTable=254\nFirewallMark=5\nTypeOfService=16\n"


def deleted(old, new):
    return [" ".join(argv) for argv in link_state.forgotten_rules(old, new)]


def test_rules_of_an_old_file_are_deleted_unless_the_new_one_has_them_too():
    old = {"/a": File(f"[Match]\nName=eth0\n\n{RULE}\n{RULE6}\n[DHCPv4]\nUseDNS=no\n")}
    six = "ip -6 rule del to 2001:db8::/32 fwmark 5 tos 16 lookup 254"
    four = "ip -4 rule del from 192.0.2.0/24 lookup 100 priority 7"
    assert deleted(old, {"/a": File(RULE)}) == [six]
    assert deleted(old, {"/a": None}) == [four, six]
    assert deleted(old, old) == []
    assert deleted({"/a": File(RULE), "/b": File("# a remark\n")}, {}) == [four]


def test_what_has_not_come_back_is_told():
    ways = [route("0.0.0.0/0", "192.0.2.254")]
    old = probe.State([link(address("192.0.2.1/24"), address("192.0.2.9/24", dynamic=True))], ways)
    assert list(probe.gone(old, old)) == []
    assert list(probe.gone(old, probe.State([link()], []))) == [
        "eth0 has no 192.0.2.1/24",
        "there is no route to 0.0.0.0/0 via 192.0.2.254",
    ]
