"""Static name servers reach /etc/resolv.conf, or are refused where they would be lost."""

from __future__ import annotations

import pytest

from guestwire.errors import Unsupported
from guestwire.system.net import resolver, v2
from guestwire.system.net.model import File

STATIC = {"addresses": ["192.0.2.1/24"], "nameservers": {"addresses": ["192.0.2.53"]}}
HEADER = "# Written by guestwire, and replaced at the next network.apply.\n"


def rendered(root, manager, *devices):
    ethernets = {f"eth{number}": keys for number, keys in enumerate(devices)}
    return resolver.render(root, v2.read({"ethernets": ethernets}), manager)


@pytest.fixture
def resolved(tmp_path):
    """systemd-resolved at work, with what it asks."""
    (tmp_path / "run/systemd/units").mkdir(parents=True)
    (tmp_path / "run/systemd/units/invocation:systemd-resolved.service").symlink_to("0" * 32)
    (tmp_path / "run/systemd/resolve").mkdir()
    text = "nameserver 192.0.2.53\nnameserver ::1 # odd\nsearch a.org b.org\n"
    (tmp_path / "run/systemd/resolve/resolv.conf").write_text(text)


def test_where_nobody_keeps_the_file_it_is_written_with_the_servers_of_all_devices(root):
    more = {"nameservers": {"addresses": ["2001:db8::53", "192.0.2.53"], "search": ["a.org"]}}
    assert rendered(root, "systemd-networkd", STATIC, more) == {
        "/etc/resolv.conf": File(
            HEADER + "nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch a.org\n", mode=None
        )
    }


def test_a_network_without_name_servers_leaves_the_file_alone(root):
    assert rendered(root, "ifupdown", {"addresses": ["192.0.2.1/24"]}) == {}


@pytest.mark.parametrize("manager", ["systemd-networkd", "ifupdown"])
def test_resolved_gets_them_from_the_manager(root, resolved, manager):
    assert rendered(root, manager, STATIC) == {}


def test_resolvconf_gets_them_from_ifupdown_and_never_from_networkd(root, tmp_path):
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin/resolvconf").write_text("")
    assert rendered(root, "ifupdown", STATIC) == {}
    with pytest.raises(Unsupported, match=r"ethernets\.eth0\.nameservers: .* kept by resolvconf"):
        rendered(root, "systemd-networkd", STATIC)


def test_a_link_that_somebody_else_made_is_not_replaced(root, tmp_path):
    (tmp_path / "etc/resolv.conf").symlink_to("/run/NetworkManager/resolv.conf")
    with pytest.raises(Unsupported, match=r"a link to /run/NetworkManager/resolv\.conf"):
        rendered(root, "ifupdown", STATIC)


def test_a_dhcp_client_that_would_replace_the_file_stands_in_the_way(root):
    with pytest.raises(Unsupported, match=r"DHCP client of ifupdown replaces /etc/resolv\.conf"):
        rendered(root, "ifupdown", {**STATIC, "dhcp4": True})


def test_the_servers_in_use_are_shown(root, tmp_path):
    (tmp_path / "etc/resolv.conf").write_text("# x\ndomain lab\nnameserver 192.0.2.1\n")
    assert resolver.show(root) == {
        "source": "file",
        "path": "/etc/resolv.conf",
        "servers": ["192.0.2.1"],
        "search": ["lab"],
    }


def test_behind_the_stub_of_resolved_are_the_servers_that_it_asks(root, resolved):
    shown = resolver.show(root)
    assert (shown["source"], shown["servers"]) == ("systemd-resolved", ["192.0.2.53", "::1"])
    assert shown["search"] == ["a.org", "b.org"]
