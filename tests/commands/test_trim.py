from __future__ import annotations

from guestwire.commands import trim


def test_each_path_is_reported_and_a_failure_is_no_error_of_the_command(context, tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text("30 1 8:1 / /gone rw - ext4 /dev/sda1 rw\n")
    assert trim.trim(context, minimum=4096) == {
        "paths": [{"path": "/gone", "error": "failed to open: No such file or directory"}]
    }


def test_a_guest_without_disks_has_nothing_to_trim(context):
    assert trim.trim(context) == {"paths": []}


def test_what_was_trimmed_is_told_in_bytes():
    done = trim.Trimmed("/data", 1 << 40, 4096)
    assert trim._result(done) == {"path": "/data", "trimmed": 1 << 40, "minimum": 4096}
