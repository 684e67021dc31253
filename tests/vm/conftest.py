"""Guests for tests, one release after the other; skipped by name where there cannot be one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from pathlib import Path

import pytest

from vm import images

TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "unshare": "util-linux",
}
LIBVIRT_TOOLS = {
    "libvirtd": "libvirt-daemon-system and libvirt-daemon-driver-qemu",
    "virsh": "libvirt-clients",
}
# qemu-ga holds the tests against the real thing: where it fails one, the test is wrong.
AGENT = os.environ.get("GUESTWIRE_VM_AGENT", "guestwire")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vm)


def missing(tools):
    """Why there cannot be a guest here, or None."""
    if os.geteuid():
        return "guests need root (mmdebstrap, chroot, unshare)"
    lacking = sorted({package for tool, package in tools.items() if not shutil.which(tool)})
    return "guests need Debian's " + ", ".join(lacking) if lacking else None


def need(reason):
    if reason and os.environ.get("GUESTWIRE_REQUIRE_VM") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session", params=images.RELEASES)
def image(request):
    """The image of each release in turn; all tests of one come before the next."""
    need(missing(TOOLS))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also then no guest stays behind
    return images.image(request.param)


@pytest.fixture(scope="session")
def guest(image, tmp_path_factory):
    """A running guest under QEMU alone."""
    from vm.guest import Guest

    guest = Guest(image, tmp_path_factory.mktemp(f"guest-{image.release}-"), AGENT)
    try:
        guest.start()
        guest.settle()
        yield guest
    finally:
        guest.stop()


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    """A libvirt of our own."""
    need(missing(LIBVIRT_TOOLS) or missing(TOOLS))
    if importlib.util.find_spec("libvirt") is None:
        need("guests need Debian's python3-libvirt (a venv with --system-site-packages)")
    from vm.host import Host

    host = Host(tmp_path_factory.mktemp("libvirt"))
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="session")
def domain(host, image, tmp_path_factory):
    """A running guest that libvirt knows."""
    from vm.host import Domain

    # Not "domain-": libvirt drops a socket below domain-*/, as one that it chose itself.
    domain = Domain(host, image, tmp_path_factory.mktemp(f"virsh-{image.release}-"), AGENT)
    try:
        domain.start()
        yield domain
    finally:
        domain.stop()
