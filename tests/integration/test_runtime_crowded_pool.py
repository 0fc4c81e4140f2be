"""More steps want a connection than there are: they take turns, however long that takes, and none fails of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.engine import eventually

from signoff.core.clock import SystemClock
from signoff.core.errors import UnavailableError
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import RuntimeSettings
from signoff.runtime.calling import PATIENCE_LEASES, called

BRIEF = RuntimeSettings(lease_s=0.2, heartbeat_s=0.05)


async def test_a_step_waits_for_its_turn_at_a_crowded_pool(database_url: str):
    """A starved machine had 256 steps emit one after the other: those at the end failed runs that had been paid."""
    settings = DatabaseSettings(url=database_url, app_pool_size=1, connect_timeout_s=1.0, recovery_wait_s=0.1)
    async with await Database.open(settings) as database:
        tried = 0

        async def work() -> str:
            nonlocal tried
            tried += 1
            async with database.transaction(DEFAULT_ORG_ID):
                return "done"

        engine = SimpleNamespace(clock=SystemClock(), settings=BRIEF, database=database)
        execution: Any = SimpleNamespace(engine=engine, abandoned=False)
        call: Any = SimpleNamespace(timeout_s=30.0, path="a", run=SimpleNamespace(run_id="r"))
        async with database.transaction(DEFAULT_ORG_ID):
            with pytest.raises(UnavailableError, match="TimeoutError"):
                await work()
            step = asyncio.create_task(cast("Any", called(execution, call, work)))
            await asyncio.sleep(2 * PATIENCE_LEASES * BRIEF.lease_s)  # that long it is crowded
            await eventually(lambda: tried > 2)
            assert not step.done(), step
        assert await step == "done"
