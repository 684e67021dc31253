"""guest-network-get-interfaces and guest-network-get-route."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from guestwire.commands import interfaces
from guestwire.system.net.links import Address, Counters, Link
from guestwire.system.root import Root

ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t{any:08X}\t{gateway:08X}\t0003\t0\t0\t100\t{any:08X}\t0\t0\t0

"""
IPV6_ROUTE = (
    "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0\n"
    "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
)


def link(name="eth0", index=2, mac="02:00:00:00:00:01", kind="", loopback=False, addresses=()):
    counters = Counters(1, 2, 3, 4, 5, 6, 7, 8)
    return Link(
        name, index, mac, 1, True, True, loopback, "up", 1500, kind, 0, tuple(addresses), counters
    )


def address(text, label="", family=4):
    return Address(text, 24, family, "global", False, False, True, label)


def test_an_interface_with_addresses_has_statistics():
    told = interfaces._entries(
        link(addresses=[address("10.0.0.5", "eth0"), address("fd00::5", family=6)])
    )
    assert told == [
        {
            "name": "eth0",
            "hardware-address": "02:00:00:00:00:01",
            "ip-addresses": [
                {"ip-address": "10.0.0.5", "ip-address-type": "ipv4", "prefix": 24},
                {"ip-address": "fd00::5", "ip-address-type": "ipv6", "prefix": 24},
            ],
            "statistics": {
                "rx-bytes": 3,
                "rx-packets": 1,
                "rx-errs": 5,
                "rx-dropped": 7,
                "tx-bytes": 4,
                "tx-packets": 2,
                "tx-errs": 6,
                "tx-dropped": 8,
            },
        }
    ]


def test_an_interface_without_addresses_has_a_name_and_a_mac_only():
    assert interfaces._entries(link()) == [
        {"name": "eth0", "hardware-address": "02:00:00:00:00:01"}
    ]


def test_an_alias_is_an_entry_of_its_own():
    first, alias = interfaces._entries(
        link(addresses=[address("10.0.0.5", "eth0"), address("10.0.0.6", "eth0:1")])
    )
    assert [a["ip-address"] for a in first["ip-addresses"]] == ["10.0.0.5"]
    assert alias["name"] == "eth0:1"
    assert alias["hardware-address"] == first["hardware-address"]
    assert "statistics" not in alias


@pytest.mark.parametrize(
    ("mac", "told"),
    [
        ("", "00:00:00:00:00:00"),
        ("0a:01:00:01", "0a:01:00:01:00:00"),
        ("80:00:02:08:fe:80" + ":00" * 14, "80:00:02:08:fe:80"),
    ],
)
def test_a_hardware_address_always_has_six_bytes(mac, told):
    assert interfaces._entries(link(mac=mac))[0]["hardware-address"] == told


def test_below_a_directory_there_are_no_interfaces(context):
    assert interfaces.get_interfaces(context) == []


def test_on_this_machine_devices_come_before_what_the_kernel_made_up(context):
    told = [entry["name"] for entry in interfaces.get_interfaces(context._replace(root=Root("/")))]
    names = [name for _, name in socket.if_nameindex()]
    assert sorted(name for name in told if ":" not in name) == sorted(names)
    if "lo" in names and "eth0" in names:
        assert told.index("eth0") < told.index("lo")


def test_routes_of_both_families_are_told(context, tmp_path):
    network = tmp_path / "proc/net"
    network.mkdir(parents=True)
    gateway = int.from_bytes(bytes([10, 0, 0, 254]), sys.byteorder)
    (network / "route").write_text(ROUTE.format(any=0, gateway=gateway))
    (network / "ipv6_route").write_text(IPV6_ROUTE)
    assert interfaces.get_routes(context) == [
        {
            "iface": "eth0",
            "destination": "0.0.0.0",
            "gateway": "10.0.0.254",
            "mask": "0.0.0.0",
            "metric": 100,
            "flags": 3,
            "refcnt": 0,
            "use": 0,
            "mtu": 0,
            "window": 0,
            "irtt": 0,
            "version": 4,
        },
        {
            "iface": "eth0",
            "destination": "fe80::",
            "desprefixlen": "64",
            "source": "::",
            "srcprefixlen": "0",
            "nexthop": "::",
            "metric": 256,
            "flags": 1,
            "refcnt": 2,
            "use": 0,
            "version": 6,
        },
        {
            "iface": "lo",
            "destination": "::",
            "desprefixlen": "0",
            "source": "::",
            "srcprefixlen": "0",
            "nexthop": "::",
            "metric": 0xFFFFFFFF,
            "flags": 0x200200,
            "refcnt": 1,
            "use": 0,
            "version": 6,
        },
    ]


def test_without_ipv6_the_routes_of_ipv4_are_still_told(context, tmp_path):
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/route").write_text(ROUTE.format(any=0, gateway=0))
    assert [route["version"] for route in interfaces.get_routes(context)] == [4]


SCRIPT = """
import json, subprocess, time
from guestwire.commands import interfaces
from guestwire.dispatch.command import Context
from guestwire.dispatch.jobs import Jobs
from guestwire.system.root import Root
from guestwire.system.run import run
for line in '''link set lo up
link add br0 type bridge
link set br0 up
addr add 10.1.0.1/24 dev br0
addr add 10.1.0.2/24 dev br0 label br0:1
addr add 10.9.0.1 peer 10.9.0.2/32 dev br0
link add br1 type bridge
link set br1 address 02:00:00:00:00:07'''.splitlines():
    subprocess.run(["ip", *line.split()], check=True)
context = Context(Root("/"), run, Jobs(), time.monotonic() + 60, {}, lambda: iter(()))
print(json.dumps(interfaces.get_interfaces(context)))
"""


def can_make_a_network():
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    probe = "ip link add br0 type bridge"
    return subprocess.run(["unshare", "-n", "sh", "-c", probe], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_make_a_network(), reason="cannot make a network namespace")
def test_in_a_network_of_its_own_everything_is_told_as_it_was_set_up():
    agent = str(Path(interfaces.__file__).parents[2])
    ended = subprocess.run(
        ["unshare", "-n", sys.executable, "-c", SCRIPT],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": agent},
    )
    told = {entry["name"]: entry for entry in json.loads(ended.stdout)}
    ipv4 = [
        (a["ip-address"], a["prefix"])
        for a in told["br0"]["ip-addresses"]
        if a["ip-address-type"] == "ipv4"
    ]
    assert ipv4 == [("10.1.0.1", 24), ("10.9.0.1", 32)]
    assert told["br0:1"]["ip-addresses"][0]["ip-address"] == "10.1.0.2"
    assert told["br1"] == {"name": "br1", "hardware-address": "02:00:00:00:00:07"}
    assert {"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8} in told["lo"][
        "ip-addresses"
    ]
