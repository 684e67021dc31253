"""Where we answer in another way than qemu-ga does, and why. docs/qga.md names each of these.

A case tells a request by its label, and both outcomes; in all three `*` stands for anything.
"""

from __future__ import annotations

import re
from typing import NamedTuple

ALL = ("7.2", "10.0")
OLD = ("7.2",)
NEW = ("10.0",)


class Case(NamedTuple):
    """What we and some versions of qemu-ga answer to some requests of the corpus.

    Not `always` where it takes a machine with a second processor, with IPv6, or without something.
    """

    request: str
    ours: str
    theirs: str
    versions: tuple[str, ...] = ALL
    always: bool = True

    def is_so(self, version: str, label: str, ours: str, theirs: str) -> bool:
        return version in self.versions and all(
            re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL)
            for pattern, text in zip(self[:3], (label, ours, theirs))
        )


class Difference(NamedTuple):
    title: str
    reason: str
    cases: tuple[Case, ...]


PASSWORD = "guest-set-user-password *"
CHPASSWD = "GenericError: child process has failed to set user password*"
KEYS = "guest-ssh-get-authorized-keys *"
READ_KEYS = 'guest-file-read {"handle": "$keys"}*'
ENV = 'after guest-exec {"path": "/usr/bin/env", "env": ["A=1", "A=2", "=x", "novalue", "E="], *'
HELD = "GenericError: failed to freeze /: *"

DELIBERATE = (
    Difference(
        "Of several unexpected arguments the first is named",
        "qemu-ga names any of them, by the order of its hash table",
        (Case('guest-sync {"id": 1, "a": 1, "b": 2}', "*'a' is unexpected", "*'b' is unexpected"),),
    ),
    Difference(
        "A null character in a name, a path or a key is refused",
        "qemu-ga cuts the text there, and opens, runs or stores something else",
        (
            Case('guest-file-open {"path": "a\\u0000b"}',
                 "*: embedded null byte", "*: No such file or directory"),
            Case('guest-exec {"path": "/bin/echo", "arg": ["a\\u0000b"]}',
                 "*(embedded null byte)", '{"pid": *'),
            Case('guest-exec-status after *"arg": ["a\\u0000b"]}',
                 "(not asked)", '{"exitcode": 0, *'),
            Case('guest-set-user-password {"username": "a\\u0000b", *',
                 "*forbidden characters in username", CHPASSWD),
            Case('guest-ssh-add-authorized-keys *"keys": ["a\\u0000b"]}',
                 "*invalid OpenSSH public key: 'a\0b'", "{}"),
        ),
    ),
    Difference(
        "A memory block's number is never negative",
        "qemu-ga takes -1 for 18446744073709551615",
        (Case('guest-set-memory-blocks *"phys-index": -1,*', "*expects uint64", "*551615,*"),),
    ),
    Difference(
        "Writing to a file is not buffered",
        "what is written is in the file when the answer comes, and an error is the answer of the "
        "write that met it, not of a later flush or close",
        (
            *(Case(f'guest-file-write {{"handle": "${name}", *', f"*: {why}",
                   '{"count": 5, "eof": false}')
              for name, why in (("fifo-end", "Broken pipe"), ("full", "No space left on device"))),
            *(Case(f'guest-file-flush {{"handle": "${name}"}}*', "{}", f"*: {why}")
              for name, why in (("fifo-end", "Broken pipe"), ("full", "No space left on device"))),
        ),
    ),
    Difference(
        "A FIFO that runs dry gives what it had",
        "qemu-ga drops the bytes that it has read already, and answers EAGAIN",
        (Case('guest-file-read {"handle": "$fifo"}*', '{"buf-b64": "bG8=", "count": 2, *',
              "*: Resource temporarily unavailable"),),
    ),
    Difference(
        "The number of an unknown pid is printed",
        "qemu-ga says `PID ld does not exist`, since a printf of its goes wrong",
        (Case("guest-exec-status *", "*: PID * does not exist", "*: PID ld does not exist", NEW),),
    ),
    Difference(
        "An environment has each name once, and no entries without one",
        "of two the first counts, as for getenv; shells differ in which one they take",
        (Case(f"guest-exec-status {ENV}",
              '*"QT0xCkU9Cg=="*', '*"QT0xCkE9Mgo9eApub3ZhbHVlCkU9Cg=="*'),),
    ),
    Difference(
        "What a program said is quoted without its last newline",
        "and when it said something on its error output, that alone",
        (
            Case(PASSWORD, CHPASSWD, CHPASSWD + "\n", NEW),
            Case("guest-shutdown*", "*shutdown: never", "*shutdown: no\nnever\n", NEW),
        ),
    ),
    Difference(
        "guest-set-time says what was wrong",
        "which way the hardware clock was read or set, and which time was refused",
        (
            Case("guest-set-time*", "*: hwclock failed to set system time to hardware clock: never",
                 "*failed to set hardware clock to system time*"),
            Case("guest-set-time *", "*: Invalid time *: it must be from 1970 to 2069",
                 "*: Invalid time"),
        ),
    ),
    Difference(
        "A failed suspend is told",
        "where systemd refuses and the kernel has no other way, qemu-ga answers nothing, which "
        "means success, or speaks of an unknown mode",
        (
            Case("guest-suspend-*", "*: suspend: never", "(no answer)"),
            Case("guest-suspend-hybrid*", "*: suspend: never", "*: unknown guest suspend mode"),
        ),
    ),
    Difference(
        "What the guest lacks is listed as not enabled",
        "so that a host need not try: ways to sleep that the kernel has not, memory blocks",
        (
            Case("guest-info of guest-suspend-*", '{"enabled": false, *', '{"enabled": true, *'),
            Case("guest-info of guest-get-memory-block-info",
                 '{"enabled": false, *', '{"enabled": true, *', always=False),
        ),
    ),
    Difference(
        "The modes in the error of guest-shutdown are in brackets",
        "qemu-ga forgets to close them",
        (Case("guest-shutdown *", "*halt|powerdown|reboot)", "*halt|powerdown|reboot"),),
    ),
    Difference(
        "A processor's switch is named by its path",
        "qemu-ga tells of the call that failed, with a slash too many",
        (Case("guest-set-vcpus *", "*: /sys/devices/system/cpu/cpu1/online: Read-only*",
              '*: open("/sys/devices/system/cpu/cpu1//online"): Read-only*', always=False),),
    ),
    Difference(
        "Routes have the kernel's numbers",
        "qemu-ga makes 64 bits of a flag in bit 31, and -1 of a metric",
        (Case("guest-network-get-route*", '*"flags": 2149580801, *"metric": 4294967295, *',
              '*"flags": 18446744071564165121, *"metric": -1, *', NEW, always=False),),
    ),
    Difference(
        "SSH keys come in the order of the file",
        "which is the order in which sshd tries them; qemu-ga turns it round",
        (
            Case(KEYS, '{"keys": ["*z a@b", "*D c@d"]}', '{"keys": ["*D c@d", "*z a@b"]}'),
        ),
    ),
    Difference(
        "authorized_keys ends with a newline",
        "what the next `echo >>` adds would be glued to the last key",
        (
            Case(READ_KEYS, '*Cg==", "count": 85, *', '*", "count": 84, *'),
            Case(READ_KEYS, '*ZAo=", "count": 170, *', '*ZA==", "count": 169, *'),
            Case(READ_KEYS, '*sbAo=", "count": 14, *', '*sbA==", "count": 13, *'),
        ),
    ),
    Difference(
        "A key may have spaces or a newline around it",
        "as it has in a .pub file; qemu-ga refuses it, or has it twice",
        (
            Case('guest-ssh-add-authorized-keys *"keys": ["KEY\\n"]}', "{}", "*invalid OpenSSH*"),
            Case(KEYS, '{"keys": ["*z a@b"]}', '{"keys": ["*z a@b", "*z a@b"]}'),
        ),
    ),
    Difference(
        "A password's base64 must be whole",
        "of what was cut short another password would be made; line ends are passed over",
        (
            Case(PASSWORD, "*: Base64 data is cut short", CHPASSWD),
            Case(PASSWORD, "*: Base64 data contains invalid characters", CHPASSWD),
            Case('guest-set-user-password *"password": "aGk=\\r\\n", *', CHPASSWD,
                 "*: Base64 data contains invalid characters"),
        ),
    ),
    Difference(
        "A password with a null character is refused",
        "chpasswd would take what stands before it",
        (Case('guest-set-user-password *"password": "YQBi", *',
              "*: forbidden characters in raw password", CHPASSWD),),
    ),
)  # fmt: skip

CAPTURE = '"capture-output": *}'
STARTED = "*Guest agent command failed, error was 'Failed to execute child process *"

OLDER = (
    Difference(
        "qemu-ga 7.2 has fewer commands",
        "guest-network-get-route came with 9.1, guest-get-load with 10.0; guest-get-devices, which "
        "only Windows has, is listed as disabled",
        (
            *(Case(f"{name}*", "*", "CommandNotFound: The command * has not been found", OLD)
              for name in ("guest-get-load", "guest-network-get-route")),
            *(Case(f"guest-info of {name}", "{*", "(absent)", OLD)
              for name in ("guest-get-load", "guest-network-get-route")),
            Case("guest-get-devices", "*: The command * has not been found", "* disabled", OLD),
            Case("guest-info of guest-get-devices", "(absent)", '{"enabled": false, *', OLD),
        ),
    ),
    Difference(
        "qemu-ga 7.2 captures all that a program says or nothing",
        "the modes by name came with 8.0",
        (
            Case(f"guest-exec *{CAPTURE}", "*GuestExecCaptureOutput", "*expected: boolean", OLD),
            Case(f"guest-exec *{CAPTURE}", "*does not accept value*", "*expected: boolean", OLD),
            Case(f"guest-exec *{CAPTURE}", '{"pid": *', "*expected: boolean", OLD),
            Case(f"guest-exec-status after *{CAPTURE}", '{*"exited": true*', "(not asked)", OLD),
        ),
    ),
    Difference(
        "qemu-ga 7.2 has other words for failures of programs",
        "it says less of why they failed",
        (
            Case("guest-exec *", "*: Failed to execute child process *", STARTED, OLD),
            Case("guest-exec-status *", "*: PID * does not exist", "*: Invalid parameter 'pid'",
                 OLD),
            Case("guest-shutdown*", "*shutdown: never", "*failed to shutdown", OLD),
            Case(PASSWORD, CHPASSWD, "*failed to set user password", OLD),
        ),
    ),
    Difference(
        "qemu-ga 7.2 counts bind mounts as file systems",
        "each is frozen, trimmed and listed once more; and it does not tell of root's bytes",
        (
            *(Case(f"{name}*", '*"path": "/"*', '*"path": "/etc/passwd"*', OLD)
              for name in ("guest-fstrim",)),
            Case("guest-get-fsinfo*", '*"mountpoint": "/"*', '*"mountpoint": "/etc/passwd"*', OLD),
            Case("guest-fsfreeze-freeze*", HELD, "*: failed to freeze /etc/passwd: *", OLD),
        ),
    ),
)  # fmt: skip

DIFFERENCES: tuple[Difference, ...] = DELIBERATE + OLDER
