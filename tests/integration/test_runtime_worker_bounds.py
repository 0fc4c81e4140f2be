"""What bounds a worker: memory, and how it learns of work; and the doctor's look at the journal's months."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import psycopg
from support.engine import FAST, ScriptedTool, compiled, ended, running, start

from signoff.core.clock import SystemClock
from signoff.foundation.database import Database
from signoff.foundation.database.connection import driver
from signoff.foundation.database.poolers import require_sessions, take_settings
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.diagnosis import diagnose
from signoff.runtime.execution import RunExecution
from signoff.runtime.handlers import Done, StepCall

BODY = "steps:\n  a: {tool: work, with: {n: '${input.n}'}}\noutcome: {ok: a.done}\n"
TEXT = "x" * 20_000


class Held:
    """A tool that everybody stays at until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.now = self.most = 0

    async def __call__(self, call: StepCall) -> Done:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.open.wait()
        self.now -= 1
        return Done({})


async def test_runs_beyond_a_workers_memory_are_not_claimed_and_come_later(database: Database) -> None:
    flow = compiled("held", BODY, work=False)
    runs = [await start(database, flow, {"n": n, "text": TEXT}) for n in range(12)]
    async with database.worker_connection() as connection:
        of_one: Any = await connection.fetchval("SELECT avg(journal_bytes)::int FROM run_queue")
    held = Held()
    settings = FAST.model_copy(update={"resident_bytes": 4 * of_one, "claim_batch": 3})
    async with running(database, [flow], ScriptedTool({"work": held}), settings):
        while held.now < 1:  # noqa: ASYNC110  (the tool tells by its count)
            await asyncio.sleep(0.01)
        for _ in range(10):  # looks of the worker at what it might claim
            await asyncio.sleep(settings.poll_s)
        assert 1 <= held.most < len(runs)
        assert held.most <= 8  # the bound, and a claim that was begun below it
        held.open.set()
        for run_id in runs:
            assert (await ended(database, run_id)).status == "done"


async def test_a_run_that_has_left_memory_leaves_nothing_to_the_collector(database: Database) -> None:
    """Its parts refer to each other in circles: a worker spent a twelfth of its time on finding them."""
    flow = compiled("left", "steps:\n  a: {set: {n: '${input.n}'}}\noutcome: {ok: a.done}\n")
    runs = [await start(database, flow, {"n": n}) for n in range(3)]
    gc.collect()  # of tests before this one
    gc.disable()
    try:
        async with running(database, [flow], ScriptedTool({})):
            for run_id in runs:
                assert (await ended(database, run_id)).status == "done"
        # Of these runs: what tests before this one hold on to is not looked for here.
        assert not [found for found in gc.get_objects() if type(found) is RunExecution and found.run_id in runs]
    finally:
        gc.enable()


async def test_without_listening_work_is_found_by_looking(database: Database, database_url: str) -> None:
    flow = compiled("two", "steps:\n  a: {set: {n: 1}}\n  b: {set: {n: 2}, requires: a}\noutcome: {ok: b.done}\n")
    settings = DatabaseSettings(url=database_url, listen_url="none")
    async with await Database.open(settings) as deaf:
        heard: list[str] = []
        async with deaf.listen("signoff_test", heard.append), running(deaf, [flow], ScriptedTool({})):
            await database.notify("signoff_test", "hello")
            run_id = await start(database, flow, {"n": 1})
            assert (await ended(database, run_id)).status == "done"
        assert heard == []
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'listen%signoff_test%'")
        assert row.fetchone() == (0,)


async def test_it_listens_where_the_setting_says(database: Database, database_url: str) -> None:
    """The pools are at one address and LISTEN at another, as behind a pooler."""
    settings = DatabaseSettings(url=database_url, listen_url=f"{database_url}&options=-c%20signoff.here%3Ddirect")
    heard = asyncio.Event()
    async with (
        await Database.open(settings) as pooled,
        pooled.listen("signoff_test", lambda payload: heard.set() if payload == "hello" else None),
        asyncio.timeout(10),
    ):
        while not heard.is_set():
            await database.notify("signoff_test", "hello")
            await asyncio.sleep(0.05)


async def test_connections_are_in_their_role_also_where_a_pooler_drops_start_up_settings(
    database: Database, database_url: str
) -> None:
    """`poolers.take_settings` on a connection that was started without any."""
    wanted = {"role": "signoff_app", "statement_timeout": "1234", "lock_timeout": "321"}
    plain = await driver.connect(database_url)
    try:
        assert await take_settings(plain, wanted)
        assert await plain.fetchval("SELECT current_user") == "signoff_app"
        assert await plain.fetchval("SHOW statement_timeout") == "1234ms"
        assert not await take_settings(plain, wanted)
    finally:
        await plain.close()
    await require_sessions(lambda: driver.connect(database_url))


async def test_the_doctor_sees_that_the_coming_month_is_missing(database: Database, database_url: str) -> None:
    async def months() -> Any:
        async with database.worker_connection() as connection:
            found = await diagnose(connection, clock=SystemClock(), lease_s=10.0, disk=None)
        return next(finding for finding in found if finding.check == "partitions")

    assert (await months()).status == "ok"
    with psycopg.connect(database_url, autocommit=True) as connection:
        names = connection.execute(
            "SELECT relname FROM pg_class WHERE relname ~ '^journal_[0-9]{4}_[0-9]{2}$'"
            " AND to_date(substr(relname, 9), 'YYYY_MM') > date_trunc('month', now())"
        ).fetchall()
        for (name,) in names:
            connection.execute(f"DROP TABLE {name}")  # type: ignore[arg-type]
    found = await months()
    assert found.status == "failed"
    assert "starts fail from the next month on" in found.detail
    assert "Start a worker" in found.todo
