"""SELinux: files that were created get the label that the policy names for them."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Unsupported
from .root import Root
from .run import Run


def relabel(root: Root, run: Run, paths: Sequence[str], deadline: float) -> None:
    """Have restorecon label the paths, where SELinux is on and restorecon is installed.

    A new file inherits its directory's type, which sshd and others in their domains may not read.
    An image that is not live is left to the relabelling at its first boot.
    """
    if not paths or not root.live or not root.exists("/sys/fs/selinux/enforce"):
        return
    try:
        run(["restorecon", "-F", *paths], deadline=deadline).check()
    except Unsupported:
        return
