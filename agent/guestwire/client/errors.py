"""Every error the host's library raises on purpose: each is a cause, and says what to do next.

ClientError
|-- BadAddress             the text is no address of a guest
|-- NoSuchGuest            nothing that runs here has this name
|-- CannotReach            there is no conversation with the agent
|   |-- VmOff
|   |-- VmPaused           `why` is what QEMU or libvirt call it
|   |-- NoSuchChannel      the VM has no such device; the advice is what adds it
|   |-- ChannelBusy        another program talks to this agent
|   |-- AgentNotRunning    nobody in the guest has opened its end
|   |-- EchoingTty         at the other end is a terminal and no agent
|   `-- ChannelLost        it worked, and ended
|-- NoAnswer               the agent did not answer in time; the command may have been carried out
|-- RequestTooLong         the way to the agent does not carry so much at once; nothing was sent
|-- BadAnswer              the guest broke the protocol, or told what cannot be
|-- StillRunning           a program in the guest did not end in time
|-- NotThawed              file systems of the guest are still frozen, as far as is known
|-- ThawedEarly            the guest thawed by itself: what was saved meanwhile is not consistent
`-- GuestCommandFailed     the agent says no; `error_class` and `desc` are its words
    |-- AgentTooOld        it does not know the command
    `-- RefusedByPolicy    it knows the command, and may not run it
        `-- GuestFrozen    because file systems are frozen
"""

from __future__ import annotations

from ..errors import AgentError
from .printable import printable


class ClientError(AgentError):
    """`code` is for programs and never changes; the text and the `advice` are for people."""

    code = "failed"

    def __init__(self, text: str, advice: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.text}; {self.advice}" if self.advice else self.text


class BadAddress(ClientError):
    code = "bad-address"


class NoSuchGuest(ClientError):
    code = "no-such-guest"


class CannotReach(ClientError):
    code = "cannot-reach"


class VmOff(CannotReach):
    code = "vm-off"


class VmPaused(CannotReach):
    code = "vm-paused"

    def __init__(self, text: str, advice: str = "", why: str = "paused") -> None:
        super().__init__(text, advice)
        self.why = why


class NoSuchChannel(CannotReach):
    code = "no-such-channel"


class ChannelBusy(CannotReach):
    code = "channel-busy"


class AgentNotRunning(CannotReach):
    code = "agent-not-running"


class EchoingTty(CannotReach):
    code = "echoing-tty"


class ChannelLost(CannotReach):
    code = "channel-lost"


class NoAnswer(ClientError):
    code = "no-answer"


class RequestTooLong(ClientError):
    """`limit` is in bytes of the request as JSON."""

    code = "request-too-long"

    def __init__(self, text: str, advice: str, limit: int) -> None:
        super().__init__(text, advice)
        self.limit = limit


class BadAnswer(ClientError):
    code = "bad-answer"


class StillRunning(ClientError):
    """`pid` is the guest's, for `Guest.result`."""

    code = "still-running"

    def __init__(self, text: str, advice: str, pid: int) -> None:
        super().__init__(text, advice)
        self.pid = pid


class NotThawed(ClientError):
    code = "not-thawed"


class ThawedEarly(ClientError):
    code = "thawed-early"


class GuestCommandFailed(ClientError):
    """`desc` is as the guest sent it; the error's text is fit for a terminal."""

    code = "guest-command-failed"

    def __init__(self, command: str, error_class: str, desc: str, advice: str = "") -> None:
        super().__init__(f"{command}: {printable(desc)}", advice)
        self.command = command
        self.error_class = error_class
        self.desc = desc


class AgentTooOld(GuestCommandFailed):
    code = "agent-too-old"


class RefusedByPolicy(GuestCommandFailed):
    code = "refused-by-policy"


class GuestFrozen(RefusedByPolicy):
    code = "guest-frozen"
