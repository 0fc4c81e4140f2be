"""The store in memory does what PostgreSQL does: the same random statements on both give the same answers."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.simulation.memory_database import STATEMENTS
from tests.simulation.memory_store import MemoryStore
from tests.support.engine import ACTOR, RELEASE, compiled

from signoff.core.ids import uuid7
from signoff.foundation.database import Connection, Database
from signoff.runtime import store
from signoff.runtime.claims import store as claims_store
from signoff.runtime.client import StartRequest, start_run
from signoff.runtime.client import store as client_store
from signoff.runtime.store import Columns, append, written
from signoff.workflows.model import Workflow

START = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)  # in a month that has a partition
ORG = ACTOR.org_id
BODY = "steps:\n  a: {set: {n: 1}}\noutcome: {ok: a.done}\n"


class Both:
    """Sends each statement to the store in memory and to PostgreSQL, and compares the answers."""

    def __init__(self, database: Database, connection: Connection) -> None:
        self.memory = MemoryStore(lambda: datetime.now(UTC))
        self._database = database
        self._connection = connection

    async def fetchval(self, query: str, *arguments: Any) -> Any:
        """As the control plane's functions call it."""
        found = await self.run(query, *arguments)
        return next(iter(found[0].values())) if found else None

    async def run(self, query: str, *arguments: Any, order: str | None = None) -> list[dict[str, Any]]:
        if query in vars(client_store).values():
            async with self._database.transaction(ORG) as connection:
                rows = [dict(row.items()) for row in await connection.fetch(query, *arguments)]
        else:
            rows = [dict(row.items()) for row in await self._connection.fetch(query, *arguments)]
        known = STATEMENTS[query](self.memory, *arguments) or []
        names = rows[0].keys() & known[0].keys() if rows and known else frozenset[str]()
        answers = [{name: row[name] for name in names} for row in rows]
        expected = [{name: row[name] for name in names} for row in known]
        if order is not None:
            answers.sort(key=lambda row: str(row[order]))
            expected.sort(key=lambda row: str(row[order]))
        assert len(rows) == len(known), query
        assert answers == expected, query
        return rows

    async def append(self, session_id: UUID, columns: Columns) -> None:
        """The group commit, through the function that the journal's writer calls, on both."""
        answers: list[Any] = []
        for connection in (self._connection, _InMemory(self.memory)):
            try:
                answers.append(await append(connection, session_id, columns))  # type: ignore[arg-type]
            except Exception as error:  # noqa: BLE001  (whether both refuse is what is compared)
                answers.append(type(error).__name__)
        assert answers[0] == answers[1]

    async def tables(self) -> None:
        """What is in the queue and in the journal is the same."""
        queue = await self._connection.fetch("SELECT run_id, owner, gen, due_at FROM run_queue")
        assert {row["run_id"]: tuple(row) for row in queue} == {
            run_id: tuple(row[name] for name in ("run_id", "owner", "gen", "due_at"))
            for run_id, row in self.memory.queue.items()
        }
        journal = await self._connection.fetch("SELECT run_id, seq, kind, data FROM journal")
        assert {(row["run_id"], row["seq"]): (row["kind"], row["data"]) for row in journal} == {
            place: (row["kind"], row["data"]) for place, row in self.memory.journal.items()
        }
        inbox = await self._connection.fetch("SELECT message_id FROM inbox")
        assert {row["message_id"] for row in inbox} == self.memory.inbox.keys()


class _InMemory:
    def __init__(self, memory: MemoryStore) -> None:
        self._memory = memory

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        return (STATEMENTS[query](self._memory, *arguments) or [None])[0]


@pytest.mark.parametrize("seed", range(4))
async def test_the_store_in_memory_answers_as_postgresql_does(database: Database, seed: int):
    chance = random.Random(seed)
    async with database.worker_connection() as connection:
        both, flow = Both(database, connection), compiled("it", BODY)
        sessions = [UUID(int=chance.getrandbits(128), version=4) for _ in range(3)]
        for session_id in sessions:
            await both.run(store.OPEN_SESSION, session_id, "here", 1, 600.0)
        runs = [await _started(both, flow, number) for number in range(4)]
        for number in range(120):
            await _something(both, chance, sessions, runs, START + timedelta(seconds=number))
            await both.tables()


async def _started(both: Both, flow: Workflow, number: int) -> UUID:
    request = StartRequest(flow, RELEASE, {"n": number}, ACTOR)
    now = START + timedelta(milliseconds=number)
    return (await start_run(both, request, now=now)).run_id  # type: ignore[arg-type]  (what it uses of a connection)


async def _something(both: Both, chance: random.Random, sessions: list[UUID], runs: list[UUID], now: datetime) -> None:
    session_id, run_id = chance.choice(sessions), chance.choice(runs)
    row = both.memory.queue.get(run_id)
    match chance.randrange(12):
        case 0 if chance.random() < 0.5:
            await both.run(claims_store.CLAIM, session_id, now, len(runs), 1 << 40, True, order="run_id")
        case 0:
            lanes = written([ORG]), [""], written([5]), written([int(START.timestamp() * 10**6)]), written([runs[0]])
            await both.run(claims_store.NEXT_DUE_BEHIND, *lanes)
            asked = session_id, now, len(runs), 1 << 40, True
            await both.run(claims_store.CLAIM_BEHIND, *asked, *lanes, len(runs), order="run_id")
        case 1 | 2 | 3:
            await _append(both, chance, session_id, run_id, now)
        case 4:
            await both.run(client_store.BUMP, ORG, run_id, now, False)
        case 5 if row is not None:
            noise = chance.randbytes(10)
            made = uuid7(time_ms=int(now.timestamp() * 1000), random_bytes=noise)
            await both.run(client_store.SEND, made, ORG, run_id, "a", "signal", "user/ana", now, b"{}")
        case 6:
            await both.run(claims_store.LOAD_INBOX, session_id, runs)
        case 7:
            await both.run(store.RELEASE_RUNS, session_id, [run_id], now)
        case 8:
            await both.run(store.FENCE, session_id, run_id)
            await both.run(claims_store.CLAIM_NAMED, session_id, runs[:2], now, 1 << 40, order="run_id")
        case 9:
            await both.run(store.NEXT_GENERATION, ORG, "k", chance.randrange(1, 4))
        case 10:
            await both.run(store.HEARTBEAT, session_id, 600.0)
        case _:
            if chance.random() < 0.3:
                await both.run(store.CLOSE_SESSION, session_id)
                await both.run(store.RELEASE_ORPHANS, now, order="run_id")
                await both.run(store.OPEN_SESSION, session_id, "here", 1, 600.0)
            await both.run(store.RESIDENT_WITH_MESSAGES, session_id, order="run_id")


async def _append(both: Both, chance: random.Random, session_id: UUID, run_id: UUID, now: datetime) -> None:
    row = both.memory.queue.get(run_id)
    gen = chance.choice((0, row["gen"] if row else 0))
    last = max((seq for owner, seq in both.memory.journal if owner == run_id), default=0)
    columns = Columns(events=[(run_id, last + chance.choice((0, 1, 1, 1)), "step.noted", now, b"{}", ORG)])
    columns.drained = [(run_id, message_id) for message_id in list(both.memory.inbox)[:1]]
    if chance.random() < 0.4:
        columns.parked = [(run_id, gen, now + timedelta(seconds=chance.randrange(5)), False, None)]
    elif chance.random() < 0.1:
        columns.finished = [(run_id, gen)]
    if chance.random() < 0.3:
        columns.keys = [(run_id, ORG, "k", chance.randrange(3))]
    await both.append(session_id, columns)
