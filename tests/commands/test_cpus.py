"""guest-get-vcpus and guest-set-vcpus on a made-up sysfs."""

from __future__ import annotations

import pytest

from guestwire.commands import cpus
from guestwire.errors import CommandError
from guestwire.system.root import Root


@pytest.fixture
def switches(tmp_path):
    """Processors 0 (without a switch), 1 (on), 2 (off) and 10 (on)."""
    directory = tmp_path / "sys/devices/system/cpu"
    for name in ("cpu0", "cpu1", "cpu2", "cpu10", "cpufreq"):
        (directory / name).mkdir(parents=True)
    for number, state in ((1, "1"), (2, "0"), (10, "1")):
        (directory / f"cpu{number}/online").write_text(state + "\n")
    return lambda number: (directory / f"cpu{number}/online").read_text().strip()


def change(number, online):
    return {"logical-id": number, "online": online}


def test_processors_are_told_by_number(context, switches):
    assert cpus.get_vcpus(context) == [
        {"logical-id": 0, "online": True, "can-offline": False},
        {"logical-id": 1, "online": True, "can-offline": True},
        {"logical-id": 2, "online": False, "can-offline": True},
        {"logical-id": 10, "online": True, "can-offline": True},
    ]


def test_all_changes_are_made_and_counted(context, switches):
    assert cpus.set_vcpus(context, [change(1, False), change(2, True), change(0, True)]) == 3
    assert (switches(1), switches(2)) == ("0", "1")


def test_no_changes_are_none(context, switches):
    assert cpus.set_vcpus(context, []) == 0


def test_what_is_so_already_is_counted_and_not_written(context, switches, tmp_path):
    (tmp_path / "sys/devices/system/cpu/cpu1/online").chmod(0o400)
    assert cpus.set_vcpus(context, [change(1, True)]) == 1


def test_the_first_failure_is_an_error(context, switches):
    with pytest.raises(CommandError, match="logical processor #0 can't be offlined"):
        cpus.set_vcpus(context, [change(0, False), change(1, False)])
    assert switches(1) == "1"


def test_a_later_failure_ends_the_count(context, switches):
    assert cpus.set_vcpus(context, [change(1, False), change(9, True), change(2, True)]) == 1
    assert (switches(1), switches(2)) == ("0", "0")


@pytest.mark.parametrize("number", [9, -1])
def test_an_unknown_processor_is_an_error(context, switches, number):
    with pytest.raises(CommandError, match=f"cpu{number}/.*No such file"):
        cpus.set_vcpus(context, [change(number, True)])


def test_a_guest_that_shows_no_processors_is_an_error(context):
    with pytest.raises(CommandError, match="failed to list entries"):
        cpus.get_vcpus(context)


def test_this_machine_has_a_first_processor(context):
    assert {
        "logical-id": 0,
        "online": True,
    }.items() <= cpus.get_vcpus(context._replace(root=Root("/")))[0].items()
