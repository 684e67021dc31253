"""The one gate: which commands may run now."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple, Optional

from ..errors import NotPermitted
from .command import Command

# The reason that QEMU 9.1 and later give, and the one that earlier versions gave for a freeze.
NOT_ALLOWED = "the command is not allowed"
FROZEN_BEFORE_9_1 = "the agent is in frozen state"


class Policy(NamedTuple):
    """An allow list makes everything else forbidden; the block list wins over it.

    A name in the block list means what the command does, so it also blocks those that are like it.

    While file systems are frozen the rows marked for it run whatever the lists say, and
    nothing else does: a guest must never be left frozen by its own policy.
    """

    allow: Optional[frozenset[str]] = None
    block: frozenset[str] = frozenset()
    frozen_reason: str = NOT_ALLOWED

    def allows(self, command: Command, frozen: bool) -> bool:
        if frozen:
            return command.while_frozen
        if not self.block.isdisjoint((command.name, *command.like)):
            return False
        return self.allow is None or command.name in self.allow

    def permit(self, command: Command, frozen: bool) -> None:
        """Raise NotPermitted, in the QEMU guest agent's words, unless the command may run."""
        if not (frozen or self.block) and self.allow is None:
            return  # as on most guests, and on each request: without another call
        if not self.allows(command, frozen):
            reason = self.frozen_reason if frozen else NOT_ALLOWED
            raise NotPermitted(f"Command {command.name} has been disabled: {reason}")

    def unknown(self, known: Collection[str]) -> Iterable[str]:
        """Names in the lists that no command has: most likely typing mistakes."""
        return sorted({*(self.allow or ()), *self.block}.difference(known))


EVERYTHING = Policy()
