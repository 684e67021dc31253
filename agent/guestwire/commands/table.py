"""Everything a host can ask for, one line each.

Names that begin with `guest-` are the QEMU guest agent's, in the order in which it lists them,
last first; guest-info names exactly these. The others are our own, and answer in each dialect.
"""

from __future__ import annotations

from ..dispatch.command import Command

HOUR = 3600.0

QGA = (
    Command("guest-sync-delimited", "protocol:sync", while_frozen=True, quiet=True),
    Command("guest-sync", "protocol:sync", while_frozen=True, quiet=True),
    Command("guest-ping", "protocol:ping", while_frozen=True, quiet=True),
    Command("guest-get-time", "clock:get_time", quiet=True),
    Command("guest-set-time", "clock:set_time"),
    Command("guest-info", "protocol:info", while_frozen=True, quiet=True),
    Command("guest-shutdown", "power:shutdown", replies=False),
    Command("guest-file-open", "files:open_file"),
    Command("guest-file-close", "files:close_file"),
    Command("guest-file-read", "files:read_file", quiet=True),
    Command("guest-file-write", "files:write_file", secrets=("buf-b64",), quiet=True),
    Command("guest-file-seek", "files:seek_file", quiet=True),
    Command("guest-file-flush", "files:flush_file", quiet=True),
    Command("guest-fsfreeze-status", "freeze:qga_status", while_frozen=True, quiet=True),
    Command("guest-fsfreeze-freeze", "freeze:qga_freeze", long=True, deadline=HOUR),
    Command("guest-fsfreeze-freeze-list", "freeze:qga_freeze_list", long=True, deadline=HOUR),
    Command("guest-fsfreeze-thaw", "freeze:qga_thaw", while_frozen=True, long=True, deadline=HOUR),
    Command("guest-fstrim", "trim:trim", long=True, deadline=HOUR),
    Command(
        "guest-suspend-disk", "power:suspend_disk", replies=False, needs="power:can_suspend_disk"
    ),
    Command("guest-suspend-ram", "power:suspend_ram", replies=False, needs="power:can_suspend_ram"),
    Command(
        "guest-suspend-hybrid",
        "power:suspend_hybrid",
        replies=False,
        needs="power:can_suspend_hybrid",
    ),
    Command("guest-network-get-interfaces", "interfaces:get_interfaces", quiet=True),
    Command("guest-get-vcpus", "cpus:get_vcpus"),
    Command("guest-set-vcpus", "cpus:set_vcpus"),
    Command("guest-get-disks", "disks:get_disks", long=True, quiet=True),
    Command("guest-get-fsinfo", "filesystems:get_fsinfo", long=True, quiet=True),
    Command("guest-set-user-password", "accounts:set_password", secrets=("password",)),
    Command("guest-get-memory-blocks", "memory:get_blocks"),
    Command("guest-set-memory-blocks", "memory:set_blocks"),
    Command("guest-get-memory-block-info", "memory:get_block_info", needs="memory:has_blocks"),
    Command("guest-exec-status", "exec:status", quiet=True),
    Command("guest-exec", "exec:start", secrets=("arg", "env", "input-data")),
    Command("guest-get-host-name", "hostname:qga_name", quiet=True),
    Command("guest-get-users", "logins:get_users", quiet=True),
    Command("guest-get-timezone", "clock:get_timezone", quiet=True),
    Command("guest-get-osinfo", "osinfo:get_osinfo", quiet=True),
    Command("guest-ssh-get-authorized-keys", "ssh:qga_get"),
    Command("guest-ssh-add-authorized-keys", "ssh:qga_add"),
    Command("guest-ssh-remove-authorized-keys", "ssh:qga_remove"),
    Command("guest-get-diskstats", "statistics:get_diskstats", quiet=True),
    Command("guest-get-cpustats", "statistics:get_cpustats", quiet=True),
    Command("guest-get-load", "statistics:get_load", quiet=True),
    Command("guest-network-get-route", "interfaces:get_routes", quiet=True),
)

OWN = (
    Command("agent.commands", "protocol:commands"),
    Command(
        "exec",
        "program:execute",
        streams=True,
        secrets=("argv", "env"),
        like=("guest-exec",),
    ),
    Command(
        "file.pull", "transfer:pull", streams=True, like=("guest-file-open", "guest-file-read")
    ),
    Command(
        "file.push", "transfer:push", streams=True, like=("guest-file-open", "guest-file-write")
    ),
    Command("forward.connect", "forward:connect", streams=True, like=("guest-exec",)),
    Command("hostname.get", "hostname:get", like=("guest-get-host-name",)),
    Command("hostname.set", "hostname:set_name"),
    Command("ssh.keys.list", "ssh:list_keys", like=("guest-ssh-get-authorized-keys",)),
    Command("ssh.keys.add", "ssh:add_keys", like=("guest-ssh-add-authorized-keys",)),
    Command("ssh.keys.remove", "ssh:remove_keys", like=("guest-ssh-remove-authorized-keys",)),
    Command("network.show", "network:show", like=("guest-network-get-interfaces",)),
    Command("network.apply", "network:apply", long=True),
    Command(
        "fs.freeze",
        "freeze:freeze",
        long=True,
        deadline=HOUR,
        like=("guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list"),
    ),
    Command("fs.thaw", "freeze:thaw", while_frozen=True, long=True, deadline=HOUR),
    Command("fs.extend", "freeze:extend", while_frozen=True),
    Command("fs.status", "freeze:status", while_frozen=True, quiet=True),
)

COMMANDS = QGA + OWN
