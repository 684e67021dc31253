"""The import table of docs/architecture.md, held."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import guestwire

PACKAGE = Path(guestwire.__file__).parent

# Longest name first decides. "" is nothing of ours; a name allows itself and what is below it.
ALLOWED = {
    "errors": (),
    "config": ("errors",),
    "logs": (),
    "signals": (),
    "wire": ("errors", "wire"),
    "system": ("errors", "system"),
    "transports": ("errors", "transports", "system.root"),
    "dispatch": ("errors", "dispatch", "wire.events", "system.root", "system.run"),
    "commands": ("errors", "system", "dispatch.command", "dispatch.jobs", "dispatch.streams"),
    "commands.table": ("dispatch.command",),
    "client": ("errors", "wire", "transports", "client"),
    "session": ("errors", "transports", "wire", "dispatch"),
    "native_session": ("errors", "transports", "wire", "dispatch"),
    "channel": ("errors", "transports"),
    "service": (
        "errors",
        "config",
        "logs",
        "signals",
        "transports",
        "wire",
        "dispatch",
        "commands.table",
        "system",
        "session",
        "native_session",
        "channel",
        "__version__",
    ),
    "cli": ("",),
    "__main__": ("cli",),
    "__init__": (),
}

# What a QEMU guest agent session over virtio-serial must not pay for at its start.
TOO_HEAVY = {"dataclasses", "inspect", "argparse", "configparser", "subprocess", "asyncio",
             "socket", "msgpack", "serial", "yaml", "importlib.metadata"}  # fmt: skip


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def imported(name, path):
    """Names below the package that a module imports, at its top or inside a function."""
    parts = name.split(".")
    if path.name == "__init__.py" and name != "__init__":
        parts.append("")
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level]
            if node.module:
                yield ".".join([*base, node.module])
            else:
                for alias in node.names:
                    yield ".".join([*base, alias.name])


def within(name, allowed):
    return any(one == "" or name == one or name.startswith(one + ".") for one in allowed)


def rule(name):
    while name not in ALLOWED:
        assert "." in name, f"{name} has no line in the import table"
        name = name.rpartition(".")[0]
    return ALLOWED[name]


def test_every_import_is_one_that_the_table_allows():
    wrong = [
        f"{name} imports {target}"
        for name, path in modules()
        for target in imported(name, path)
        if not within(target, rule(name)) and target != "__version__"
    ]
    assert wrong == []


def test_the_wire_has_no_operating_system_in_it():
    forbidden = {"os", "socket", "select", "threading", "time", "subprocess"}
    for path in (PACKAGE / "wire").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, "names", [])]
            names.append(getattr(node, "module", None) or "")
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                assert not forbidden & {one.partition(".")[0] for one in names}, path.name


STARTERS = {"subprocess", "multiprocessing", "pty", "posix_spawn", "posix_spawnp", "fork",
            "forkpty", "system", "popen", "execv", "execve", "execvp", "execvpe"}  # fmt: skip


def starters(node):
    """What in this piece of a module could start a process."""
    if isinstance(node, ast.Import):
        return {one.name for one in node.names} & STARTERS
    if isinstance(node, ast.ImportFrom) and not node.level:
        return {node.module, *(one.name for one in node.names)} & STARTERS
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return {node.attr} & STARTERS if node.value.id == "os" else set()
    return set()


def test_only_spawn_starts_processes():
    users = {
        (name, one)
        for name, path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        for one in starters(node)
    }
    daemon = ("cli.daemon", "fork")  # what qemu-ga's --daemonize asks for
    assert users - {daemon} == {("system.spawn", "posix_spawn")}


def test_the_service_starts_without_what_it_may_never_need():
    code = "import sys, guestwire.service, guestwire.transports.virtio_serial; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    bare = subprocess.run([sys.executable, "-I", "-c", "import sys; print(*sys.modules)"],
                          capture_output=True, text=True)  # fmt: skip
    loaded = set(out.stdout.split()) - set(bare.stdout.split())
    assert not TOO_HEAVY & loaded
