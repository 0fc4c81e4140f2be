"""What is bounded stays bounded: over loops that go on in new runs, retries, clocks that differ, and errors of ours."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from support.engine import (
    ACTOR,
    FAST,
    ScriptedTool,
    compiled,
    ended,
    running,
    send,
    waits_for,
)
from support.engine import until as reached
from support.starts_cases import NOON, Busy, at_gate, begin, bounded, gates, nothing_left, one_step, place, slots

from signoff.core.errors import StepError, UnavailableError
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime.client import Debounce, list_runs
from signoff.runtime.client.operations import Operation, operate
from signoff.runtime.duties import kept
from signoff.runtime.handlers import Done, StepCall, Waiting
from signoff.runtime.queues import Bounds, Rate
from signoff.runtime.starting import admit_due, start_debounced

LOOP = """
steps:
  cycle:
    repeat: {ask: {tool: ask.person, with: {n: "${index}"}}}
    until: ask.answer == 'stop'
    max: 9
    renew: 1
    give: {said: "${ask.answer}"}
outcome: {over: {when: cycle.done, give: {turns: "${cycle.turns}"}}}
"""


async def test_a_bucket_gives_no_more_where_the_workers_clocks_differ(database: Database):
    flow, queue = one_step(), bounded(rate=Rate(10, 10.0, burst=1))
    for _ in range(60):
        await begin(database, flow, place=place(queue), now=NOON)
    admitted = 0
    for tenth in range(50):  # two workers, one of them a second ahead, take turns for five seconds
        ahead = timedelta(seconds=1) if tenth % 2 else timedelta()
        admitted += await admit_due(database, NOON + timedelta(seconds=tenth / 10) + ahead)
    assert admitted <= 1 + 5 + 1  # the burst, five seconds, and the second that one of them is ahead


async def test_a_clock_that_ran_away_stops_no_bucket(database: Database):
    flow, queue = one_step(), bounded(rate=Rate(10, 10.0, burst=1))
    for _ in range(5):
        await begin(database, flow, place=place(queue), now=NOON)
    assert await admit_due(database, NOON + timedelta(days=1)) == 1
    async with database.worker_connection() as connection:
        await connection.execute("UPDATE queue_turn SET due_at = $1", NOON)
    found = [await admit_due(database, NOON + timedelta(seconds=second)) for second in range(5)]
    assert sum(found) >= 1


@pytest.mark.parametrize("bound", [{"concurrency": 1}, {"per_key": Bounds(1)}])
async def test_no_run_is_forgotten_whose_turn_was_taken_by_a_clock_ahead(database: Database, bound: dict[str, Any]):
    flow, queue = one_step(), bounded(**bound)
    first = (await begin(database, flow, place=place(queue, "k"), now=NOON)).run_id
    assert await admit_due(database, NOON) == 1
    second = (await begin(database, flow, place=place(queue, "k"), now=NOON + timedelta(seconds=3))).run_id
    assert await admit_due(database, NOON + timedelta(seconds=3)) == 0  # its turn is taken, and there is no slot
    async with database.worker_connection() as connection:
        await connection.execute("DELETE FROM run_queue WHERE run_id = $1", first)
    assert await admit_due(database, NOON + timedelta(seconds=1)) == 0  # a clock behind sees the slot, and no run yet
    assert await admit_due(database, NOON + timedelta(seconds=3)) == 1
    assert (await gates(database))[second] is None


async def test_a_loop_that_goes_on_in_a_new_run_keeps_its_slots(database: Database):
    loop, flow = compiled("loop", LOOP, ask__person=False), one_step()
    busy = Busy()
    queue = bounded(concurrency=1, per_key=Bounds(1))
    tool = ScriptedTool({"ask.person": lambda _: Waiting("person"), "work": busy})
    first = (await begin(database, loop, {}, place=place(queue, "k"))).run_id
    async with running(database, [loop, flow], tool, FAST):
        await reached(database, first, waits_for("person"))
        other = (await begin(database, flow, place=place(queue, "other"))).run_id
        await at_gate(database, other, "queue")
        await send(database, first, "cycle[0]/ask", {"answer": "go on"})
        assert (await ended(database, first)).outcome == "continued"
        async with database.transaction(ACTOR.org_id) as connection:
            second = (await list_runs(connection, ACTOR.org_id, workflow="test/loop"))[0].run_id
        await reached(database, second, waits_for("person"))
        assert [(scope, label) for scope, label, _ in await slots(database)] == [
            ("key", "k"),
            ("key", "other"),
            ("queue", ""),
            ("team", ""),
        ]
        assert (await gates(database))[other] == "queue"
        assert busy.order == []
        await send(database, second, "cycle[0]/ask", {"answer": "stop"})
        assert (await ended(database, second)).outcome == "over"
        assert (await ended(database, other)).status == "done"
    await nothing_left(database)


async def test_retried_runs_queue_again(database: Database):
    """A thousand runs that are retried at once are no more at a time than a thousand that were started."""
    flow, queue = one_step(), bounded(concurrency=2, release_while_waiting=True)
    busy, broken = Busy(hold_s=0.01), True

    async def work(call: StepCall) -> Done:
        if broken:
            raise StepError("the bank is away", kind="gone")
        return await busy(call)

    runs = [(await begin(database, flow, {"n": n}, place=place(queue), team="a")).run_id for n in range(8)]
    async with running(database, [flow], ScriptedTool({"work": work}), FAST):
        for run_id in runs:
            assert (await ended(database, run_id)).status == "failed"
        broken = False
        async with database.transaction(ACTOR.org_id) as connection:
            for run_id in runs:
                await operate(connection, ACTOR, run_id, Operation("retry", "it is back"), now=NOON)
            rows = await connection.fetch("SELECT gate, yields, team FROM run_queue")
        assert {(row["gate"], row["yields"], row["team"]) for row in rows} == {("queue", True, "a")}
        for run_id in runs:
            assert (await reached(database, run_id, lambda run: run.status == "done")).status == "done"
    assert busy.most == 2
    await nothing_left(database)


async def test_a_queue_that_breaks_holds_up_no_other(database: Database):
    flow = one_step()
    for name in ("broken", "sound"):
        await begin(database, flow, place=place(bounded(name, concurrency=1)), now=NOON)
    async with database.worker_connection() as connection:
        await connection.execute("UPDATE queue SET limits = '{}' WHERE queue LIKE '%broken'")
    assert await admit_due(database, NOON) == 1
    assert await admit_due(database, NOON + timedelta(seconds=2)) == 0
    async with database.worker_connection() as connection:
        await connection.execute("DELETE FROM queue WHERE queue LIKE '%broken'")
    assert await admit_due(database, NOON + timedelta(seconds=4)) == 1  # nothing was forgotten meanwhile


async def test_a_debounced_start_that_breaks_holds_up_no_other(database: Database):
    for key in ("broken", "sound"):
        await begin(database, one_step(), debounce=Debounce(key, 1.0, 2.0), now=NOON)
    async with database.worker_connection() as connection:
        await connection.execute("UPDATE start_debounced SET request = '{}' WHERE key = 'broken'")
    assert await start_debounced(database, NOON + timedelta(seconds=3)) == 1
    async with database.worker_connection() as connection:
        assert await connection.fetchval("SELECT due_at FROM start_debounced") > NOON + timedelta(seconds=30)


async def test_a_duty_that_breaks_is_taken_up_again():
    tries = 0

    async def duty() -> None:
        nonlocal tries
        tries += 1
        raise KeyError("no such time zone") if tries < 3 else UnavailableError("the database is away")

    with pytest.raises(UnavailableError):
        await kept(duty, pause_s=0.0)
    assert tries == 3


async def test_a_schedule_waits_for_the_end_of_a_loop_not_of_its_first_run(database: Database):
    loop = compiled("loop", LOOP, ask__person=False)
    first = (await begin(database, loop, {})).run_id
    async with database.worker_connection() as connection:
        await connection.execute(
            "INSERT INTO schedule (org_id, environment, project, name, workflow, spec, last_run_id)"
            " VALUES ($1, 'dev', 'test', 'hourly', 'test/loop', '{}', $2)",
            DEFAULT_ORG_ID,
            first,
        )
    async with running(database, [loop], ScriptedTool({"ask.person": lambda _: Waiting("person")}), FAST):
        await reached(database, first, waits_for("person"))
        await send(database, first, "cycle[0]/ask", {"answer": "go on"})
        await ended(database, first)
        async with database.worker_connection() as connection:
            last = await connection.fetchval("SELECT last_run_id FROM schedule")
        assert last in await gates(database)
        assert last != first
