"""libvirt's own tools, unchanged, against the agent in a real guest.

One guest a release serves the whole file, in this order: the last tests reboot it and
switch it off. GUESTWIRE_VM_AGENT=qemu-ga runs the same against QEMU's own agent.
"""

from __future__ import annotations

import contextlib
import json
import re
import time

import libvirt
import libvirt_qemu
import pytest

from vm.host import VirshError, until

KEYS = [f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43} {letter}@example" for letter in "abc"]
ROOT_DISK = {"/": "vda", "/mnt/data": "vdb", "/mnt/loop": "loop0"}


def ask(domain, command, *options):
    """A command as an operator types it, in JSON, through virsh."""
    return json.loads(domain.virsh("qemu-agent-command", command, *options))["return"]


def rows(text):
    """The words of each row of a table that virsh prints, without its head."""
    _, _, body = text.partition("---\n")
    return [line.split() for line in body.splitlines()]


def pairs(text):
    """guestinfo's `name : value` lines."""
    return dict(re.findall(r"^(\S+)\s*: (.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("options", [(), ("--timeout", "5"), ("--block",)])
def test_a_raw_command_is_answered(domain, options):
    assert ask(domain, '{"execute":"guest-ping"}', *options) == {}


def test_an_async_command_is_carried_out_though_libvirt_does_not_wait(domain):
    touch = {"path": "/bin/touch", "arg": ["/run/async"]}
    request = json.dumps({"execute": "guest-exec", "arguments": touch})

    def carried_out():
        # libvirt may give up before it has sent anything, and takes no late answer for one.
        assert ask(domain, '{"execute":"guest-ping"}') == {}
        with contextlib.suppress(VirshError):
            ask(domain, request, "--async")
        return domain.side.run(["test", "-e", "/run/async"]).exitcode == 0

    until(carried_out)
    assert ask(domain, '{"execute":"guest-ping"}') == {}


def test_a_raw_commands_error_reaches_the_operator(domain):
    with pytest.raises(VirshError, match="The command guest-nonsense has not been found"):
        ask(domain, '{"execute":"guest-nonsense"}')


def test_domhostname_asks_the_agent(domain):
    expected = f"guest-{domain.name}"
    assert domain.virsh("domhostname", "--source", "agent") == expected


def test_domifaddr_shows_what_the_guest_has(domain):
    found = rows(domain.virsh("domifaddr", "--source", "agent", "--full"))
    mac = domain.shell("cat /sys/class/net/eth0/address")
    assert ["eth0", mac, "ipv4", "10.0.2.15/24"] in found
    assert ["lo", "00:00:00:00:00:00", "ipv4", "127.0.0.1/8"] in found
    assert any(row[0] == "eth0" and row[3].startswith("fe80:") for row in found)


def test_domfsinfo_lists_real_file_systems_with_their_disks(domain):
    found = {row[0]: row[1:] for row in rows(domain.virsh("domfsinfo"))}
    assert found["/"] == ["vda", "ext4", "vda"]
    assert found["/mnt/data"] == ["vdb", "ext4", "vdb"]
    assert found["/mnt/loop"][:2] == ["loop0", "ext4"]
    assert len(found) == 3


def test_guestinfo_os(domain):
    found = pairs(domain.virsh("guestinfo", "--os"))
    version = {"bullseye": "11", "bookworm": "12", "trixie": "13"}[domain.name]
    assert found["os.id"] == "debian"
    assert found["os.version-id"] == version
    assert found["os.kernel-release"] == domain.shell("uname -r")
    assert found["os.machine"] == "x86_64"


def test_guestinfo_timezone(domain):
    found = pairs(domain.virsh("guestinfo", "--timezone"))
    assert found["timezone.offset"] == "0"


def test_guestinfo_hostname(domain):
    found = pairs(domain.virsh("guestinfo", "--hostname"))
    assert found["hostname"] == f"guest-{domain.name}"


def test_guestinfo_user(domain):
    found = pairs(domain.virsh("guestinfo", "--user"))
    logged_in = domain.shell("who").splitlines()
    assert found.get("user.count") == str(len({line.split()[0] for line in logged_in}))


def test_guestinfo_filesystem(domain):
    found = pairs(domain.virsh("guestinfo", "--filesystem"))
    assert found["fs.count"] == "3"
    assert {found[f"fs.{n}.mountpoint"] for n in range(3)} == set(ROOT_DISK)
    root = next(n for n in range(3) if found[f"fs.{n}.mountpoint"] == "/")
    assert found[f"fs.{root}.name"] == "vda"
    assert found[f"fs.{root}.fstype"] == "ext4"
    assert 0 < int(found[f"fs.{root}.used-bytes"]) < int(found[f"fs.{root}.total-bytes"])
    assert found[f"fs.{root}.disk.0.alias"] == "vda"


def test_guestinfo_disk(domain):
    found = pairs(domain.virsh("guestinfo", "--disk"))
    names = {found[f"disk.{n}.name"] for n in range(int(found["disk.count"]))}
    assert {"/dev/vda", "/dev/vdb", "/dev/loop0"} <= names
    root = next(key for key, value in found.items() if value == "/dev/vda").split(".")[1]
    assert found[f"disk.{root}.partition"] == "no"
    assert found[f"disk.{root}.alias"] == "vda"


def test_guestinfo_interface(domain):
    found = pairs(domain.virsh("guestinfo", "--interface"))
    eth0 = next(key for key, value in found.items() if value == "eth0").rpartition(".")[0]
    assert found[f"{eth0}.addr.0.type"] == "ipv4"
    assert found[f"{eth0}.addr.0.addr"] == "10.0.2.15"
    assert found[f"{eth0}.addr.0.prefix"] == "24"


def test_guestinfo_says_all_at_once(domain):
    found = pairs(domain.virsh("guestinfo"))
    starts = {key.split(".")[0] for key in found}
    assert {"os", "timezone", "hostname", "fs", "disk", "if", "user"} <= starts


def test_the_python_binding_gets_the_same(domain):
    assert {fs[0] for fs in domain.handle.fsInfo()} == set(ROOT_DISK)
    answer = libvirt_qemu.qemuAgentCommand(domain.handle, '{"execute":"guest-info"}', 5, 0)
    assert "guest-ping" in {c["name"] for c in json.loads(answer)["return"]["supported_commands"]}
    source = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT
    assert domain.handle.interfaceAddresses(source)["eth0"]["addrs"][0]["addr"] == "10.0.2.15"


def frozen(domain, mountpoint):
    """A second freeze of a frozen file system is EBUSY; one that took is undone."""
    done = domain.side.run(["fsfreeze", "--freeze", mountpoint])
    if done.exitcode == 0:
        domain.shell(f"fsfreeze --unfreeze {mountpoint}")
    return done.exitcode != 0 and "busy" in done.err.lower()


def test_domfsfreeze_freezes_all_and_domfsthaw_ends_it(domain):
    domain.shell("true; sync; fsfreeze --version")  # what is read while frozen is in memory
    assert domain.virsh("domfsfreeze") == "Froze 3 filesystem(s)"
    try:
        assert ask(domain, '{"execute":"guest-fsfreeze-status"}') == "frozen"
        assert frozen(domain, "/mnt/data")
        assert frozen(domain, "/mnt/loop")
        with pytest.raises(VirshError, match="has been disabled"):
            domain.virsh("domtime")
    finally:
        assert domain.virsh("domfsthaw") == "Thawed 3 filesystem(s)"
    assert ask(domain, '{"execute":"guest-fsfreeze-status"}') == "thawed"
    domain.shell("touch /mnt/loop/after /mnt/data/after /after")


def test_domfsfreeze_freezes_only_what_is_named(domain):
    assert domain.virsh("domfsfreeze", "--mountpoint", "/mnt/data") == "Froze 1 filesystem(s)"
    assert frozen(domain, "/mnt/data")
    assert not frozen(domain, "/")
    assert domain.virsh("domfsthaw") == "Thawed 1 filesystem(s)"


def test_domfsthaw_of_a_thawed_guest_is_no_error(domain):
    assert domain.virsh("domfsthaw") == "Thawed 0 filesystem(s)"


def test_domfstrim_gives_deleted_space_back_to_the_host(domain):
    disk = domain.directory / "data.qcow2"
    domain.shell("head -c 16M /dev/urandom > /mnt/data/ballast && sync")
    full = disk.stat().st_blocks
    domain.shell("rm /mnt/data/ballast && sync")
    assert domain.virsh("domfstrim") == ""
    assert disk.stat().st_blocks * 512 <= full * 512 - (8 << 20)


def test_domtime_tells_the_guests_time(domain):
    told = int(domain.virsh("domtime").split()[1])
    assert abs(told - int(domain.shell("date +%s"))) <= 3


def test_domtime_sets_the_guests_time(domain):
    domain.virsh("domtime", "--time", "1700000000")
    assert 0 <= int(domain.shell("date +%s")) - 1700000000 < 60
    assert 0 <= rtc(domain) - 1700000000 < 60


def test_domtime_now_sets_the_hosts_time(domain):
    domain.virsh("domtime", "--now")
    assert abs(int(domain.shell("date +%s")) - time.time()) < 60


def test_domtime_sync_takes_the_time_from_the_hardware_clock(domain):
    domain.shell("date --set @1500000000")
    domain.virsh("domtime", "--sync")
    assert abs(int(domain.shell("date +%s")) - rtc(domain)) <= 3
    assert abs(rtc(domain) - time.time()) < 60


def rtc(domain):
    return int(domain.shell("cat /sys/class/rtc/rtc0/since_epoch"))


def online(domain):
    return domain.shell("cat /sys/devices/system/cpu/online")


def test_guestvcpus_switches_a_cpu_off_and_on(domain):
    shown = pairs(domain.virsh("guestvcpus"))
    assert shown == {"vcpus": "0-1", "online": "0-1", "offlinable": "1"}
    domain.virsh("guestvcpus", "--disable", "--cpulist", "1")
    assert online(domain) == "0"
    assert pairs(domain.virsh("guestvcpus"))["online"] == "0"
    domain.virsh("guestvcpus", "--enable", "--cpulist", "1")
    assert online(domain) == "0-1"


def test_setvcpus_guest_counts_cpus(domain):
    domain.virsh("setvcpus", "1", "--guest")
    assert online(domain) == "0"
    domain.virsh("setvcpus", "2", "--guest")
    assert online(domain) == "0-1"


def shadow(domain, user):
    return domain.shell(f"grep ^{user}: /etc/shadow").split(":")[1]


def test_set_user_password_lets_the_user_in(domain):
    domain.virsh("set-user-password", "alice", "correct horse: battery")
    hashed = shadow(domain, "alice")
    crypted = domain.side.run(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])",
                               "correct horse: battery", hashed])  # fmt: skip
    assert crypted.out == hashed
    assert hashed.startswith("$")


def test_set_user_password_stores_an_encrypted_one_as_it_is(domain):
    hashed = "$6$saltsalt$" + "x" * 86
    domain.virsh("set-user-password", "--encrypted", "alice", hashed)
    assert shadow(domain, "alice") == hashed


def test_set_user_password_of_nobody_is_an_error(domain):
    with pytest.raises(VirshError):
        domain.virsh("set-user-password", "no-such-user", "secret")


def test_user_sshkeys_are_added_reset_and_removed(domain, tmp_path):
    file = tmp_path / "keys"

    def change(keys, *options):
        file.write_text("\n".join(keys) + "\n")
        domain.virsh("set-user-sshkeys", "alice", "--file", str(file), *options)
        shown = domain.virsh("get-user-sshkeys", "alice")  # 9.0 prints no newline between keys
        return set(re.findall(r"ssh-ed25519 \S+ .@example", shown))

    assert change(KEYS[:2]) == set(KEYS[:2])
    assert change(KEYS[1:]) == set(KEYS)
    assert change(KEYS[:1], "--remove") == set(KEYS[1:])
    assert change(KEYS[:1], "--reset") == set(KEYS[:1])
    where = "/home/alice/.ssh"
    modes = domain.shell(f"stat -c '%U:%a' {where} {where}/authorized_keys").split()
    assert modes == ["alice:700", "alice:600"]


@pytest.mark.parametrize("target", ["disk", "hybrid"])
def test_a_suspend_that_the_guest_cannot_do_is_an_error_and_nothing_more(domain, target):
    if domain.agent == "qemu-ga":
        pytest.skip("QEMU's own agent 7.2 then gives no answer at all, and libvirt waits for ever")
    with pytest.raises(VirshError):
        domain.virsh("dompmsuspend", target)
    assert domain.virsh("domstate") == "running"
    assert ask(domain, '{"execute":"guest-ping"}') == {}


def test_a_quiesced_snapshot_thaws_the_guest_again(domain, tmp_path):
    file = domain.directory / "snapshot.qcow2"
    domain.virsh(
        "snapshot-create-as", "--quiesce", "--disk-only", "--no-metadata", "--atomic",
        "--diskspec", f"vdb,file={file}", "--diskspec", "vda,snapshot=no"
    )  # fmt: skip
    assert ask(domain, '{"execute":"guest-fsfreeze-status"}') == "thawed"
    domain.virsh("blockcommit", "vdb", "--active", "--shallow", "--pivot", "--wait")
    domain.shell("touch /mnt/data/after-snapshot && sync")


@pytest.mark.parametrize(
    "how", ["systemctl restart {}", "systemctl kill --signal=KILL --kill-who=main {}"]
)
def test_libvirt_follows_an_agent_that_restarts(domain, how):
    time.sleep(1.1)  # QEMU tells of a port once a second, and then only how it stands
    domain.agent_events.clear()
    domain.shell(how.format(domain.service))
    until(lambda: domain.agent_events == ["disconnected", "connected"])
    assert domain.channel_state() == "connected"
    assert domain.virsh("domhostname", "--source", "agent") == f"guest-{domain.name}"


def test_reboot_by_the_agent(domain):
    before = domain.shell("cat /proc/sys/kernel/random/boot_id")
    domain.agent_events.clear()
    domain.virsh("reboot", "--mode", "agent")
    domain.drop_side()
    until(lambda: domain.agent_events[-1:] == ["connected"], 120)
    domain.wait_for_agent()
    assert domain.shell("cat /proc/sys/kernel/random/boot_id") != before
    assert ask(domain, '{"execute":"guest-ping"}') == {}


def test_shutdown_by_the_agent(domain):
    domain.virsh("shutdown", "--mode", "agent")
    until(lambda: domain.virsh("domstate") == "shut off", 90)
