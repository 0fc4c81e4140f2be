"""Schedules with a clock that moves when the test says so: once each, whatever overlaps, is late or dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from support.engine import ACTOR, RELEASE
from support.starts_cases import NOON, FakeClock, begin, bounded, gates, one_step, place

from signoff.catalog.schedule_runs import backfill, trigger
from signoff.core.errors import ConflictError, ForbiddenError, UnavailableError
from signoff.foundation.database import DEFAULT_ORG_ID, Connection, Database
from signoff.runtime import StartRequest, start_run
from signoff.runtime.client import RunStarted
from signoff.runtime.queues import Bounds
from signoff.runtime.starting import (
    Schedule,
    SchedulePlace,
    Timetable,
    Turn,
    admit_due,
    apply_queues,
    apply_schedules,
    fire_due,
)
from signoff.runtime.starting.operating import pause_schedule, read_firings, read_schedule, resume_schedule

HOURLY = Timetable(cron="0 * * * *")
PLACE = SchedulePlace(DEFAULT_ORG_ID, "dev", "test", "hourly")


@dataclass
class Starts:
    """Starts a small workflow for each time, and may be told to fail."""

    failing: Callable[[], None] = lambda: None
    started: list[datetime] = field(default_factory=list[datetime])

    async def prepare(self, place: SchedulePlace) -> None:
        """There is nothing to load."""

    async def start(
        self,
        connection: Connection,
        place: SchedulePlace,
        schedule: Schedule,
        nominal_at: datetime,
        *,
        now: datetime,
        key: str | None = None,
    ) -> RunStarted:
        actor, key = schedule.actor(place.org_id), key or place.key(nominal_at)
        request = StartRequest(one_step(), RELEASE, schedule.input_at(nominal_at), actor, key)
        started = await start_run(connection, request, now=now)
        self.failing()
        self.started.append(nominal_at)
        return started


def hourly(**options: Any) -> Schedule:
    return Schedule.from_dict({**Schedule("hourly", "test/one", HOURLY).as_dict(), **options})


async def applied(database: Database, *schedules: Schedule, now: datetime = NOON) -> None:
    async with database.worker_transaction() as connection:
        await apply_schedules(connection, DEFAULT_ORG_ID, "dev", "test", schedules, now=now)


async def fire(database: Database, starts: Starts, now: datetime) -> int:
    return (await fire_due(database, "dev", starts, now=now)).started


async def firings(database: Database) -> list[tuple[int, str, str]]:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        records = await read_firings(connection, PLACE, limit=100)
    return [(record.nominal_at.hour, record.cause, record.status) for record in reversed(records)]


async def end_all(database: Database) -> None:
    async with database.worker_connection() as connection:
        await connection.execute("DELETE FROM run_queue")


async def test_each_time_starts_one_run_over_many_workers(database: Database):
    starts, clock = Starts(), FakeClock()
    await applied(database, hourly(overlap="allow"))
    for _ in range(6):
        now = clock.pass_s(1800)
        await asyncio.gather(*(fire(database, starts, now) for _ in range(4)))
    assert [moment.hour for moment in starts.started] == [13, 14, 15]
    assert len(await gates(database)) == 3
    assert await firings(database) == [(13, "time", "started"), (14, "time", "started"), (15, "time", "started")]


async def test_a_worker_that_dies_while_it_fires_leaves_the_time_to_another(database: Database):
    def dies() -> None:
        raise UnavailableError("the connection was lost")

    await applied(database, hourly())
    now = NOON + timedelta(hours=1)
    with pytest.raises(UnavailableError):
        await fire(database, Starts(dies), now)
    assert await gates(database) == {}
    assert await fire(database, Starts(), now) == 1


async def test_a_start_that_is_refused_is_told_and_the_schedule_goes_on(database: Database):
    def denied() -> None:
        raise ForbiddenError("policy says no")

    await applied(database, hourly())
    assert await fire(database, Starts(denied), NOON + timedelta(hours=1)) == 0
    assert await gates(database) == {}  # nothing of the start was left behind
    assert await firings(database) == [(13, "time", "failed")]
    assert await fire(database, Starts(), NOON + timedelta(hours=2)) == 1


async def test_one_that_breaks_in_an_unforeseen_way_holds_up_no_other(database: Database):
    """However many break, and however early they are due: all others are looked at in the same round."""
    broken = [replace(hourly(), name=f"broken-{number:03}") for number in range(60)]
    await applied(database, *broken, replace(hourly(), name="sound", timetable=Timetable(cron="5 * * * *")))
    async with database.worker_connection() as connection:
        await connection.execute("UPDATE schedule SET spec = '{}' WHERE name <> 'sound'")  # as of a later version
    starts, now = Starts(), NOON + timedelta(hours=2)
    fired = await fire_due(database, "dev", starts, now=now)
    assert (fired.started, fired.broken) == (1, 60)
    assert starts.started == [NOON + timedelta(hours=1, minutes=5)]


async def test_a_start_that_breaks_leaves_its_time_for_the_next_look(database: Database):
    def breaks() -> None:
        raise KeyError("a mistake of ours")

    await applied(database, hourly())
    now = NOON + timedelta(hours=1)
    fired = await fire_due(database, "dev", Starts(breaks), now=now)
    assert (fired.started, fired.broken) == (0, 1)
    assert await gates(database) == {}
    assert await fire(database, Starts(), now) == 1


async def test_the_same_key_triggers_one_run_also_at_once(database: Database):
    await applied(database, hourly())

    async def triggered(key: str | None, minute: int) -> RunStarted:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            return await trigger(connection, PLACE, Starts(), now=NOON + timedelta(minutes=minute), key=key)

    both = await asyncio.gather(triggered("t-1", 1), triggered("t-1", 2))
    assert both[0].run_id == both[1].run_id
    assert sorted(started.created for started in both) == [False, True]
    assert (await triggered("t-1", 3)).run_id == both[0].run_id
    others = [await triggered(key, minute) for key, minute in (("t-2", 4), (None, 5), (None, 6))]
    assert len({started.run_id for started in others} | {both[0].run_id}) == 4


@pytest.mark.parametrize(
    ("overlap", "running", "became"),
    [
        ("skip", 1, ["started", "skipped", "skipped"]),
        ("allow", 3, ["started", "started", "started"]),
        ("queue", 1, ["started", "waiting", "waiting"]),
        ("cancel_previous", 3, ["started", "started", "started"]),
    ],
)
async def test_what_happens_when_the_run_before_has_not_ended(
    database: Database, overlap: str, running: int, became: list[str]
):
    await applied(database, hourly(overlap=overlap))
    for hour in (1, 2, 3):
        await fire(database, Starts(), NOON + timedelta(hours=hour))
    assert len(await gates(database)) == running
    assert [status for _, _, status in await firings(database)] == became
    async with database.worker_connection() as connection:
        asked = await connection.fetchval("SELECT count(*) FROM inbox WHERE kind = 'run.cancel'")
    assert asked == (2 if overlap == "cancel_previous" else 0)


async def test_times_that_wait_are_run_one_after_the_other(database: Database):
    starts = Starts()
    await applied(database, hourly(overlap="queue"))
    for hour in (1, 2, 3):
        await fire(database, starts, NOON + timedelta(hours=hour))
    now = NOON + timedelta(hours=3, minutes=10)
    assert await fire(database, starts, now) == 0
    for _ in range(2):
        await end_all(database)
        assert await fire(database, starts, now) == 1
        assert await fire(database, starts, now) == 0
    assert [moment.hour for moment in starts.started] == [13, 14, 15]


@pytest.mark.parametrize(
    ("catch_up", "hours", "missed"),
    [("none", [], [17]), ("last", [17], [16]), ("all", [13, 14, 15, 16, 17], [])],
)
async def test_the_times_of_a_downtime_are_caught_up_as_declared(
    database: Database, catch_up: str, hours: list[int], missed: list[int]
):
    starts = Starts()
    await applied(database, hourly(catch_up=catch_up, overlap="allow"))
    await fire(database, starts, NOON + timedelta(hours=5, minutes=20))
    assert [moment.hour for moment in starts.started] == hours
    assert [hour for hour, _, status in await firings(database) if status == "missed"] == missed
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert (await read_schedule(connection, PLACE)).next_at == NOON + timedelta(hours=6)


async def test_a_pause_lets_nothing_be_due_and_a_release_does_not_end_it(database: Database):
    await applied(database, hourly())
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await pause_schedule(connection, PLACE, actor=ACTOR, reason="closed", now=NOON)
        with pytest.raises(ConflictError):
            await pause_schedule(connection, PLACE, actor=ACTOR, reason="again", now=NOON)
    await applied(database, hourly(input={"n": 2}))
    assert await fire(database, Starts(), NOON + timedelta(hours=2)) == 0
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        state = await resume_schedule(connection, PLACE, now=NOON + timedelta(hours=2, minutes=1))
    assert state.next_at == NOON + timedelta(hours=3)
    starts = Starts()
    assert await fire(database, starts, NOON + timedelta(hours=3)) == 1
    assert [moment.hour for moment in starts.started] == [15]


async def test_another_input_forgets_no_time_and_another_timetable_counts_from_now(database: Database):
    await applied(database, hourly())
    now = NOON + timedelta(hours=1, minutes=30)
    await applied(database, hourly(input={"n": 2}), now=now)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert (await read_schedule(connection, PLACE)).next_at == NOON + timedelta(hours=1)
    await applied(database, hourly(timetable=Timetable(every_s=600).as_dict()), now=now)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert (await read_schedule(connection, PLACE)).next_at == now + timedelta(minutes=10)
    await applied(database)
    assert await fire(database, Starts(), NOON + timedelta(days=1)) == 0


async def test_the_input_of_a_run_can_say_its_time(database: Database):
    schedule = hourly(input={"at": "${schedule.time}", "of": ["${schedule.name}", 1]})
    assert schedule.input_at(NOON) == {"at": "2026-03-02T12:00:00Z", "of": ["hourly", 1]}


def test_jitter_is_the_same_for_a_time_whoever_computes_it():
    delays = [PLACE.jitter(NOON + timedelta(hours=n), 300.0).total_seconds() for n in range(200)]
    assert delays == [PLACE.jitter(NOON + timedelta(hours=n), 300.0).total_seconds() for n in range(200)]
    assert 0 <= min(delays) < 60
    assert 240 < max(delays) < 300


async def test_released_bounds_come_into_force_for_runs_that_wait(database: Database):
    flow = one_step()
    tight = bounded(concurrency=1, per_key=Bounds(1))
    for n in range(6):
        await begin(database, flow, place=place(tight, f"k{n % 2}"), now=NOON)
    assert await admit_due(database, NOON) == 1
    async with database.worker_transaction() as connection:
        await apply_queues(connection, DEFAULT_ORG_ID, "dev", "test", [bounded(concurrency=3)], now=NOON)
    assert await admit_due(database, NOON) == 2
    async with database.worker_transaction() as connection:
        await apply_queues(connection, DEFAULT_ORG_ID, "dev", "test", [], now=NOON)
    assert await admit_due(database, NOON) == 3  # nobody is forgotten in a queue that is gone
    assert set((await gates(database)).values()) == {None}


async def test_firings_are_kept_in_bounds(database: Database):
    ids: set[UUID] = set()
    await applied(database, hourly(overlap="allow", catch_up="all", catch_up_max=300))
    await fire(database, Starts(), NOON + timedelta(hours=250))
    async with database.worker_connection() as connection:
        kept = await connection.fetchval("SELECT count(*) FROM schedule_firing")
        ids |= set(await gates(database))
    assert kept <= 201
    assert len(ids) == 250


async def test_a_pause_holds_what_waits_for_the_run_before(database: Database):
    starts = Starts()
    await applied(database, hourly(overlap="queue"))
    for hour in (1, 2):
        await fire(database, starts, NOON + timedelta(hours=hour))
    now = NOON + timedelta(hours=2, minutes=1)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await pause_schedule(connection, PLACE, actor=ACTOR, reason="closed", now=now)
    await end_all(database)
    assert await fire(database, starts, now) == 0
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await resume_schedule(connection, PLACE, now=now)
    assert await fire(database, starts, now) == 1


async def test_a_backfill_forgets_no_run_that_is_under_way(database: Database):
    """The times of the span had been run: the schedule took the run of then for its last, and let the next overlap."""
    starts = Starts()
    await applied(database, hourly(overlap="skip"))
    assert await fire(database, starts, NOON + timedelta(hours=1)) == 1
    await end_all(database)
    later = NOON + timedelta(hours=2)
    assert await fire(database, starts, later) == 1  # under way from here on
    async with database.worker_transaction() as connection:
        found = await backfill(connection, PLACE, starts, first=NOON, last=later - timedelta(minutes=1), now=later)
        turn = Turn(connection, PLACE, hourly(), starts, later, (await read_schedule(connection, PLACE)).last_run_id)
        assert await turn.fire(NOON + timedelta(hours=1), "backfill") == 0  # it gives the run of then
    assert [moment.hour for moment in found.before] == [13]
    assert await fire(database, starts, NOON + timedelta(hours=3)) == 0
    assert (await firings(database))[-1] == (15, "time", "skipped")
