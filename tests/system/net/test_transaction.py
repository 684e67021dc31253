"""A network that does not come up leaves nothing behind."""

from __future__ import annotations

import time

import pytest

from guestwire.errors import CommandError, DeadlinePassed, Unsupported
from guestwire.system.net import transaction, v2
from guestwire.system.net.model import File, Network
from guestwire.system.run import run


class Recorder:
    """A back end that writes down what it is told, and fails where the test wants it to."""

    def __init__(self, root, fail=None):
        self.root = root
        self.fail = fail or {}
        self.calls = []

    def _call(self, what, names):
        seen = self.root.read_text("/etc/net", missing="nothing")
        self.calls.append((what, list(names), seen))
        error = self.fail.pop(len(self.calls), None)
        if error is not None:
            raise error

    def running(self, root, names):
        return list(names)

    def release(self, root, run, names, deadline):
        self._call("release", names)

    def activate(self, root, run, names, changed, deadline):
        self._call("activate", names)

    def unsettled(self, root, name, ethernet):
        return ""


@pytest.fixture
def network(tmp_path):
    """eth0 is there; eth7 is optional, and is not."""
    (tmp_path / "sys/class/net/eth0").mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0/ifindex").write_text("2\n")
    found = v2.read({"ethernets": {"eth0": {}, "eth7": {"optional": True}}})
    return Network(tuple(one._replace(names=(one.id,)) for one in found.ethernets))


def attempt(root, backend, network, changes, seconds=0.5):
    """What a failure says. No link is up below a directory, so the probe fails on its own."""
    with pytest.raises(CommandError) as caught:
        transaction.bring_into_force(
            root, run, backend, network, changes, time.monotonic() + seconds
        )
    return caught.value


CHANGES = {"/etc/net": File("new"), "/etc/deep/er/file": File("x", 0o600), "/etc/gone": None}


@pytest.fixture
def files(root):
    root.write("/etc/net", "old", mode=0o640)
    root.write("/etc/gone", "here again")

    def now():
        return [root.read_text(path, missing="-") for path in CHANGES]

    return now


def test_when_the_probe_fails_files_and_links_are_as_before(root, network, files):
    backend = Recorder(root)
    error = attempt(root, backend, network, CHANGES)
    assert str(error) == "the network was put back as it was: eth0 is gone"
    assert files() == ["old", "-", "here again"]
    assert root.stat("/etc/net").st_mode & 0o777 == 0o640
    assert backend.calls == [
        ("release", ["eth0"], "old"),
        ("activate", ["eth0"], "new"),
        ("release", ["eth0"], "new"),
        ("activate", ["eth0"], "old"),
    ]


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("kind", [CommandError, Unsupported, DeadlinePassed])
def test_a_step_that_fails_is_undone_and_keeps_its_kind(root, network, files, step, kind):
    error = attempt(root, Recorder(root, {step: kind("no")}), network, CHANGES)
    assert (type(error), str(error)) == (kind, "the network was put back as it was: no")
    assert files() == ["old", "-", "here again"]


def test_a_file_that_cannot_be_written_undoes_those_before_it(root, network, files):
    root.write("/etc/file", "")
    changes = {**CHANGES, "/etc/file/below": File("x")}
    error = attempt(root, Recorder(root), network, changes)
    assert "put back as it was: " in str(error)
    assert files() == ["old", "-", "here again"]


def test_what_could_not_be_put_back_is_told(root, network, files):
    backend = Recorder(
        root, {2: CommandError("no"), 3: CommandError("busy"), 4: CommandError("never")}
    )
    error = attempt(root, backend, network, CHANGES)
    assert str(error) == "no; and the network could not be put back: never"
    assert files() == ["old", "-", "here again"]


def test_a_defect_of_our_own_leaves_nothing_behind_either(root, network, files):
    backend = Recorder(root, {2: ZeroDivisionError()})
    with pytest.raises(ZeroDivisionError):
        transaction.bring_into_force(root, run, backend, network, CHANGES, time.monotonic() + 1)
    assert files() == ["old", "-", "here again"]
