"""A command is a row of a table and a function; this is the row, and what the function gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable, NamedTuple, Optional

from ..system.root import Root
from ..system.run import Run
from .jobs import Jobs
from .streams import Stream


class Command(NamedTuple):
    """A row of the table: everything that is asked of a command outside its handler.

    `handler` is "module:function"; a module without a dot is one of `guestwire.commands`.
    `needs` is "module:function" of a predicate on the Root (in `guestwire.commands`, too): where
    it says no, hosts see the command as not enabled. `secrets` are arguments that no log shows.
    `like` names commands that can do the same: who blocks one of them blocks this one, too.
    """

    name: str
    handler: str
    while_frozen: bool = False  # runs while file systems are frozen, whatever the lists say
    replies: bool = True  # False: success goes unanswered, since the guest is on its way down
    long: bool = False  # may block past its deadline; runs in a worker that can be given up
    streams: bool = False  # talks with the host while it runs, through `Context.stream`
    quiet: bool = False  # monitors ask it every few seconds; its audit line is at level debug
    deadline: float = 60.0  # seconds until `Context.deadline`
    secrets: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    needs: str = ""


class Listed(NamedTuple):
    """A command as a host sees it."""

    name: str
    enabled: bool
    replies: bool


class Context(NamedTuple):
    """What every handler gets as its first argument.

    `deadline` is a time.monotonic() value, after which the host is no longer waiting.
    `stream` is there for commands whose row says `streams`. `settings` are the keys of the
    configuration's [commands] section, as text.
    """

    root: Root
    run: Run
    jobs: Jobs
    deadline: float
    settings: Mapping[str, str]
    listed: Callable[[], tuple[Listed, ...]]
    stream: Optional[Stream] = None
