"""Python's garbage collector in a process that lives long and makes many small objects."""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 50_000
"""New objects between two collections. At Python's own 700 a worker spent a fifth of its time collecting."""

YOUNG_COLLECTIONS = 20
"""Collections of the young before the middle generation is looked at, and of that before the old one is."""


def settle_collector() -> None:
    """Call once a process is ready: what it holds by then stays for ever and is never looked at again.

    Almost everything that the engine makes is freed by its reference count; what is left in cycles is bounded by
    `YOUNG_OBJECTS`, a few megabytes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_COLLECTIONS, YOUNG_COLLECTIONS)
