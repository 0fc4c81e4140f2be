"""Delayed, deduplicated and debounced starts, with a clock that moves when the test says so."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from support.engine import ACTOR, FAST, ScriptedTool, ended, journal, running, send
from support.starts_cases import NOON, Busy, FakeClock, begin, gates, one_step

from signoff.core.clock import SystemClock
from signoff.core.errors import InvalidError, NotFoundError
from signoff.foundation.database import Database
from signoff.runtime import client, store
from signoff.runtime.claims import store as claims_store
from signoff.runtime.client import Debounce, Deduplicate
from signoff.runtime.starting import start_debounced


async def due(database: Database) -> list[tuple[object, object]]:
    async with database.worker_connection() as connection:
        rows = await connection.fetch("SELECT due_at, not_before FROM run_queue")
    return [(row["due_at"], row["not_before"]) for row in rows]


async def test_a_delayed_run_begins_at_its_time_and_no_message_makes_it_earlier(database: Database):
    later = NOON + timedelta(hours=2)
    started = await begin(database, one_step(), start_at=later, now=NOON)
    assert started.starts_at == later
    async with database.transaction(ACTOR.org_id) as connection:
        await client.send_message(
            connection,
            org_id=ACTOR.org_id,
            run_id=started.run_id,
            path="a",
            kind="signal",
            data={},
            sent_by="user/ana",
            now=NOON,
        )
    assert await due(database) == [(later, later)]
    async with database.transaction(ACTOR.org_id) as connection:
        await client.cancel_run(connection, actor=ACTOR, run_id=started.run_id, reason="", now=NOON)
    assert await due(database) == [(NOON, None)]


async def test_the_time_of_a_run_counts_from_when_it_could_begin(database: Database):
    flow = one_step()
    clock = SystemClock()
    long_ago = clock.now() - timedelta(days=40)  # a run takes 30 days where nothing is said
    started = await begin(database, flow, start_at=clock.now() - timedelta(seconds=1), now=long_ago)
    async with running(database, [flow], ScriptedTool({"work": Busy()})):
        assert (await ended(database, started.run_id)).status == "done"


async def test_starts_with_a_key_give_the_first_run_while_the_window_lasts(database: Database):
    flow, once = one_step(), Deduplicate("ticket-7", 60.0)
    first = await begin(database, flow, {"n": 1}, deduplicate=once, now=NOON)
    again = await begin(database, flow, {"n": 2}, deduplicate=once, now=NOON + timedelta(seconds=59))
    other = await begin(database, one_step("other"), deduplicate=once, now=NOON)
    later = await begin(database, flow, {"n": 3}, deduplicate=once, now=NOON + timedelta(seconds=60))
    assert (first.created, again.created, other.created, later.created) == (True, False, True, True)
    assert again.run_id == first.run_id
    assert len({first.run_id, other.run_id, later.run_id}) == 3


async def test_of_many_starts_at_once_with_a_key_one_begins(database: Database):
    flow = one_step()
    starts = [begin(database, flow, deduplicate=Deduplicate("k", 60.0), now=NOON) for _ in range(8)]
    found = await asyncio.gather(*starts)
    assert sum(start.created for start in found) == 1
    assert len({start.run_id for start in found}) == 1


async def test_a_debounced_key_starts_once_it_is_quiet_with_the_latest_input(database: Database):
    flow, clock, quiet = one_step(), FakeClock(), Debounce("customer-7", 10.0, 25.0)
    first = await begin(database, flow, {"n": 1}, debounce=quiet, now=clock.now())
    assert (first.created, first.starts_at) == (True, NOON + timedelta(seconds=10))
    with pytest.raises(NotFoundError):
        await journal(database, first.run_id)
    again = await begin(database, flow, {"n": 2}, debounce=quiet, now=clock.pass_s(8))
    assert (again.created, again.run_id, again.starts_at) == (False, first.run_id, NOON + timedelta(seconds=18))
    assert await start_debounced(database, clock.pass_s(9.9)) == 0
    assert await start_debounced(database, clock.pass_s(0.1)) == 1
    assert await start_debounced(database, clock.now()) == 0
    assert (await journal(database, first.run_id))[0].data["input"] == {"n": 2}
    new = await begin(database, flow, {"n": 3}, debounce=quiet, now=clock.now())
    assert new.created
    assert new.run_id != first.run_id


async def test_a_key_that_is_never_quiet_starts_after_the_longest_wait(database: Database):
    flow, clock, quiet = one_step(), FakeClock(), Debounce("k", 10.0, 25.0)
    starts_at = [
        (await begin(database, flow, {"n": n}, debounce=quiet, now=clock.pass_s(8))).starts_at for n in range(3)
    ]
    assert starts_at[-1] == NOON + timedelta(seconds=8 + 25)


async def test_several_workers_start_a_debounced_run_once(database: Database):
    flow = one_step()
    for key in range(20):
        await begin(database, flow, debounce=Debounce(f"k{key}", 10.0, 25.0), now=NOON)
    counts = await asyncio.gather(*(start_debounced(database, NOON + timedelta(seconds=10)) for _ in range(4)))
    assert sum(counts) == 20
    assert len(await gates(database)) == 20


async def test_workers_start_what_was_debounced(database: Database):
    flow = one_step()
    started = await begin(database, flow, {"n": 4}, debounce=Debounce("k", 0.05, 1.0))
    busy = Busy()
    async with running(database, [flow], ScriptedTool({"work": busy}), FAST):

        async def there() -> bool:
            try:
                await journal(database, started.run_id)
            except NotFoundError:
                return False
            return True

        from support.engine import eventually  # noqa: PLC0415

        await eventually(there)
        assert (await ended(database, started.run_id)).status == "done"
    assert busy.order == [4]


@pytest.mark.parametrize(
    "options",
    [
        {"deduplicate": Deduplicate("k", 0.0)},
        {"deduplicate": Deduplicate("", 1.0)},
        {"debounce": Debounce("k", 1.0, 8 * 86400.0)},
        {"debounce": Debounce("k", 1.0, 2.0), "deduplicate": Deduplicate("k", 1.0)},
        {"debounce": Debounce("k", 1.0, 2.0), "start_at": NOON + timedelta(seconds=3)},
        {"idempotency_key": "k", "deduplicate": Deduplicate("k", 1.0)},
        {"start_at": NOON + timedelta(days=367)},
    ],
)
async def test_options_that_cannot_be_meant_are_told(database: Database, options: dict[str, Any]):
    with pytest.raises(InvalidError) as caught:
        await begin(database, one_step(), now=NOON, **options)
    assert caught.value.problems


async def test_a_run_too_large_for_what_is_left_is_not_claimed_until_it_is_alone(database: Database):
    """The bound on memory: what is claimed fits into the bytes that are left; one run always goes."""
    for n in range(4):
        await begin(database, one_step(), {"n": n}, now=NOON)
    async with database.worker_connection() as connection:
        await connection.execute("UPDATE run_queue SET journal_bytes = 1000")
        session_id = "00000000-0000-7000-8000-0000000000aa"
        await connection.execute(store.OPEN_SESSION, session_id, "here", 1, 60.0)
        assert len(await connection.fetch(claims_store.CLAIM, session_id, NOON, 10, 2500, True)) == 2
        assert len(await connection.fetch(claims_store.CLAIM, session_id, NOON, 10, 500, False)) == 0
        assert len(await connection.fetch(claims_store.CLAIM, session_id, NOON, 10, 500, True)) == 1


async def test_what_a_run_weighs_is_known_when_it_rests(database: Database):
    from support.engine import until, waits_for  # noqa: PLC0415

    from signoff.runtime.handlers import Waiting  # noqa: PLC0415

    flow = one_step()
    run_id = (await begin(database, flow)).run_id
    async with running(database, [flow], ScriptedTool({"work": lambda call: Waiting("review", about="?")})):
        await until(database, run_id, waits_for("review"))
        events = await journal(database, run_id)
        async with database.worker_connection() as connection:
            size = await connection.fetchval("SELECT journal_bytes FROM run_queue")
            stored = await connection.fetchval("SELECT sum(octet_length(data)) FROM journal")
        assert len(events) > 1
        assert size == stored
        await send(database, run_id, "a", {"answer": 1})
        await ended(database, run_id)
