"""A conversation with an agent, ready for the next question."""

from __future__ import annotations

import time
from typing import Callable, Optional, Protocol

from . import libvirt_host
from .conversation import Answer, Conversation, Refusal, parse_answer
from .errors import (
    AgentNotRunning,
    AgentTooOld,
    BadAnswer,
    CannotReach,
    ChannelLost,
    ClientError,
    GuestCommandFailed,
    NoAnswer,
    RefusedByPolicy,
    RequestTooLong,
)
from .steps import Ask
from .streams import Stream
from .watch import START_AGENT, LibvirtWatch, Watch

GRACE = 5.0  # seconds in which an agent objects to a command that it would not answer
TICK = 0.6  # seconds of silence after which the VM is looked at
GREET_AGAIN = 2.0

# libvirt's end of the agent's socket does not block, and what does not fit into the socket at once
# is sent twice (qemuAgentIOWrite with safewrite in src/qemu/qemu_agent.c, seen with 9.0).
LONGEST_REQUEST = 96 << 10
# How libvirt passes an agent's error on (qemuAgentCheckError in src/qemu/qemu_agent.c).
REFUSED = "unable to execute QEMU agent command '{}': "
POLICY = (
    "its configuration in the guest forbids it: 'allow-rpcs', 'block-rpcs' in qemu-ga.conf or "
    "/etc/sysconfig/qemu-ga, 'allow', 'block' in guestwire's agent.conf"
)


Waiting = Callable[[ClientError], None]


class Link(Protocol):
    """After CannotReach, NoAnswer and BadAnswer a link is of no more use."""

    def ask(self, step: Ask) -> object:
        """What the command returned. Raises GuestCommandFailed and what its siblings name."""

    def close(self) -> None: ...


class StreamLink:
    """The QEMU guest agent's dialect over a stream."""

    def __init__(self, stream: Stream, watch: Watch) -> None:
        self.stream = stream
        self.watch = watch
        self.conversation = Conversation()

    def greet(self, deadline: float, waiting: Optional[Waiting]) -> None:
        """Until the agent is in step. With `waiting`, what is wrong may yet become right."""
        talk = self.conversation
        silent_until = time.monotonic() + TICK
        greet_at = 0.0
        while not talk.in_step:
            now = time.monotonic()
            if now >= greet_at:
                talk.greet()
                greet_at = now + GREET_AGAIN
            self._send(deadline)
            talk.receive(self.stream.recv(min(deadline, silent_until)))
            if talk.refusal is not None:
                raise failure("guest-sync-delimited", talk.refusal)
            if talk.in_step or time.monotonic() < min(silent_until, deadline):
                continue
            silent_until = time.monotonic() + TICK
            known = self.watch.why()
            if known is None and (waiting or time.monotonic() >= deadline):
                known = AgentNotRunning(f"{self.stream.name}: no agent answered", START_AGENT)
            if known is not None:
                if waiting is None or time.monotonic() >= deadline:
                    raise known
                waiting(known)

    def ask(self, step: Ask) -> object:
        deadline = time.monotonic() + patience(step)
        try:
            self.conversation.ask(step.command, step.arguments, step.limit, step.silent)
            self._send(deadline)
            while (answer := self.conversation.answer()) is None:
                data = self.stream.recv(deadline)
                if not data:
                    raise late(step, self.stream.name, self.watch)
                self.conversation.receive(data)
        except (NoAnswer, ChannelLost):
            if step.silent:  # which is what success looks like
                return None
            raise
        return value_of(step, answer)

    def close(self) -> None:
        self.stream.close()

    def _send(self, deadline: float) -> None:
        if not self.stream.send(self.conversation.take(), deadline):
            raise NoAnswer(f"{self.stream.name}: the guest does not read", START_AGENT)


class LibvirtLink:
    """Whole requests through libvirt, which keeps the QEMU guest agent's port of its domains."""

    def __init__(self, domain: object, name: str, watch: LibvirtWatch) -> None:
        self._domain = domain
        self._name = name
        self._watch = watch

    def greet(self, deadline: float, waiting: Optional[Waiting]) -> None:
        """libvirt knows at once that no agent is there, so the VM is looked at first."""
        known = self._watch.why()
        if known is not None:
            raise known
        left = deadline - time.monotonic()
        self.ask(Ask("guest-ping", {}, max(1.0, min(5.0, left)), 1 << 16))

    def ask(self, step: Ask) -> object:
        import json

        import libvirt_qemu

        timeout = max(1, round(patience(step)))
        request: dict[str, object] = {"execute": step.command}
        if step.arguments:
            request["arguments"] = step.arguments
        text = json.dumps(request)
        if len(text) > LONGEST_REQUEST:
            raise RequestTooLong(
                f"{self._name}: {step.command}: libvirt garbles requests longer than "
                f"{LONGEST_REQUEST >> 10} KiB, and this one has {len(text) >> 10} KiB",
                "copy the data into the guest with 'guestwire cp', and read it there",
                LONGEST_REQUEST,
            )
        call = libvirt_qemu.qemuAgentCommand
        try:
            line = libvirt_host.within(
                timeout + 7.0,  # libvirt's own sync before it takes five
                f"{self._name}: {step.command}",
                lambda: call(self._domain, text, timeout, 0),
            )
        except libvirt_host.LibvirtRefused as error:
            if step.silent:
                return None
            raise self._cause(step, error) from error
        if len(line) > step.limit:
            raise BadAnswer(f"the guest's answer is longer than {step.limit} bytes")
        return value_of(step, parse_answer(line.encode()))

    def close(self) -> None:
        self._domain = None

    def _cause(self, step: Ask, error: libvirt_host.LibvirtRefused) -> Exception:
        import libvirt

        _, said, desc = error.text.partition(REFUSED.format(step.command))
        if said:
            return failure(step.command, Refusal(_class_of(desc), desc))
        timed_out = getattr(libvirt, "VIR_ERR_AGENT_COMMAND_TIMEOUT", -1)
        known = self._watch.why()
        if known is not None:
            return known
        if error.number in (timed_out, libvirt.VIR_ERR_AGENT_UNRESPONSIVE):
            return late(step, self._name, self._watch)
        return CannotReach(error.text, "see the log of libvirtd or virtqemud")


def _class_of(desc: str) -> str:
    """QEMU's class of an error, which libvirt keeps to itself."""
    gone = "has not been found" in desc or "has been disabled" in desc
    return "CommandNotFound" if gone else "GenericError"


def patience(step: Ask) -> float:
    """Seconds until an answer is no longer expected."""
    return min(GRACE, step.timeout) if step.silent else step.timeout


def value_of(step: Ask, answer: Answer) -> object:
    if isinstance(answer, Refusal):
        raise failure(step.command, answer)
    return answer.value


def failure(command: str, refusal: Refusal) -> GuestCommandFailed:
    """The refusal by its cause; QEMU's two classes and its words tell them apart."""
    kind, desc = refusal
    if kind == "CommandNotFound" and "disabled" not in desc:
        advice = "the agent in the guest is too old, or another one: update it"
        return AgentTooOld(command, kind, desc, advice)
    if kind in ("CommandNotFound", "CommandDisabled"):
        return RefusedByPolicy(command, kind, desc, POLICY)
    return GuestCommandFailed(command, kind, desc)


def late(step: Ask, name: str, watch: Watch) -> Exception:
    """A command's time is up: the VM's state, if that is why, or else the agent's silence."""
    known = watch.why()
    if known is not None:
        return known
    return NoAnswer(
        f"{name}: {step.command} was not answered within {step.timeout:g} s",
        "it may still be carried out; ask again, with a longer timeout",
    )
