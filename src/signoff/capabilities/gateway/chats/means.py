"""What all chats of a gateway share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import field

from signoff.capabilities.gateway.asking import Limits
from signoff.capabilities.gateway.protection import Protector
from signoff.capabilities.gateway.resilience.guarding import Guard
from signoff.capabilities.gateway.resilience.settings import ResilienceSettings
from signoff.capabilities.gateway.screening.screen import Screen
from signoff.core.clock import Clock
from signoff.core.values import value


class Finishing:
    """What must be done to its end though whoever began it is gone."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def done(self, work: Coroutine[None, None, None]) -> None:
        """Wait for it; a cancellation ends the wait, not the work."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def aclose(self) -> None:
        """Wait for all of it."""
        while self._tasks:
            await asyncio.wait(self._tasks)


@value
class Means:
    """What a chat works with.

    Attributes:
        clock: for deadlines and waits.
        chance: a random number from 0 to 1.
        protector: carries out what permits demand.
        settings: how long to wait, how often to ask again.
        guard: leaves models that keep failing alone.
        limits: quotas and budgets; none is no limit.
        screen: looks for injections and for ways to carry data out.
        finishing: settles what was set aside, whatever becomes of the caller.
    """

    clock: Clock
    chance: Callable[[], float]
    protector: Protector
    settings: ResilienceSettings
    guard: Guard
    limits: Limits | None = None
    screen: Screen = field(default_factory=Screen)
    finishing: Finishing = field(default_factory=Finishing)
