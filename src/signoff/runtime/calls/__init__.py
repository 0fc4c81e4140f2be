"""Runs that call runs: one is started once, and its end reaches whoever waits for it."""

from signoff.runtime.calls.children import CHILD_ENDED, Child, ChildStart, end_told, find_child, start_child
from signoff.runtime.calls.telling import SENDER, tell_parent

__all__ = [
    "CHILD_ENDED",
    "SENDER",
    "Child",
    "ChildStart",
    "end_told",
    "find_child",
    "start_child",
    "tell_parent",
]
