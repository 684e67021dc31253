"""Any plan, with refusals explained: a frozen guest refuses nearly everything."""

from __future__ import annotations

from typing import TypeVar

from ..errors import ClientError, GuestFrozen, RefusedByPolicy
from ..steps import Ask, Plan, ask

T = TypeVar("T")
STATUS = "guest-fsfreeze-status"


def single(step: Ask) -> Plan[object]:
    """One question, as a plan."""
    return (yield step)


def explained(plan: Plan[T]) -> Plan[T]:
    """The plan's own steps, and a question for the reason where one is refused.

    Newer agents say no more than that a command is not allowed.
    """
    try:
        step = next(plan)
        while True:
            try:
                answer = yield step
            except RefusedByPolicy as error:
                step = plan.throw((yield from reason(error)))
            except BaseException as error:
                step = plan.throw(error)
            else:
                step = plan.send(answer)
    except StopIteration as stop:
        value: T = stop.value
        return value


def reason(error: RefusedByPolicy) -> Plan[RefusedByPolicy]:
    """The error, or a better one: GuestFrozen where that is why."""
    if error.command == STATUS:
        return error
    try:
        frozen = (yield ask(STATUS)) == "frozen"
    except ClientError:
        return error
    if not frozen:
        return error
    advice = "the guest's file systems are frozen: 'guestwire thaw' thaws them"
    return GuestFrozen(error.command, error.error_class, error.desc, advice)
