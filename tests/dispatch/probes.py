"""Handlers for the dispatcher's tests, named in rows as "dispatch.probes:<function>"."""

from __future__ import annotations

import threading

from guestwire.errors import InvalidArgument, Unsupported

gate = threading.Event()


def echo(context, text: str = ""):
    return text


def refuse(context):
    raise InvalidArgument("no")


def lack(context):
    raise Unsupported("not here")


def missing_file(context):
    return context.root.read_text("/nowhere")


def defect(context):
    raise ZeroDivisionError


def wait(context):
    gate.wait(30)
    return "done"


def remaining(context):
    return context.deadline


def never(root):
    return False
