"""The manager that has the interface is found; one that is only installed is not."""

from __future__ import annotations

import pytest

from guestwire.errors import InvalidArgument, Unsupported
from guestwire.system.net import detect, nics, v2


@pytest.fixture
def guest(root, tmp_path):
    """Writes files below the root, and makes NICs."""

    class Guest:
        def write(self, path, text=""):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

        def nic(self, name, index, mac="52:54:00:00:00:01", kind="1", uevent=""):
            at = f"sys/class/net/{name}"
            self.write(f"{at}/ifindex", f"{index}\n")
            self.write(f"{at}/address", f"{mac}\n")
            self.write(f"{at}/type", f"{kind}\n")
            self.write(f"{at}/uevent", uevent)

        def ifupdown(self, interfaces=""):
            self.write("lib/ifupdown/settle-dad.sh")
            self.write("etc/network/interfaces", interfaces)

        def running(self, unit):
            units = tmp_path / "run/systemd/units"
            units.mkdir(parents=True, exist_ok=True)
            (units / f"invocation:{unit}.service").symlink_to("0" * 32)

    return Guest()


def chosen(root, manager=None, **ethernets):
    """The name of the back end for a configuration of these devices."""
    network = nics.bind(root, v2.read({"ethernets": ethernets or {"eth0": {}}}))
    return detect.choose(root, network, manager).NAME


def test_networkd_that_has_configured_the_link_is_its_owner(root, guest):
    guest.nic("eth0", 2)
    guest.ifupdown()
    guest.running("systemd-networkd")
    guest.write("run/systemd/netif/links/2", "ADMIN_STATE=configured\n")
    assert detect.owner(root, "eth0") == "systemd-networkd"
    assert chosen(root) == "systemd-networkd"


def test_networkd_that_runs_for_another_link_does_not_take_one_of_ifupdown(root, guest):
    guest.nic("eth0", 2)
    guest.ifupdown("auto eth0\niface eth0 inet dhcp\n")
    guest.running("systemd-networkd")
    guest.write("run/systemd/netif/links/2", "ADMIN_STATE=unmanaged\n")
    assert chosen(root) == "ifupdown"


def test_an_interface_that_ifupdown_has_brought_up_is_its_own(root, guest):
    guest.nic("eth0", 2)
    guest.ifupdown("source-directory /nowhere\n")
    guest.write("run/network/ifstate", "lo=lo\neth0=eth0\n")
    assert detect.owner(root, "eth0") == "ifupdown"
    assert detect.owner(root, "eth1") == ""


def test_a_new_interface_goes_to_the_manager_that_runs(root, guest):
    guest.nic("eth0", 2)
    guest.ifupdown()
    assert chosen(root) == "ifupdown"
    guest.running("systemd-networkd")
    assert chosen(root) == "systemd-networkd"
    assert chosen(root, manager="ifupdown") == "ifupdown"


def test_a_guest_without_any_manager_is_told_what_was_looked_for(root, guest):
    guest.nic("eth0", 2)
    with pytest.raises(Unsupported, match=r"looked for systemd-networkd, ifupdown$"):
        chosen(root)


def test_other_programs_named_ifup_are_not_taken_for_debians(root, guest):
    guest.nic("eth0", 2)
    guest.write("sbin/ifup")
    guest.write("etc/network/interfaces", "iface eth0 inet dhcp\n")
    with pytest.raises(Unsupported):
        chosen(root)


def test_links_of_netplan_are_not_taken_for_networkds(root, guest):
    guest.nic("eth0", 2)
    guest.running("systemd-networkd")
    guest.write(
        "run/systemd/netif/links/2",
        "ADMIN_STATE=configured\nNETWORK_FILE=/run/systemd/network/10-netplan-all.network\n",
    )
    with pytest.raises(Unsupported, match="managed by netplan"):
        chosen(root)


@pytest.mark.parametrize(("runs", "owner"), [(True, "NetworkManager"), (False, "")])
def test_links_of_networkmanager_are_its_own_while_it_runs(root, guest, runs, owner):
    guest.nic("eth0", 2)
    guest.write("run/NetworkManager/devices/2", "[device]\nmanaged=true\n")
    if runs:
        guest.running("NetworkManager")
    assert detect.owner(root, "eth0") == owner


def test_a_manager_that_nobody_knows_is_refused(root, guest):
    guest.nic("eth0", 2)
    with pytest.raises(InvalidArgument, match="'wicked' is none of systemd-networkd, ifupdown"):
        chosen(root, manager="wicked")


def test_an_interface_is_not_taken_from_the_manager_that_has_it(root, guest):
    guest.nic("eth0", 2)
    guest.ifupdown("iface eth0 inet dhcp\n")
    with pytest.raises(Unsupported, match="eth0 is managed by ifupdown, and not by systemd-netw"):
        chosen(root, manager="systemd-networkd")


def test_devices_of_two_managers_are_not_applied_together(root, guest):
    guest.nic("eth0", 2)
    guest.nic("eth1", 3)
    guest.ifupdown("iface eth0 inet dhcp\n")
    guest.running("systemd-networkd")
    guest.write("run/systemd/netif/links/3", "ADMIN_STATE=configured\n")
    with pytest.raises(Unsupported, match="eth0 by ifupdown, eth1 by systemd-networkd"):
        chosen(root, eth0={}, eth1={})


def names(root, **ethernets):
    return [one.names for one in nics.bind(root, v2.read({"ethernets": ethernets})).ethernets]


def test_a_mac_means_the_nic_and_not_the_vlan_that_shares_it(root, guest):
    guest.nic("eth0", 2)
    guest.nic("eth0.5", 3, uevent="DEVTYPE=vlan\n")
    guest.nic("eth1", 4, mac="52:54:00:00:00:02")
    assert names(root, lan={"match": {"macaddress": "52:54:00:00:00:01"}}) == [("eth0",)]


def test_a_pattern_means_every_ethernet_of_such_a_name(root, guest):
    guest.nic("eth0", 2)
    guest.nic("eth1", 3)
    guest.nic("ethtun", 4, kind="65534")
    assert names(root, lan={"match": {"name": "eth*"}}) == [("eth0", "eth1")]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({}, "ethernets.eth7: no interface of this guest is eth7"),
        (
            {"match": {"macaddress": "52:54:00:00:00:09", "name": "e*"}},
            "ethernets.eth7: no interface of this guest is e* and 52:54:00:00:00:09",
        ),
    ],
)
def test_a_device_that_is_not_there_is_refused_by_its_path(root, guest, keys, text):
    guest.nic("eth0", 2)
    with pytest.raises(InvalidArgument) as caught:
        names(root, eth7=keys)
    assert str(caught.value) == text


def test_a_device_that_is_optional_need_not_be_there(root, guest):
    guest.nic("eth0", 2)
    assert names(root, eth7={"optional": True}) == [("eth7",)]


def test_two_devices_cannot_mean_the_same_interface(root, guest):
    guest.nic("eth0", 2)
    with pytest.raises(InvalidArgument, match=r"ethernets\.lan and ethernets\.eth0 both mean eth0"):
        names(root, eth0={}, lan={"match": {"macaddress": "52:54:00:00:00:01"}})


def test_in_an_image_a_name_stands_for_itself(root):
    assert names(root, eth0={}, lan={"match": {"name": "en*"}}) == [("eth0",), ()]
