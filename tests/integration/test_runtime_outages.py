"""A PostgreSQL that is away for long: no step fails of that, and what is really the other side's failure still does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlsplit

import psycopg
import pytest
from support.engine import ScriptedTool, compiled, ended, eventually, running, start
from support.proxy import proxied

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError, UnavailableError
from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import RuntimeSettings
from signoff.runtime.calling import PATIENCE_LEASES, called
from signoff.runtime.journal import SessionLostError

BRIEF = RuntimeSettings(lease_s=0.3, heartbeat_s=0.1, poll_s=0.1)
PATIENCE_S = PATIENCE_LEASES * BRIEF.lease_s


class Caller:
    """What `called` looks at of a run and a call, and a handler that says "unavailable" until it is told otherwise."""

    def __init__(self, database: Database, timeout_s: float = 30.0) -> None:
        engine = SimpleNamespace(clock=SystemClock(), settings=BRIEF, database=database)
        self.execution: Any = SimpleNamespace(engine=engine, abandoned=False)
        self.call: Any = SimpleNamespace(timeout_s=timeout_s, path="a", run=SimpleNamespace(run_id="r"))
        self.tries = 0
        self.works = False
        self.hangs = False

    async def _work(self) -> str:
        self.tries += 1
        if self.hangs:
            await asyncio.Event().wait()
        if not self.works:
            raise UnavailableError("PostgreSQL does not answer")
        return "done"

    def begin(self) -> asyncio.Task[str]:
        return asyncio.create_task(cast("Any", called(self.execution, self.call, self._work)))


def _impatient(url: str) -> DatabaseSettings:
    # To connect takes a starved machine longer than a ping has.
    return DatabaseSettings(url=url, connect_timeout_s=2.0, recovery_wait_s=0.1)


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_step_outlasts_a_database_that_is_away_for_many_leases(database_url: str, tmp_path: Path, hangs: bool):
    async with (
        proxied(database_url, tmp_path) as (proxy, url),
        await Database.open(_impatient(url)) as behind,
    ):
        caller = Caller(behind, timeout_s=-0.9 if hangs else 30.0)  # cut off a second after its time, so at once
        caller.hangs = hangs
        proxy.hold()
        work = caller.begin()
        await asyncio.sleep(2 * PATIENCE_S)
        assert not work.done()
        caller.works, caller.hangs = True, False
        proxy.release()
        assert await asyncio.wait_for(work, 10) == "done"


async def test_what_is_cut_off_once_more_after_postgresql_is_back_is_the_steps_failure(
    database_url: str, tmp_path: Path
):
    async with (
        proxied(database_url, tmp_path) as (proxy, url),
        await Database.open(_impatient(url)) as behind,
    ):
        caller = Caller(behind, timeout_s=-0.9)
        caller.hangs = True
        proxy.hold()
        work = caller.begin()
        await eventually(lambda: caller.tries > 1)
        proxy.release()
        with pytest.raises(StepError) as raised:
            await asyncio.wait_for(work, 20)
        assert raised.value.kind == "timeout"


async def test_what_is_unavailable_while_postgresql_answers_is_the_steps_failure(database: Database):
    with pytest.raises(StepError) as raised:
        await asyncio.wait_for(Caller(database).begin(), 10)
    assert raised.value.kind == "unavailable"


async def test_a_step_whose_session_is_lost_with_the_database_gives_its_run_up(database_url: str, tmp_path: Path):
    async with (
        proxied(database_url, tmp_path) as (proxy, url),
        await Database.open(_impatient(url)) as behind,
    ):
        caller = Caller(behind)
        proxy.hold()
        work = caller.begin()
        await eventually(lambda: caller.tries > 1)
        caller.execution.abandoned = True
        with pytest.raises(SessionLostError):
            await asyncio.wait_for(work, 10)


async def test_a_worker_outlasts_a_server_that_takes_no_writes_yet(database: Database, database_url: str):
    """A standby is asked before it is promoted, a restored server before it has recovered: the worker ended of it."""
    name, flow = (
        urlsplit(database_url).path[1:],
        compiled("patient", "steps:\n  a: {set: {n: 1}}\noutcome: {ok: a.done}\n"),
    )
    with psycopg.connect(database_url, autocommit=True) as administration:
        async with running(database, [flow], ScriptedTool({})) as worker:
            administration.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
            others = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
            )
            administration.execute(others, (name,))
            with pytest.raises(UnavailableError, match="takes no writes now"):
                await start(database, flow, {})
            administration.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'.encode())
            administration.execute(others, (name,))
            await eventually(lambda: bool(worker.statistics))
            run_id = await start(database, flow, {})
            assert (await ended(database, run_id)).outcome == "ok"
