"""A host that was cut off has left transactions open: whoever finds its worker dead ends them, and nobody else's."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from support.engine import ACTOR, FAST, ScriptedTool, compiled, ended, eventually, running, start

from signoff.core.errors import UnavailableError
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import store
from signoff.runtime.handlers import Done

BACKEND = "SELECT pg_backend_pid()"
OWN = "UPDATE run_queue SET owner = $1 WHERE run_id = $2"
THERE = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"


@pytest.fixture
async def cut_off(database_url: str) -> Any:
    """The database as a process sees it that will not answer; nothing but the end of its session ends its locks."""
    settings = DatabaseSettings(url=database_url, idle_in_transaction_timeout_s=600)
    async with await Database.open(settings) as opened:
        yield opened


@pytest.mark.parametrize("held", ["session", "run", "event"])
async def test_what_a_dead_worker_holds_is_let_go_of(database: Database, cut_off: Database, held: str):
    """Its session, locked as a write under way locks it; a run's row; or what an emitting step holds, as the app."""
    flow = compiled("it", "steps:\n  go: {tool: go, with: {}}\noutcome: {ok: go.done}\n", go=False)
    run_id, session_id = await start(database, flow, {}), uuid.uuid4()
    async with cut_off.worker_connection() as connection:
        await connection.execute(store.OPEN_SESSION, session_id, "far", 1, 0.5)
        await connection.execute(OWN, session_id, run_id)
    statement = {
        "session": "SELECT FROM worker_session FOR KEY SHARE",
        "run": "SELECT FROM run_queue FOR UPDATE",
        "event": "SELECT pg_advisory_xact_lock(4711)",
    }[held]
    holding: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    let_go = asyncio.Event()
    held_open = asyncio.create_task(_hold(cut_off, statement, holding, let_go, app=held == "event"))
    backend = await holding
    async with running(database, [flow], ScriptedTool({"go": lambda call: Done({})}), FAST):
        assert (await ended(database, run_id, 20)).outcome == "ok"
        await eventually(lambda: _gone(database, backend))
    let_go.set()
    with pytest.raises(UnavailableError):
        await held_open


async def test_connections_of_others_stay(database: Database, cut_off: Database, database_url: str):
    """Those of a process that has a session which is alive, of one that has none, and of who asks."""
    async with (
        await Database.open(DatabaseSettings(url=database_url)) as api,
        cut_off.worker_connection() as one,
        api.worker_connection() as two,
        database.worker_connection() as connection,
    ):
        backends = [await one.fetchval(BACKEND), await two.fetchval(BACKEND)]
        await one.execute(store.OPEN_SESSION, uuid.uuid4(), "far", 1, 60.0)
        await one.execute(store.OPEN_SESSION, uuid.uuid4(), "far", 1, -1.0)  # an earlier one of the same process
        await connection.execute(store.OPEN_SESSION, uuid.uuid4(), "here", 1, -1.0)
        clients = {row["client"] for row in await connection.fetch("SELECT DISTINCT client FROM worker_session")}
        assert len(clients) == 2
        found = await connection.fetchrow(store.END_BACKENDS, [*clients, ""])
        assert found is not None
        assert (found["ended"], found["refused"]) == (0, 0)
        assert [await connection.fetchval(THERE, backend) for backend in backends] == [1, 1]


async def _hold(
    database: Database, statement: str, holding: asyncio.Future[int], let_go: asyncio.Event, *, app: bool
) -> None:
    async with database.transaction(ACTOR.org_id) if app else database.worker_transaction() as connection:
        backend = await connection.fetchval(BACKEND)
        await connection.execute(statement)
        holding.set_result(backend)
        await let_go.wait()


async def _gone(database: Database, backend: int) -> bool:
    async with database.worker_connection() as connection:
        return await connection.fetchval(THERE, backend) == 0
