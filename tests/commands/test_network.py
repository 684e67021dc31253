"""network.apply writes a guest that is not running, and network.show tells what there is."""

from __future__ import annotations

import pytest

from guestwire.commands import network
from guestwire.errors import InvalidArgument, Unsupported

CONFIG = {
    "version": 2,
    "ethernets": {
        "eth0": {
            "addresses": ["192.0.2.10/24"],
            "gateway4": "192.0.2.1",
            "nameservers": {"addresses": ["192.0.2.53"]},
        }
    },
}
UNIT = "/etc/systemd/network/05-guestwire-eth0.network"


@pytest.fixture
def networkd(tmp_path):
    """An image in which systemd-networkd is enabled."""
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    unit = "systemd-networkd.service"
    (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")


@pytest.fixture
def ifupdown(tmp_path):
    """An image with Debian's ifupdown, as the installer leaves it."""
    (tmp_path / "lib/ifupdown").mkdir(parents=True)
    (tmp_path / "lib/ifupdown/settle-dad.sh").write_text("")
    (tmp_path / "etc/network").mkdir()
    (tmp_path / "etc/network/interfaces").write_text(
        "source /etc/network/interfaces.d/*\nauto eth0\niface eth0 inet dhcp\n"
    )


def all_files(top):
    return {
        "/" + str(path.relative_to(top)): path.read_text()
        for path in top.rglob("*")
        if path.is_file()
    }


def test_an_image_gets_the_files_and_nothing_is_activated(context, networkd, tmp_path):
    assert network.apply(context, CONFIG) == {
        "manager": "systemd-networkd",
        "files": ["/etc/resolv.conf", UNIT],
        "applied": False,
        "addresses": [],
    }
    assert "Address=192.0.2.10/24\n" in (tmp_path / UNIT[1:]).read_text()
    assert (tmp_path / UNIT[1:]).stat().st_mode & 0o777 == 0o644
    assert "nameserver 192.0.2.53\n" in (tmp_path / "etc/resolv.conf").read_text()


def test_a_second_time_there_is_nothing_to_write(context, networkd):
    network.apply(context, CONFIG)
    assert network.apply(context, CONFIG)["files"] == []


def test_a_mode_that_somebody_changed_is_a_difference(context, networkd, tmp_path):
    network.apply(context, CONFIG)
    (tmp_path / UNIT[1:]).chmod(0o600)
    assert network.apply(context, CONFIG)["files"] == [UNIT]


def test_the_stanza_of_the_installer_gives_way_to_ours(context, ifupdown, tmp_path):
    done = network.apply(context, CONFIG)
    assert done["manager"] == "ifupdown"
    assert done["files"] == [
        "/etc/network/interfaces",
        "/etc/network/interfaces.d/guestwire-eth0",
        "/etc/resolv.conf",
    ]
    assert (tmp_path / "etc/network/interfaces").read_text() == (
        "source /etc/network/interfaces.d/*\n"
        "# guestwire: auto eth0\n"
        "# guestwire: iface eth0 inet dhcp\n"
    )


def test_a_file_of_ours_for_another_manager_goes(context, networkd, tmp_path):
    left = tmp_path / "etc/network/interfaces.d/guestwire-eth0"
    left.parent.mkdir(parents=True)
    left.write_text("auto eth0\n")
    assert str(left).removeprefix(str(tmp_path)) in network.apply(context, CONFIG)["files"]
    assert not left.exists()


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"ethernets": {"eth0": {"dhcp4": 1}}}, InvalidArgument),
        ({"ethernets": {"eth0": {"set-name": "lan"}}}, Unsupported),
        ({"ethernets": {"eth0": {"wakeonlan": True}}}, Unsupported),
        ({"ethernets": {"eth0": {"dhcp4": True}, "eth1": {"wakeonlan": True}}}, Unsupported),
    ],
)
def test_what_is_refused_has_changed_nothing(context, ifupdown, tmp_path, config, error):
    before = all_files(tmp_path)
    with pytest.raises(error):
        network.apply(context, config)
    assert all_files(tmp_path) == before


def test_an_image_without_a_manager_needs_to_be_told_of_none(context):
    with pytest.raises(Unsupported, match="no network manager found"):
        network.apply(context, CONFIG)


def test_the_manager_can_be_asked_for(context, networkd, ifupdown, tmp_path):
    (tmp_path / "etc/network/interfaces").write_text("")
    assert network.apply(context, CONFIG, "ifupdown")["manager"] == "ifupdown"


def test_an_image_shows_its_name_servers_and_no_interfaces(context, tmp_path):
    (tmp_path / "etc/resolv.conf").write_text("nameserver 192.0.2.1\nsearch a.org\n")
    assert network.show(context) == {
        "manager": None,
        "managers": [],
        "interfaces": [],
        "dns": {
            "source": "file",
            "path": "/etc/resolv.conf",
            "servers": ["192.0.2.1"],
            "search": ["a.org"],
        },
    }


def test_this_machine_shows_its_loopback(context):
    from guestwire.system.root import Root

    shown = network.show(context._replace(root=Root("/")))
    (lo,) = [one for one in shown["interfaces"] if one["name"] == "lo"]
    assert lo["flags"][:2] == ["up", "loopback"]
    assert {"address": "127.0.0.1", "prefix": 8}.items() <= lo["addresses"][0].items()
    assert lo["default-route"] is False
