"""PostgreSQL is stopped and started while runs are under way: nothing is lost, nothing is paid twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from support.engine import ACTOR, FAST, ScriptedTool, compiled, ended, eventually, journal, running, start

from signoff.core.errors import UnavailableError
from signoff.foundation.database import Database, EmbeddedServer, migrate
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime.announcing import WAKE_CHANNEL
from signoff.runtime.client import StartRequest, read_run, start_run
from signoff.runtime.handlers import Done, Effect, StepCall

FLOW = """
steps:
  look: {tool: look, with: {}}
  pay: {requires: look, tool: pay, with: {}, once: "pay/${input.n}", retry: {times: 5, delay: 50ms, backoff: 1}}
  tell: {requires: pay, tool: look, with: {}}
outcome: {paid: tell.done}
"""
RUNS = 24


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server of the test's own, to be stopped while it is needed."""
    directory: Path = tmp_path_factory.mktemp("pg")
    own = EmbeddedServer(directory, max_connections=60, durable=False)
    yield own
    own.stop(delete=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("recovery", "end"), [("lookup", "stop"), ("resend", "stop"), ("lookup", "kill -9")])
async def test_postgres_restarts_while_runs_are_under_way(server: EmbeddedServer, recovery: str, end: str):
    url = await asyncio.to_thread(server.start)
    await asyncio.to_thread(migrate, url)
    paid: Counter[str] = Counter()
    flow = compiled("restart", FLOW, look=False, pay=True)

    async with await Database.open(DatabaseSettings(url=url, recovery_wait_s=0.5)) as database:

        async def look(call: StepCall) -> Done:
            """A handler that needs the database itself, as reviews and events do."""
            async with database.transaction(call.run.org_id) as connection:
                await read_run(connection, call.run.org_id, call.run.run_id)
            return Done({})

        async def pay(call: StepCall) -> Done:
            assert call.idempotency_key is not None
            if recovery == "lookup" or not paid[call.idempotency_key]:
                paid[call.idempotency_key] += 1
            await asyncio.sleep(0.05)  # the answer takes its time: some are under way when the database goes
            return Done({})

        def find(call: StepCall) -> Done | None:
            assert call.idempotency_key is not None
            return Done({}) if paid[call.idempotency_key] else None

        effect = Effect("lookup" if recovery == "lookup" else "resend", settle_s=0.2)
        tool = ScriptedTool({"look": look, "pay": pay}, {"pay": effect}, {"pay": find})
        settings = FAST.model_copy(update={"tasks": 4})  # so that the runs are at different places
        async with running(database, [flow], tool, settings) as worker:
            runs = [await start(database, flow, {"n": number}) for number in range(RUNS)]
            for wanted in (RUNS // 4, RUNS // 2):
                await eventually(lambda least=wanted: len(paid) >= least, 60)
                if end == "stop":
                    await asyncio.to_thread(server.stop)
                else:
                    await asyncio.to_thread(killed, server)
                await asyncio.sleep(FAST.lease_s * 0.6)  # the outage itself, not a synchronisation
                if end == "stop":
                    assert await asyncio.to_thread(server.start) == url
                else:
                    assert await asyncio.to_thread(server.revive)
                await asyncio.wait_for(worker.ready(), 60)
            assert [await outcome(database, run_id) for run_id in runs] == ["paid"] * RUNS
        assert paid == Counter({f"pay/{number}": 1 for number in range(RUNS)})
        for run_id in runs:
            seqs = [event.seq for event in await journal(database, run_id)]
            assert seqs == list(range(1, len(seqs) + 1))


async def outcome(database: Database, run_id: UUID) -> str | None:
    return (await ended(database, run_id, 120)).outcome


def killed(server: EmbeddedServer) -> None:
    """kill -9 of the postmaster; its children see that it is gone and end by themselves."""
    process = psutil.Process(int((server.log_path.parent / "postmaster.pid").read_text().split()[0]))
    children = process.children(recursive=True)
    process.kill()
    psutil.wait_procs([process, *children], timeout=60)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("here", [True, False], ids=["a worker in the process", "none"])
async def test_a_start_that_was_answered_is_there_after_a_kill(server: EmbeddedServer, here: bool):
    """Commits of starts do not wait for the disk; answers do. With a worker, its events take most of them there."""
    url = await asyncio.to_thread(server.start)
    await asyncio.to_thread(migrate, url)
    flow = compiled("answered", "steps:\n  a: {set: {n: '${input.n}'}}\noutcome: {done: a.done}\n")
    answered: set[UUID] = set()
    over = asyncio.Event()
    async with await Database.open(DatabaseSettings(url=url, recovery_wait_s=0.5)) as database:

        async def caller(number: int) -> None:
            while not over.is_set():
                with suppress(UnavailableError):
                    request = StartRequest(flow, "r1", {"n": number}, ACTOR)
                    async with database.transaction(ACTOR.org_id, flushes=False) as connection:
                        run_id = (await start_run(connection, request, now=datetime.now(UTC))).run_id
                    await database.notify(WAKE_CHANNEL, str(run_id), others_later=True)
                    await database.flushes.wait()
                    answered.add(run_id)

        async with running(database, [flow], ScriptedTool({}), FAST) if here else nullcontext():
            callers = [asyncio.create_task(caller(number)) for number in range(6)]
            await eventually(lambda: len(answered) >= 40, 60)
            await asyncio.to_thread(killed, server)
            assert await asyncio.to_thread(server.revive)
            over.set()
            await asyncio.gather(*callers)
            async with database.worker_connection() as connection:
                there = {row["run_id"] for row in await connection.fetch("SELECT run_id FROM run")}
    assert answered <= there
