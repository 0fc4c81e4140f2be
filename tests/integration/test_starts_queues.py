"""Queues: never one over a limit, nobody starved or forgotten, and nothing for a run that waits."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
from support.engine import ACTOR, FAST, ScriptedTool, ended, eventually, running, send, waits_for
from support.engine import until as reached
from support.starts_cases import (
    NOON,
    Busy,
    begin,
    bounded,
    gates,
    nothing_left,
    one_step,
    place,
    slots,
)

from signoff.foundation.database import Database
from signoff.foundation.settings import DatabaseSettings
from signoff.runtime import client
from signoff.runtime.handlers import Waiting
from signoff.runtime.queues import Bounds, Rate
from signoff.runtime.starting import admit_due


async def test_several_workers_never_run_one_more_than_the_limit(database: Database, database_url: str):
    busy, flow = Busy(hold_s=0.01), one_step()
    queue = bounded(concurrency=3)
    runs = [await begin(database, flow, {"n": n}, place=place(queue)) for n in range(40)]
    async with AsyncExitStack() as stack:
        for _ in range(3):
            own = await stack.enter_async_context(await Database.open(DatabaseSettings(url=database_url)))
            await stack.enter_async_context(running(own, [flow], ScriptedTool({"work": busy})))
        for run in runs:
            assert (await ended(database, run.run_id)).status == "done"
    assert busy.most == 3
    assert sorted(busy.order) == list(range(40))
    await nothing_left(database)


async def test_a_key_is_served_one_at_a_time_and_others_do_not_wait_for_it(database: Database):
    busy, flow = Busy(hold_s=0.01), one_step()
    queue = bounded(concurrency=4, per_key=Bounds(1))
    runs = [await begin(database, flow, {"n": n % 3}, place=place(queue, f"customer-{n % 3}")) for n in range(18)]
    async with running(database, [flow], ScriptedTool({"work": busy})):
        for run in runs:
            await ended(database, run.run_id)
    assert dict(busy.most_by_label) == {"0": 1, "1": 1, "2": 1}
    assert busy.most == 3
    await nothing_left(database)


async def test_a_team_with_a_long_backlog_leaves_others_their_turn(database: Database):
    busy, flow = Busy(hold_s=0.002), one_step()
    queue = bounded(concurrency=2)
    runs = [await begin(database, flow, {"n": 0}, place=place(queue), team="many") for _ in range(60)]
    runs += [await begin(database, flow, {"n": 1}, place=place(queue), team="few") for _ in range(5)]
    async with running(database, [flow], ScriptedTool({"work": busy})):
        for run in runs:
            await ended(database, run.run_id)
    last = max(position for position, team in enumerate(busy.order) if team == 1)
    assert last < 30  # in turns it is about the tenth; behind the backlog it would be the last
    await nothing_left(database)


async def test_the_runs_of_a_team_are_bounded(database: Database):
    busy, flow = Busy(hold_s=0.005), one_step()
    queue = bounded(per_team=Bounds(2))
    runs = [await begin(database, flow, {"n": n % 2}, place=place(queue), team=f"team-{n % 2}") for n in range(20)]
    async with running(database, [flow], ScriptedTool({"work": busy})):
        for run in runs:
            await ended(database, run.run_id)
    assert dict(busy.most_by_label) == {"0": 2, "1": 2}
    await nothing_left(database)


async def test_a_rate_lets_so_many_begin_in_its_time(database: Database):
    flow = one_step()
    queue = bounded(rate=Rate(4, 60.0, burst=2))
    for _ in range(10):
        await begin(database, flow, place=place(queue), now=NOON)
    admitted = [await admit_due(database, NOON + timedelta(seconds=s)) for s in range(0, 121, 5)]
    assert admitted[0] == 2
    assert sum(admitted) == 10
    assert all(sum(admitted[i : i + 12]) <= 2 + 4 for i in range(len(admitted)))
    assert [s * 5 for s, count in enumerate(admitted) if count] == [0, 15, 30, 45, 60, 75, 90, 105, 120]


async def test_rates_bound_each_team_and_each_key(database: Database):
    flow = one_step()
    queue = bounded(per_team=Bounds(rate=Rate(1, 60.0, burst=1)), per_key=Bounds(rate=Rate(1, 10.0, burst=1)))
    for n in range(6):
        await begin(database, flow, place=place(queue, f"k{n % 3}"), team=f"t{n % 2}", now=NOON)
    first = await admit_due(database, NOON)
    assert first == 2  # one of each team
    assert await admit_due(database, NOON + timedelta(seconds=59)) == 0
    assert await admit_due(database, NOON + timedelta(seconds=60)) == 2
    assert await admit_due(database, NOON + timedelta(seconds=120)) == 2


async def test_a_run_that_waits_for_a_slot_is_in_no_claim_and_makes_no_turn(database: Database):
    flow = one_step()
    queue = bounded(concurrency=1)
    for _ in range(5):
        await begin(database, flow, place=place(queue), now=NOON)
    assert await admit_due(database, NOON) == 1
    assert sorted(gate or "" for gate in (await gates(database)).values()) == ["", "queue", "queue", "queue", "queue"]
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM queue_turn") == 0
        await connection.execute("DELETE FROM run_queue WHERE gate IS NULL")
        assert await connection.fetchval("SELECT count(*) FROM queue_turn") == 1
    assert await admit_due(database, NOON) == 1


async def test_what_is_cancelled_while_it_waits_ends_without_a_slot(database: Database):
    busy, flow = Busy(held=asyncio.Event()), one_step()
    queue = bounded(concurrency=1, per_key=Bounds(1))
    first = await begin(database, flow, {"n": 1}, place=place(queue, "k"))
    second = await begin(database, flow, {"n": 2}, place=place(queue, "k"))
    async with running(database, [flow], ScriptedTool({"work": busy})):
        await eventually(lambda: busy.now == 1)
        await send(database, second.run_id, "", {"reason": "not needed"}, kind="run.cancel")
        assert (await ended(database, second.run_id)).status == "cancelled"
        assert busy.held is not None
        busy.held.set()
        assert (await ended(database, first.run_id)).status == "done"
    assert busy.order == [1]
    await nothing_left(database)


async def test_a_signal_does_not_let_a_waiting_run_past_its_gate(database: Database):
    flow = one_step()
    queue = bounded(concurrency=1)
    for _ in range(2):
        await begin(database, flow, place=place(queue), now=NOON)
    assert await admit_due(database, NOON) == 1
    waiting = next(run_id for run_id, gate in (await gates(database)).items() if gate)
    await send(database, waiting, "a", {})
    assert await admit_due(database, NOON) == 0
    assert (await gates(database))[waiting] == "queue"


async def test_a_run_that_waits_for_a_person_gives_its_slot_back_where_the_queue_says_so(database: Database):
    flow = one_step()
    tool = ScriptedTool({"work": lambda call: Waiting("review", about="may it?")})
    queue = bounded(concurrency=1, release_while_waiting=True, per_key=Bounds(1))
    runs = [(await begin(database, flow, place=place(queue, f"k{n}"))).run_id for n in range(3)]
    async with running(database, [flow], tool):
        for run_id in runs:  # each gets the one slot, as those before it wait for a person
            await reached(database, run_id, waits_for("review"))
        assert [scope for scope, *_ in await slots(database)] == ["key"] * 3
        for run_id in reversed(runs):
            await send(database, run_id, "a", {"answer": 1})
        for run_id in runs:
            assert (await ended(database, run_id)).status == "done"
    await nothing_left(database)


async def test_a_slot_stays_with_a_run_that_waits_where_the_queue_says_nothing(database: Database):
    flow = one_step()
    tool = ScriptedTool({"work": lambda call: Waiting("review", about="may it?")})
    queue = bounded(concurrency=1)
    first, second = [(await begin(database, flow, place=place(queue))).run_id for _ in range(2)]
    async with running(database, [flow], tool, FAST):
        await eventually(lambda: bool(tool.calls))
        one = tool.calls[0].run.run_id
        await reached(database, one, waits_for("review"))
        other = second if one == first else first
        assert (await gates(database))[other] == "queue"
        await send(database, one, "a", {"answer": 1})
        await ended(database, one)
        await reached(database, other, waits_for("review"))


async def test_a_lowered_limit_holds_for_what_comes_next(database: Database):
    flow = one_step()
    for _ in range(6):
        await begin(database, flow, place=place(bounded(concurrency=4)), now=NOON)
    assert await admit_due(database, NOON) == 4
    async with database.worker_connection() as connection:
        await connection.execute("""UPDATE queue SET limits = jsonb_set(limits, '{whole,concurrency}', '2')""")
        admitted = await connection.fetch("SELECT run_id FROM run_queue WHERE gate IS NULL ORDER BY run_id")
        for row in admitted[:2]:
            await connection.execute("DELETE FROM run_queue WHERE run_id = $1", row["run_id"])
            assert await admit_due(database, NOON) == 0
        await connection.execute("DELETE FROM run_queue WHERE run_id = $1", admitted[2]["run_id"])
    assert await admit_due(database, NOON) == 1


async def test_admissions_at_the_same_time_give_no_slot_twice(database: Database):
    flow = one_step()
    for n in range(50):
        await begin(database, flow, place=place(bounded(concurrency=7)), team=f"t{n % 3}", now=NOON)
    assert sum(await asyncio.gather(*(admit_due(database, NOON) for _ in range(6)))) == 7
    assert [slot for scope, _, slot in await slots(database) if scope == "queue"] == list(range(1, 8))


async def test_a_delayed_run_enters_its_queue_when_its_time_has_come(database: Database):
    flow = one_step()
    later = NOON + timedelta(minutes=5)
    started = await begin(database, flow, place=place(bounded(concurrency=1)), start_at=later, now=NOON)
    assert started.starts_at == later
    assert await admit_due(database, later - timedelta(seconds=1)) == 0
    async with database.transaction(ACTOR.org_id) as connection:
        assert (await client.read_run(connection, ACTOR.org_id, started.run_id)).status == "queued"
    assert await admit_due(database, later) == 1


@pytest.mark.parametrize("statement", ["UPDATE run_queue SET owner = gen_random_uuid()"])
async def test_nobody_can_own_a_run_behind_a_gate(database: Database, statement: str):
    await begin(database, one_step(), place=place(bounded(concurrency=1)), now=NOON)
    async with database.worker_connection() as connection:
        with pytest.raises(Exception, match="run_queue_gate_or_owner"):
            await connection.execute(statement)
