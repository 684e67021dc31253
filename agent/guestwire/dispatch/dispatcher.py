"""From a request to its answer: find, permit, bind, run."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Callable, NamedTuple, Optional

from ..errors import CommandError, UnknownCommand, Unsupported
from ..system.root import Root
from ..system.run import Run
from ..wire.events import Answer, Failure, Reply, Request
from . import audit
from .command import Command, Context, Listed
from .jobs import Jobs
from .params import Binder
from .policy import EVERYTHING, Policy
from .streams import Stream
from .workers import Workers

log = logging.getLogger(__name__)
COMMANDS_PACKAGE = "guestwire.commands."


class Bound(NamedTuple):
    """A handler that has been imported, with its parameters understood."""

    call: Callable[..., object]
    binder: Binder


class Dispatcher:
    """One for the agent, used by all its channels at once.

    `policy` and `settings` may be replaced at any time. `frozen` is asked on each request.
    """

    def __init__(
        self,
        commands: Iterable[Command],
        root: Root,
        run: Run,
        jobs: Jobs,
        *,
        policy: Policy = EVERYTHING,
        settings: Mapping[str, str] = {},
        frozen: Callable[[], bool] = lambda: False,
    ) -> None:
        self.policy = policy
        self.settings = settings
        self._commands = {command.name: command for command in commands}
        self._root = root
        self._run = run
        self._jobs = jobs
        self._frozen = frozen
        self._workers = Workers()
        self._bound: dict[str, Bound] = {}
        self._listing: Optional[tuple[Policy, bool, tuple[Listed, ...]]] = None

    def answer(self, request: Request, channel: str, stream: Optional[Stream] = None) -> Answer:
        """Run the command. Never raises: whatever goes wrong is an answer."""
        started = time.monotonic()
        command = self._commands.get(request.command)
        answer: Answer
        try:
            if command is None:
                raise UnknownCommand(f"The command {request.command} has not been found")
            self.policy.permit(command, self._frozen())
            value = self._execute(command, request, started + command.deadline, stream)
            answer = Reply(value, request, not command.replies)
        except CommandError as error:
            answer = Failure(error, request)
        except OSError as error:
            answer = Failure(CommandError(_os_error_text(error)), request)
        except Exception as error:
            log.exception("%s: defect in %s", channel, request.command)
            answer = Failure(CommandError(f"internal error: {type(error).__name__}"), request)
        audit.record(channel, command, answer, started)
        return answer

    def listed(self) -> tuple[Listed, ...]:
        """Every command of the table, as a host may see it now.

        What the guest lacks is looked for again when the policy or the freeze changes: monitors
        ask every few seconds, and hardware does not come and go like that.
        """
        policy, frozen = self.policy, self._frozen()
        if self._listing is None or self._listing[0] is not policy or self._listing[1] != frozen:
            self._listing = (policy, frozen, tuple(self._list(policy, frozen)))
        return self._listing[2]

    def _list(self, policy: Policy, frozen: bool) -> Iterator[Listed]:
        for command in self._commands.values():
            enabled = policy.allows(command, frozen)
            if enabled and command.needs:
                enabled = self._has(command.needs)
            yield Listed(command.name, enabled, command.replies)

    def preload(self) -> None:
        """Import whatever may run while frozen: reading a module then could wait for a disk."""
        for command in self._commands.values():
            if command.while_frozen:
                self._load(command)

    def parameters(self, name: str) -> Binder:
        return self._load(self._commands[name]).binder

    def _execute(
        self, command: Command, request: Request, deadline: float, stream: Optional[Stream]
    ) -> object:
        if command.streams and stream is None:
            raise Unsupported(f"{command.name} has streams, which this dialect does not carry")
        call, binder = self._bound.get(command.name) or self._load(command)
        arguments = binder.bind(request.arguments)
        context = Context(
            self._root, self._run, self._jobs, deadline, self.settings, self.listed, stream
        )
        if not command.long:
            return call(context, **arguments)
        return self._workers.run(
            lambda: call(context, **arguments), deadline, command.name, always=command.while_frozen
        )

    def _load(self, command: Command) -> Bound:
        bound = self._bound.get(command.name)
        if bound is None:
            call = _import(command.handler)
            bound = self._bound[command.name] = Bound(call, Binder(call))
        return bound

    def _has(self, needs: str) -> bool:
        return bool(_import(needs)(self._root))


def _import(name: str) -> Callable[..., object]:
    module, _, function = name.partition(":")
    if "." not in module:
        module = COMMANDS_PACKAGE + module
    found: Callable[..., object] = getattr(importlib.import_module(module), function)
    return found


def _os_error_text(error: OSError) -> str:
    reason = error.strerror or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename is not None else reason
