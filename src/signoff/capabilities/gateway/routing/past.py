"""What the records know of models: how they did before this process began, and how good they were found."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

from signoff.capabilities.gateway.asking import NOBODY, Asked
from signoff.capabilities.gateway.resilience.health import MAX_CALLS, Health
from signoff.core.clock import Clock
from signoff.core.errors import UnavailableError
from signoff.core.values import value

FRESH_S = 60.0
"""How long measured qualities are taken as they were read, in seconds."""
WAIT_S = 1.0
"""How long a call waits for what the records know, in seconds: it goes on without."""
MAX_PROMPTS = 1_024
"""Of how many prompts qualities are kept."""

_log = logging.getLogger(__name__)


@value
class PastCalls:
    """How a model did lately, over all processes.

    Attributes:
        tries: calls to it.
        failed: of them by its own or its vendor's fault.
        latency_s: the median to the first token, or to the answer, of those that succeeded, in seconds.
    """

    tries: int
    failed: int
    latency_s: float | None


class Past(Protocol):
    """What the records know."""

    async def calls(self, org_id: UUID, environment: str) -> Mapping[str, PastCalls]:
        """How each model of an environment did in the last minutes, by its name."""
        ...

    async def qualities(self, org_id: UUID, project: str, prompt: str) -> Mapping[str, float]:
        """How good each model was found at a prompt, from 0 to 1, by its name."""
        ...


class Known:
    """What of it this process has read: health once, at an environment's first call; qualities each minute.

    Args:
        past: the records; none knows nothing.
        health: what is filled.
        clock: for how old a reading is.
    """

    def __init__(self, past: Past | None, health: Health, clock: Clock) -> None:
        self._past = past
        self._health = health
        self._clock = clock
        self._begun: set[tuple[UUID, str]] = set()
        self._qualities: OrderedDict[tuple[UUID, str, str], tuple[float, Mapping[str, float]]] = OrderedDict()

    async def of(self, asked: Asked) -> Mapping[str, float]:
        """How good models were found at the request's prompt; what is known of their health is in `health` then."""
        caller = asked.caller
        if self._past is None or caller.org_id == NOBODY.org_id:
            return {}
        place = (caller.org_id, caller.environment)
        if place not in self._begun:
            self._begun.add(place)
            await self._fill(self._past, *place)
        return await self._measured(self._past, (caller.org_id, caller.project, asked.prompt)) if asked.prompt else {}

    async def _fill(self, past: Past, org_id: UUID, environment: str) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                found = await past.calls(org_id, environment)
        except (TimeoutError, UnavailableError) as error:
            _log.warning("how models did before is not known: %s", error)
            return
        for model, calls in found.items():
            shrunk = min(1.0, MAX_CALLS / calls.tries)
            for _ in range(round(calls.failed * shrunk)):
                self._health.saw((org_id, model), failed=True, latency_s=0.0)
            if calls.latency_s is not None:
                for _ in range(round((calls.tries - calls.failed) * shrunk)):
                    self._health.saw((org_id, model), failed=False, latency_s=calls.latency_s)

    async def _measured(self, past: Past, key: tuple[UUID, str, str]) -> Mapping[str, float]:
        known, now_s = self._qualities.get(key), self._clock.monotonic_s()
        if known is not None and now_s - known[0] < FRESH_S:
            return known[1]
        # Told at once that it is read, so that calls beside this one do not read it too.
        self._qualities[key] = (now_s, {} if known is None else known[1])
        self._qualities.move_to_end(key)
        if len(self._qualities) > MAX_PROMPTS:
            self._qualities.popitem(last=False)
        try:
            async with asyncio.timeout(WAIT_S):
                found = await past.qualities(*key)
        except (TimeoutError, UnavailableError) as error:
            _log.warning("how good models were found is not known: %s", error)
            return {} if known is None else known[1]
        self._qualities[key] = (now_s, found)
        return found
