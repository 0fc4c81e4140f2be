"""A session is good for the timeline on which it was opened: behind a pooler a worker may outlive a failover."""

from __future__ import annotations

from collections import Counter

from support.engine import ScriptedTool, compiled, ended, eventually, running, start

from signoff.foundation.database import Database
from signoff.runtime import store
from signoff.runtime.handlers import Done, Effect, StepCall

# What a promotion does to the sessions that were replicated, as seen by the server that was promoted.
PROMOTED = "UPDATE worker_session SET timeline = timeline - 1"
PAY = 'steps:\n  pay: {tool: pay, with: {}, once: "pay/${input.n}"}\noutcome: {ok: pay.done}\n'


async def test_a_session_of_an_earlier_timeline_holds_nothing(database: Database):
    async with database.worker_connection() as connection:
        session_id = await connection.fetchval("SELECT gen_random_uuid()")
        await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
        assert await connection.fetchval(store.HEARTBEAT, session_id, 60.0) == session_id
        assert (await store.append(connection, session_id, store.Columns())).alive
        await connection.execute(PROMOTED)
        assert await connection.fetchval(store.HEARTBEAT, session_id, 60.0) is None
        assert not (await store.append(connection, session_id, store.Columns())).alive


async def test_a_worker_that_outlives_a_failover_begins_a_new_session(database: Database):
    paid = Counter[str]()
    flow = compiled("outlived", PAY, pay=True)

    def pay(call: StepCall) -> Done:
        paid[str(call.idempotency_key)] += 1
        return Done({})

    def find(call: StepCall) -> Done | None:
        return Done({}) if paid[str(call.idempotency_key)] else None

    tool = ScriptedTool({"pay": pay}, {"pay": Effect("lookup", settle_s=0.05)}, {"pay": find})
    async with running(database, [flow], tool):
        before = await start(database, flow, {"n": 1})
        assert (await ended(database, before)).outcome == "ok"
        async with database.worker_connection() as connection:
            old = await connection.fetchval("SELECT id FROM worker_session")
            await connection.execute(PROMOTED)

        async def begun_anew() -> bool:
            async with database.worker_connection() as connection:
                return await connection.fetchval("SELECT count(*) FROM worker_session WHERE id <> $1", old) == 1

        after = await start(database, flow, {"n": 2})
        assert (await ended(database, after)).outcome == "ok"
        await eventually(begun_anew)
    assert paid == {"pay/1": 1, "pay/2": 1}
