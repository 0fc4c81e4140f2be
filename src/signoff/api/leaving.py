"""That a client has left, told by its connection: a task that waits for it takes as long as much of a short call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

LEAVING = "signoff.leaving"
"""Where a scope keeps who tells that its client leaves, if anybody does."""


class Leaving:
    """Tells the end of a client's connection."""

    def __init__(self) -> None:
        self._gone = False
        self._listeners: list[Callable[[], None]] = []

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have a listener called once the client is gone; soon where it is. What is returned takes it back."""
        if self._gone:
            return asyncio.get_running_loop().call_soon(listener).cancel
        self._listeners.append(listener)

        def take_back() -> None:
            with suppress(ValueError):
                self._listeners.remove(listener)

        return take_back

    def tell(self) -> None:
        """It is gone."""
        self._gone = True
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()
