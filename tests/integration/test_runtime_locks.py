"""One sender that takes its time with one run's row, and keys that move on, hold up nobody else."""

from __future__ import annotations

import asyncio
import uuid
from uuid import UUID

import pytest
from support.engine import ACTOR, FAST, ScriptedTool, compiled, ended, journal, running, start

from signoff.core.clock import SystemClock
from signoff.core.errors import ConflictError
from signoff.core.ids import uuid7
from signoff.foundation.database import Connection, Database
from signoff.runtime import store
from signoff.runtime.client import send_message
from signoff.runtime.handlers import Done, Effect, StepCall, Waiting
from signoff.runtime.journal import Entry, Journal, Row

WAIT = "steps:\n  ask: {tool: ask, with: {}}\noutcome: {ok: ask.done}\n"
QUICK = "steps:\n  go: {tool: go, with: {}}\noutcome: {ok: go.done}\n"


@pytest.mark.parametrize("kind", ["park", "finish"])
async def test_a_sender_that_does_not_commit_holds_up_its_own_run_alone(database: Database, kind: str):
    """The owner wants to park or finish that run; meanwhile runs of the same worker begin and end."""
    slow, quick = compiled("slow", WAIT, ask=False), compiled("quick", QUICK, go=False)
    gate, reached = asyncio.Event(), asyncio.Event()

    async def ask(call: StepCall) -> Done | Waiting:
        reached.set()
        await gate.wait()
        return Waiting("answer") if kind == "park" else Done({})

    tool = ScriptedTool({"ask": ask, "go": lambda call: Done({})})
    async with running(database, [slow, quick], tool, FAST) as worker:
        run_id = await start(database, slow, {})
        await asyncio.wait_for(reached.wait(), 10)
        async with database.transaction(ACTOR.org_id) as connection:
            await send_message(
                connection,
                org_id=ACTOR.org_id,
                run_id=run_id,
                path="ask",
                kind="signal",
                data={"answer": 1},
                sent_by="user/ana",
                now=SystemClock().now(),
            )
            gate.set()
            for _ in range(3):  # each within less than the lease, let alone the lock timeout
                assert (await ended(database, await start(database, quick, {}), 2)).outcome == "ok"
            assert worker.statistics["resident_runs"] == 1
        assert (await ended(database, run_id, 5)).outcome == "ok"
    messages = [event.data["disposition"] for event in await journal(database, run_id) if "disposition" in event.data]
    assert messages == ["accepted" if kind == "park" else "late"]


async def test_an_intent_whose_key_moved_on_is_not_written_and_its_batch_is(database: Database):
    """Somebody undid the effect of that key after it was chosen: sent with it, ours would be taken for the undone."""
    session_id, rejected = uuid.uuid4(), list[UUID]()
    writer = Journal(database, session_id, flush_events=100, rejected=lambda run_id, _: rejected.append(run_id))
    async with database.worker_connection() as connection:
        await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
        runs = [await queued(connection, session_id) for _ in range(3)]
        await connection.execute(store.NEXT_GENERATION, ACTOR.org_id, "k", 1)
        entries = [intent(run_id, generation) for run_id, generation in zip(runs, (0, 1, None), strict=True)]
        for entry in entries:
            writer.submit(entry)
        writing = asyncio.create_task(writer.run())
        answers = await asyncio.gather(*(entry.written for entry in entries if entry.written), return_exceptions=True)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert [type(answer) for answer in answers] == [ConflictError, bool, bool]
        assert rejected == runs[:1]
        written = await connection.fetch("SELECT run_id FROM journal")
        assert {row["run_id"] for row in written} == set(runs[1:])


async def test_an_effect_after_an_undo_is_sent_with_the_next_generation(database: Database):
    body = 'steps:\n  pay: {tool: pay, with: {}, once: "k/${input.n}"}\noutcome: {ok: pay.done}\n'
    flow = compiled("moved", body, pay=True)
    tool = ScriptedTool({"pay": lambda call: Done({})}, {"pay": Effect("resend")})
    async with database.worker_connection() as connection:
        await connection.execute(store.NEXT_GENERATION, ACTOR.org_id, "k/7", 2)
    async with running(database, [flow], tool):
        assert (await ended(database, await start(database, flow, {"n": 7}))).outcome == "ok"
    assert [call.idempotency_key for call in tool.calls] == ["k/7#2"]


async def queued(connection: Connection, owner: UUID) -> UUID:
    run_id = uuid7()
    insert = "INSERT INTO run_queue (run_id, org_id, due_at, owner) VALUES ($1, $2, now(), $3)"
    await connection.execute(insert, run_id, ACTOR.org_id, owner)
    return run_id


def intent(run_id: UUID, generation: int | None) -> Entry:
    row = Row(1, "effect.intended", SystemClock().now(), b"{}")
    entry = Entry(ACTOR.org_id, run_id, [row], key=None if generation is None else ("k", generation))
    entry.written = asyncio.get_running_loop().create_future()
    return entry
