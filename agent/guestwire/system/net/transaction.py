"""Bringing a network configuration into force, whole or not at all."""

from __future__ import annotations

import logging
import stat
import time
from collections.abc import Mapping
from typing import NamedTuple, Optional, Union

from ...errors import CommandError
from ..root import Root
from ..run import Run
from . import detect, link_state, nics, probe, resolver
from .detect import Backend
from .links import links
from .model import File, Network

log = logging.getLogger(__name__)
FOR_ROLLBACK = 20.0  # seconds that putting back may take past the deadline
SHARE = 0.6  # of the time until the deadline, before the rest goes to putting back

Files = Mapping[str, Optional[File]]


class Applied(NamedTuple):
    """`files` are those that changed, removed ones too; `applied`: it is in force by now."""

    manager: str
    files: list[str]
    applied: bool
    names: list[str]


def apply(
    root: Root, run: Run, network: Network, manager: Optional[str], deadline: float
) -> Applied:
    """Write and activate a network, and see that it works; else put everything back.

    Below a Root that is not live it is only written. Raises Unsupported or InvalidArgument
    before anything changes, and CommandError after all has been put back.
    """
    network = nics.bind(root, network)
    names = [name for ethernet in network.ethernets for name in ethernet.names]
    backend = detect.choose(root, network, manager)
    changes = _changes(root, _plan(root, network, backend))
    if not root.live:
        _write(root, changes)
        return Applied(backend.NAME, sorted(changes), False, names)
    if changes or probe.lacking_now(root, network):
        bring_into_force(root, run, backend, network, changes, deadline)
    return Applied(backend.NAME, sorted(changes), True, names)


def _plan(root: Root, network: Network, backend: Backend) -> Files:
    """Every file as it shall be; None for one that shall not be. Raises Unsupported."""
    stale = {
        path: None
        for other in detect.backends()
        if other.NAME != backend.NAME
        for ethernet in network.ethernets
        for path in other.paths(ethernet)
    }
    return {
        **stale,
        **backend.clear(root, network),
        **backend.render(network),
        **resolver.render(root, network, backend.NAME),
    }


def _changes(root: Root, plan: Files) -> Files:
    """The files that are not so already."""
    return {path: file for path, file in plan.items() if not _is_so(root, path, file)}


def _is_so(root: Root, path: str, file: Optional[File]) -> bool:
    there = _read(root, path)
    if file is None or there is None:
        return file is there
    return file.text == there.text and file.mode in (None, there.mode)


def _read(root: Root, path: str) -> Optional[File]:
    if not root.exists(path):
        return None
    return File(root.read_text(path), stat.S_IMODE(root.stat(path).st_mode))


def _write(root: Root, files: Files) -> None:
    for path, file in files.items():
        if file is None:
            root.remove(path)
        else:
            root.make_directory(path.rpartition("/")[0])
            root.write(path, file.text, mode=file.mode)
        log.info("network: %s %s", "removed" if file is None else "wrote", path)


def bring_into_force(
    root: Root, run: Run, backend: Backend, network: Network, changes: Files, deadline: float
) -> None:
    """Write files, have the manager take them up, and wait until the network is what they say.

    Raises CommandError, or what the manager's tools raised, after everything has been put back.
    """
    names = [name for one in network.ethernets for name in one.names if nics.index(root, name)]
    before = _Before(
        {path: _read(root, path) for path in changes},
        probe.State.now(root, names),
        backend.running(root, names),
    )
    now = time.monotonic()
    until = now + max(0.0, deadline - now) * SHARE
    try:
        backend.release(root, run, names, until)
        _write(root, changes)
        for argv in link_state.forgotten(network, before.files, before.state.links):
            run(argv, deadline=until)
        for argv in link_state.forgotten_rules(before.files, changes):
            run(argv, deadline=until)
        backend.activate(root, run, names, bool(changes), until)
        probe.wait(root, backend, network, until)
    except BaseException as error:  # a defect of ours must not leave a guest without network
        problem = _put_back(root, run, backend, names, before, changes, deadline)
        if not isinstance(error, (CommandError, OSError)):
            raise
        text = f"the network was put back as it was: {_plain(error)}"
        if problem:
            text = f"{_plain(error)}; and the network could not be put back: {problem}"
        log.warning("network: %s", text)
        raise (type(error) if isinstance(error, CommandError) else CommandError)(text) from error


class _Before(NamedTuple):
    """What there was: None for a file that was not there, and the links that were running."""

    files: dict[str, Optional[File]]
    state: probe.State
    running: list[str]


def _put_back(
    root: Root,
    run: Run,
    backend: Backend,
    names: list[str],
    before: _Before,
    changes: Files,
    deadline: float,
) -> str:
    """Undo what was begun, as far as it goes; "" or what stood in the way."""
    until = max(deadline, time.monotonic() + FOR_ROLLBACK)
    problems = []
    try:
        backend.release(root, run, names, until)
    except (CommandError, OSError) as error:  # the files are what the next boot goes by
        log.warning("network: %s", error)
    for path, file in before.files.items():
        try:
            _write(root, {path: file} if file or root.exists(path) else {})
        except OSError as error:
            problems.append(_plain(error))
    try:
        for argv in link_state.back(before.state.links, links(root)):
            run(argv, deadline=until)
        for argv in link_state.forgotten_rules(changes, before.files):
            run(argv, deadline=until)
        backend.activate(root, run, before.running, bool(before.files), until)
        problems.append(probe.wait_back(root, before.state, until))
    except (CommandError, OSError) as error:
        problems.append(_plain(error))
    return "; ".join(filter(None, problems))


def _plain(error: Union[CommandError, OSError]) -> str:
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
