"""Circuit breakers: opened by failures of all workers together, closed by one probe, and free where all goes well."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from support.engine import FAST, Releases, ScriptedTool, SetHandler, compiled, ended, eventually, journal, start

from signoff.core.clock import SystemClock
from signoff.core.errors import StepError
from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime import Worker
from signoff.runtime.breakers import BREAKER_OPEN, Breaker, Breakers, BreakerSettings, list_breakers
from signoff.runtime.handlers import Done, StepCall

SETTINGS = BreakerSettings(failures=3, slow_calls=2, slow_s=5, window_s=30, open_s=10, longest_open_s=30, refresh_s=1)
TARGET = "tool/shop.get"
DOWN = StepError("the shop is down", kind="http_503", retryable=True)
REFUSED = StepError("no such order", kind="not_found")


@dataclass
class Moved:
    """A clock that tests move."""

    at: datetime = field(default_factory=lambda: datetime(2026, 5, 1, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Calling:
    """A handler with a target, and calls that come out as the test says."""

    breakers: Breakers
    clock: Moved
    verb: str = "tool"
    visible: bool = False

    def target(self, call: Any) -> str | None:
        return TARGET

    async def calls(self, error: BaseException | None = None, *, took_s: float = 0.0, sent: bool = True) -> str:
        call: Any = Facts()
        try:
            async with self.breakers.entered(self, call) as entry:  # type: ignore[arg-type]  # (needs no more of it)
                entry.sent = sent
                self.clock.move(took_s)
                if error is not None:
                    raise error
        except StepError as failure:
            return failure.kind
        except asyncio.CancelledError:
            return "cancelled"
        return "done"


class Facts:
    """What a breaker looks at of a call."""

    class run:  # noqa: N801  (an attribute)
        org_id: UUID = DEFAULT_ORG_ID

    timeout_s = 60.0


@pytest.fixture
def clock() -> Moved:
    return Moved()


def worker(database: Database, clock: Moved, settings: BreakerSettings = SETTINGS, *, believed: bool = True) -> Calling:
    made = Breakers(database, clock=clock, settings=settings, chance=lambda: 0.0, believed=lambda _: believed)
    return Calling(made, clock)


async def listed(database: Database) -> Mapping[str, Breaker]:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        return {breaker.target: breaker for breaker in await list_breakers(connection, DEFAULT_ORG_ID)}


async def opened(database: Database, clock: Moved) -> Calling:
    one = worker(database, clock)
    for _ in range(3):
        assert await one.calls(DOWN) == "http_503"
    return one


async def test_what_goes_well_is_never_written(database: Database, clock: Moved) -> None:
    one = worker(database, clock)
    for _ in range(5):
        assert await one.calls() == "done"
        assert await one.calls(REFUSED) == "not_found"
        assert await one.calls(DOWN, sent=False) == "http_503"
        assert await one.calls(asyncio.CancelledError()) == "cancelled"
    assert await listed(database) == {}


async def test_failures_of_all_workers_open_it_for_all(database: Database, clock: Moved) -> None:
    one, other = worker(database, clock), worker(database, clock)
    assert [await one.calls(DOWN), await other.calls(DOWN), await one.calls(DOWN)] == ["http_503"] * 3
    assert await one.calls() == BREAKER_OPEN
    assert await other.calls() == "done"  # it has not looked yet
    await other.breakers.refresh()
    assert await other.calls() == BREAKER_OPEN
    found = (await listed(database))[TARGET]
    assert (found.state, found.failures, found.trips, found.reason) == ("open", 3, 1, "http_503")


async def test_old_failures_do_not_count(database: Database, clock: Moved) -> None:
    one = worker(database, clock)
    for _ in range(6):
        assert await one.calls(DOWN) == "http_503"
        clock.move(16)
    assert (await listed(database))[TARGET].state == "closed"


async def test_a_few_failures_among_many_calls_do_not_count(database: Database, clock: Moved) -> None:
    one = worker(database, clock)
    for _ in range(10):
        assert [await one.calls(), await one.calls(), await one.calls(DOWN)] == ["done", "done", "http_503"]
    assert await listed(database) == {}


async def test_slow_calls_open_it_too(database: Database, clock: Moved) -> None:
    one = worker(database, clock)
    assert [await one.calls(took_s=6), await one.calls(took_s=6), await one.calls()] == ["done", "done", BREAKER_OPEN]
    assert (await listed(database))[TARGET].reason == "slow"


async def test_one_probe_at_a_time_over_all_workers(database: Database, clock: Moved) -> None:
    one = await opened(database, clock)
    others = [worker(database, clock) for _ in range(5)]
    for other in others:
        await other.breakers.refresh()
    clock.move(11)
    gate, inside = asyncio.Event(), asyncio.Event()

    async def probing(calling: Calling) -> str:
        call: Any = Facts()
        try:
            async with calling.breakers.entered(calling, call) as entry:  # type: ignore[arg-type]
                entry.sent = True
                inside.set()
                await gate.wait()
        except StepError as failure:
            return failure.kind
        return "done"

    tasks = [asyncio.create_task(probing(calling)) for calling in (one, *others)]
    await inside.wait()
    done, under_way = await _all_but_one(tasks)
    assert [task.result() for task in done] == [BREAKER_OPEN] * 5
    assert (await listed(database))[TARGET].state == "half_open"
    gate.set()
    assert await under_way.pop() == "done"
    assert (await listed(database))[TARGET].state == "closed"
    await one.breakers.refresh()
    assert await one.calls() == "done"


async def _all_but_one(tasks: list[asyncio.Task[str]]) -> tuple[list[asyncio.Task[str]], set[asyncio.Task[str]]]:
    waiting: set[asyncio.Task[str]] = set(tasks)
    while len(waiting) > 1:
        _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    return [task for task in tasks if task not in waiting], waiting


async def test_a_probe_that_fails_opens_it_for_longer(database: Database, clock: Moved) -> None:
    one = await opened(database, clock)
    for trips, wait_s in ((2, 20), (3, 30), (4, 30)):
        clock.move(40)
        assert await one.calls(DOWN) == "http_503"
        found = (await listed(database))[TARGET]
        assert (found.state, found.trips) == ("open", trips)
        assert found.retry_at == clock.now() + timedelta(seconds=wait_s)


async def test_a_probe_that_was_not_sent_or_died_leaves_room_for_another(database: Database, clock: Moved) -> None:
    one = await opened(database, clock)
    clock.move(11)
    assert await one.calls(REFUSED, sent=False) == "not_found"
    async with database.worker_connection() as connection:
        lost = "UPDATE breaker SET state = 'half_open', probe = $1, retry_at = $2 WHERE target = $3"
        await connection.execute(lost, uuid4(), clock.now() + timedelta(seconds=65), TARGET)
    await one.breakers.refresh()
    assert await one.calls() == BREAKER_OPEN
    clock.move(66)
    assert await one.calls() == "done"
    assert (await listed(database))[TARGET].state == "closed"


async def test_organisations_have_breakers_of_their_own(database: Database, database_url: str, clock: Moved) -> None:
    await opened(database, clock)
    other = uuid7()
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (other,))
    async with database.transaction(other) as connection:
        assert await list_breakers(connection, other) == []


STEPS = """
steps:
  get: {tool: shop.get, with: {}, retry: {times: 2, delay: 10ms, backoff: 1}}
outcome: {fine: get.done}
"""


class Shop(ScriptedTool):
    def target(self, call: StepCall) -> str | None:
        return f"tool/{call.step.target}"


async def test_a_step_waits_for_an_open_breaker_without_using_up_its_tries(database: Database) -> None:
    flow = compiled("breaker", STEPS, shop__get=False)
    broken = [True]

    def get(call: StepCall) -> Done:
        if broken[0]:
            raise StepError("down", kind="http_503", retryable=True)
        return Done({"id": 1})

    tool = Shop({"shop.get": get})
    quick = BreakerSettings(failures=2, open_s=1.5, refresh_s=0.05)
    runner = Worker(
        database,
        handlers=[tool],
        pure=[SetHandler()],
        releases=Releases({flow.name: flow}),
        clock=SystemClock(),
        settings=FAST,
        breakers=quick,
    )
    task = asyncio.create_task(runner.run())
    try:
        await asyncio.wait_for(runner.ready(), 10)
        run_id = await start(database, flow, {})

        async def held() -> bool:
            events = await journal(database, run_id)
            return any(event.kind == "step.retrying" and event.data.get("held") for event in events)

        await eventually(held)
        assert len(tool.calls) == 2
        broken[0] = False
        assert (await ended(database, run_id)).status == "done"
        events = [event.data for event in await journal(database, run_id) if event.kind == "step.retrying"]
        kinds = [data["error"]["kind"] for data in events]
        assert kinds[:3] == ["http_503", "http_503", BREAKER_OPEN]
        assert len(tool.calls) == 3
    finally:
        runner.stop()
        await asyncio.wait_for(task, 30)
    assert (await listed(database))[TARGET].state == "closed"


async def test_a_worker_that_may_be_dead_opens_nothing_for_the_others(database: Database, clock: Moved) -> None:
    """Its calls timed out while it was stopped: that says nothing of what they went to, and its probe is another's."""
    stale = worker(database, clock, believed=False)
    for _ in range(5):
        assert await stale.calls(StepError("late", kind="timeout", retryable=True)) == "timeout"
    assert await listed(database) == {}
    one = await opened(database, clock)
    await stale.breakers.refresh()
    clock.move(SETTINGS.open_s)
    assert await stale.calls(StepError("late", kind="timeout", retryable=True)) == "timeout"
    assert (await listed(database))[TARGET].trips == 1
    await one.breakers.refresh()
    assert await one.calls() == "done"
    assert (await listed(database))[TARGET].state == "closed"
