"""Guestwire: the agent inside a virtual machine, and the host's side of it."""

__version__ = "0.1.0"
