"""Power: what would be called, told by a `run` that only takes notes."""

from __future__ import annotations

import pytest

from guestwire.commands import power
from guestwire.errors import CommandError, InvalidArgument, Unsupported
from guestwire.system.root import Root
from guestwire.system.run import Completed


class Notes:
    """A run that starts nothing, and answers with the codes it is given."""

    def __init__(self, **codes):
        self.calls = []
        self._codes = codes

    def __call__(self, argv, *, input=b"", deadline=None, env=None):
        self.calls.append(list(argv))
        return Completed(argv, self._codes.get(argv[1] if len(argv) > 1 else "", 0), b"", b"no way")


class Pretended(Root):
    """A scratch directory that says it is the running system; nothing but the notes is run."""

    def require_live(self):
        pass


@pytest.fixture
def guest(tmp_path):
    for directory in ("sbin", "sys/power", "run/systemd/system"):
        (tmp_path / directory).mkdir(parents=True)
    return Pretended(tmp_path)


def program(tmp_path, name):
    (tmp_path / "sbin" / name).write_text("")
    (tmp_path / "sbin" / name).chmod(0o755)


@pytest.mark.parametrize(
    ("mode", "name"), [("powerdown", "poweroff"), ("halt", "halt"), ("reboot", "reboot")]
)
def test_each_way_down_has_its_program(context, guest, tmp_path, mode, name):
    program(tmp_path, name)
    notes = Notes()
    assert power.shutdown(context._replace(root=guest, run=notes), mode) is None
    assert notes.calls == [[f"/sbin/{name}"]]


def test_without_that_program_shutdown_does_it(context, guest):
    notes = Notes()
    power.shutdown(context._replace(root=guest, run=notes), "reboot")
    [call] = notes.calls
    assert call[:4] == ["/sbin/shutdown", "-h", "-r", "+0"]


def test_a_shutdown_that_is_refused_is_an_error_with_its_reason(context, guest):
    refusing = Notes(**{"-h": 1})
    with pytest.raises(CommandError, match="failed to shutdown: no way"):
        power.shutdown(context._replace(root=guest, run=refusing))


def test_a_mode_that_is_none_names_those_that_are(context):
    with pytest.raises(InvalidArgument, match=r"valid values are: halt\|powerdown\|reboot"):
        power.shutdown(context, "sideways")


def test_an_image_cannot_be_shut_down_nor_suspended(context):
    for command in (power.shutdown, power.suspend_ram):
        with pytest.raises(Unsupported, match="not the running system"):
            command(context)


def test_systemd_is_asked_to_suspend_where_it_knows_how(context, guest):
    notes = Notes(status=3)
    power.suspend_ram(context._replace(root=guest, run=notes))
    assert notes.calls == [["systemctl", "status", "systemd-suspend.service"],
                           ["systemctl", "suspend"]]  # fmt: skip


def test_the_kernel_is_asked_where_systemd_is_not(context, guest, tmp_path):
    (tmp_path / "sys/power/state").write_text("freeze mem disk\n")
    power.suspend_ram(context._replace(root=guest, run=Notes(status=4)))
    assert (tmp_path / "sys/power/state").read_text().startswith("mem")


def test_what_systemd_refuses_is_not_tried_behind_its_back(context, guest, tmp_path):
    (tmp_path / "sys/power/state").write_text("freeze mem disk\n")
    refusing = Notes(status=3, hibernate=1)
    with pytest.raises(CommandError, match="suspend: no way"):
        power.suspend_disk(context._replace(root=guest, run=refusing))
    assert (tmp_path / "sys/power/state").read_text() == "freeze mem disk\n"


def test_a_guest_that_cannot_suspend_says_so(context, guest):
    context = context._replace(root=guest, run=Notes(status=4))
    for command in (power.suspend_disk, power.suspend_ram, power.suspend_hybrid):
        with pytest.raises(Unsupported, match="suspend mode is not supported by the guest"):
            command(context)


def test_why_each_way_to_suspend_failed_is_told(context, guest):
    with pytest.raises(CommandError, match="suspend: no way"):
        power.suspend_hybrid(
            context._replace(root=guest, run=Notes(status=3, **{"hybrid-sleep": 1}))
        )


def test_what_the_kernel_cannot_do_is_listed_as_not_enabled(guest, tmp_path):
    (tmp_path / "sys/power/state").write_text("freeze mem\n")
    assert power.can_suspend_ram(guest)
    assert not power.can_suspend_disk(guest)
    assert not power.can_suspend_hybrid(guest)
