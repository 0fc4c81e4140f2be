"""Retention in a process that SIGKILL ends at any line of its code, and a fork that meets it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.engine import ACTOR, RELEASE, ScriptedTool, compiled, ended, running, start
from support.killed import forkserver
from tests.integration.test_storage_retention import ARCHIVED, TABLES, archived, left, planted, retention

from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError
from signoff.foundation.database import Connection, Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.client.forking import Fork, fork
from signoff.runtime.retention import ProjectRetention, Retention, RetentionPolicy

STRIDE = 37
"""How many lines of code more each process survives."""
MOST_LINES = 8000


class Death:
    """Kills the process at the n-th line of retention's code, whichever thread is at it."""

    def __init__(self, survives: int) -> None:
        self._left = survives

    def __call__(self, frame: Any, event: str, _: Any) -> Any:
        if "/runtime/retention/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def work(url: str, archives: str, survives: int) -> None:
    """The body of the process."""

    async def main() -> None:
        async with await Database.open(DatabaseSettings(url=url)) as database:
            passing = retention(database, ARCHIVED, archives=Path(archives))
            threading.settrace(Death(survives))
            sys.settrace(Death(survives))
            await passing.run()

    asyncio.run(main())


async def test_it_may_be_killed_at_any_line_and_goes_on(database: Database, database_url: str, tmp_path: Path):
    """Each process dies a little later than the one before, so that in the end one gets through."""
    runs = {planted(database_url, "done", timedelta(days=40 + n)) for n in range(5)}
    parked = planted(database_url, "waiting", timedelta(days=40), queued=True)
    deaths = 0
    for survives in range(10, MOST_LINES, STRIDE):
        process = forkserver.Process(target=work, args=(database_url, str(tmp_path), survives), daemon=True)
        await asyncio.to_thread(process.start)
        await asyncio.to_thread(process.join, 60)
        everywhere = [left(database_url, table) for table in TABLES]
        assert all(found == everywhere[0] for found in everywhere), "half gone"
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        deaths += 1
    assert deaths >= 4
    assert left(database_url, "journal") == {parked}
    assert archived(tmp_path).keys() == runs


class Meeting:
    """A connection that lets something happen just before the past is copied."""

    def __init__(self, connection: Connection, happens: Any) -> None:
        self._connection = connection
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, query: str, *arguments: Any) -> str:
        if "FROM journal" in query:
            await self._happens()
        return await self._connection.execute(query, *arguments)


async def test_a_fork_of_a_run_that_retention_takes_meanwhile_is_refused(database: Database, database_url: str):
    flow = compiled("two", "steps:\n  a: {set: {n: 1}}\n  b: {set: {n: 2}}\noutcome: {ok: b.done}\n")
    async with running(database, [flow], ScriptedTool({})):
        source = await start(database, flow, {})
        await ended(database, source)

    async def policies() -> list[ProjectRetention]:
        return [ProjectRetention(ACTOR.org_id, "p", (RELEASE,), RetentionPolicy(done_s=0.0))]

    async def removed() -> None:
        sweeping = Retention(database, policies, clock=Later(), archives=Path("/nonexistent"))
        assert (await sweeping.run()).dropped_runs == 1

    asked = Fork(source, None, flow, flow, RELEASE, None, ACTOR)

    async def forked() -> None:
        async with database.transaction(ACTOR.org_id) as connection:
            met: Any = Meeting(connection, removed)
            await fork(met, asked, now=datetime.now(UTC))

    with pytest.raises(ConflictError, match="removed by retention"):
        await forked()
    assert left(database_url, "run") == set()
    assert left(database_url, "journal") == set()


class Later(SystemClock):
    """An hour from now."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=1)
