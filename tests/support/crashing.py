"""Workers that die in the middle of a run, and what must be the same afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from tests.support.engine import FAST, Releases, ScriptedTool, SetHandler, journal

from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.runtime import RuntimeSettings, Worker
from signoff.runtime.events import Event
from signoff.runtime.handlers import StepHandler
from signoff.runtime.state import RunState, fold
from signoff.workflows.model import Workflow


@asynccontextmanager
async def crashing(
    database: Database,
    workflows: Sequence[Workflow],
    tool: ScriptedTool,
    settings: RuntimeSettings = FAST,
    *,
    others: Sequence[StepHandler] = (),
) -> AsyncGenerator[Worker]:
    """A worker that is cut off at the end of the block: what it had not written is lost."""
    worker = Worker(
        database,
        handlers=[tool, *others],
        pure=[SetHandler()],
        releases=Releases({workflow.name: workflow for workflow in workflows}),
        clock=SystemClock(),
        settings=settings,
    )
    task = asyncio.create_task(worker.run())
    try:
        await asyncio.wait_for(worker.ready(), 10)
        yield worker
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def folded(database: Database, run_id: UUID) -> RunState:
    """The state that the journal gives now."""
    events = await journal(database, run_id)
    return fold(Event(event.seq, event.kind, event.recorded_at, event.data) for event in events)


async def kinds(database: Database, run_id: UUID, path: str) -> list[str]:
    """What the journal says of one step, in order."""
    return [event.kind for event in await journal(database, run_id) if event.data.get("step") == path]
