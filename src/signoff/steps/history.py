"""What the records of calls and of evaluations know of models, as routes ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from signoff.capabilities.gateway.records import measured_health
from signoff.capabilities.gateway.resilience.health import WINDOW_S
from signoff.capabilities.gateway.routing.past import PastCalls
from signoff.catalog.registry.scores import measured_qualities
from signoff.core.clock import Clock
from signoff.foundation.database import Database


class ModelHistory:
    """Of a deployment; see `Past`.

    Args:
        database: where the records are.
        clock: for what is lately.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def calls(self, org_id: UUID, environment: str) -> Mapping[str, PastCalls]:
        """How each model of an environment did in the last minutes."""
        since = self._clock.now() - timedelta(seconds=WINDOW_S)
        async with self._database.transaction(org_id) as connection:
            found = await measured_health(connection, org_id, environment=environment, since=since)
        return {
            name: PastCalls(
                one.tries, round(one.tries * one.error_rate), (one.first_token_s or one.latency_s or (None,))[0]
            )
            for name, one in found.items()
        }

    async def qualities(self, org_id: UUID, project: str, prompt: str) -> Mapping[str, float]:
        """How good each model was found at a prompt."""
        async with self._database.transaction(org_id) as connection:
            return await measured_qualities(connection, org_id, project, prompt)
