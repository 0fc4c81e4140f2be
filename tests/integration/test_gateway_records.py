"""Records of calls: written in batches, summed up by day, bounded, and told of where they get lost."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from support.limit_cases import MODEL, MONTH, MovedClock, asked, estimate, ledger

from signoff.capabilities.gateway.asking import Asked, CallRecord, Considered, Estimate, Tried
from signoff.capabilities.gateway.chat import ChatUsage
from signoff.capabilities.gateway.limits import LimitSettings
from signoff.capabilities.gateway.records import (
    CallFilter,
    CallRecorder,
    CostFilter,
    RecordSettings,
    list_calls,
    measured_health,
    read_call,
    read_costs,
    read_differences,
)
from signoff.catalog.model_limits import ModelLimit
from signoff.core.errors import InvalidError, NotFoundError, UnavailableError
from signoff.core.ids import uuid7
from signoff.core.money import NO_USAGE, Cost, Usage
from signoff.foundation.database import DEFAULT_ORG_ID, Connection, Database
from signoff.steps.history import ModelHistory

AT_ONCE = RecordSettings(gather_s=0)


def tried(model: str = "vendor/main", outcome: str = "ok", *, cost: int = 100, latency_s: float = 1.0) -> Tried:
    usage = Usage(1, 10, 5, Cost(cost))
    return Tried(model, "openai", outcome, usage, 0.2, latency_s, "genai-prices 1", Estimate(12, 100, Cost(500)))


def record(clock: MovedClock, *tries: Tried, who: Asked | None = None, **facts: Any) -> CallRecord:
    usage = NO_USAGE
    for one in tries:
        usage = usage + one.usage
    told: dict[str, Any] = {
        "kind": "chat",
        "outcome": "ok",
        "finish_reason": "stop",
        "model": tries[-1].model if tries else "",
        "considered": (Considered("vendor/main", rank=1, why={"price": 0.1}),),
        "tokens": ChatUsage(11, 5, reported=True, vendor={"secret": "of the vendor"}),
        "first_token_s": 0.2,
        "latency_s": 1.1,
    }
    return CallRecord(
        id=uuid7(time_ms=int(clock.now().timestamp() * 1000)),
        at=clock.now(),
        asked=who or asked(workflow="refund", step="triage", run_id=UUID(int=7)),
        tried=tries,
        usage=usage,
        **{**told, **facts},
    )


async def kept(database: Database, clock: MovedClock, *records: CallRecord) -> None:
    recorder = CallRecorder(database, clock, AT_ONCE)
    for one in records:
        recorder.record(one)
    await recorder.aclose()
    assert recorder.dropped == 0


def days(clock: MovedClock, **facts: Any) -> CostFilter:
    return CostFilter(clock.now().date() - timedelta(days=400), clock.now().date() + timedelta(days=400), **facts)


async def costs(database: Database, clock: MovedClock, *by: str, **facts: Any) -> dict[tuple[str, ...], int]:
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        lines = await read_costs(connection, DEFAULT_ORG_ID, days(clock, **facts), by)
    return {line.by: line.cost_micro_usd for line in lines}


async def test_a_call_is_found_again_with_all_that_is_kept_of_it(database: Database):
    clock = MovedClock()
    one = record(clock, tried("vendor/a", "timeout"), tried("vendor/b"), signals={"injection": 0.9})
    await kept(database, clock, one)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        found = await read_call(connection, DEFAULT_ORG_ID, one.id)
        with pytest.raises(NotFoundError):
            await read_call(connection, DEFAULT_ORG_ID, uuid4())
    assert (found.model, found.outcome, found.cost_micro_usd, found.step) == ("vendor/b", "ok", 200, "triage")
    assert [one["outcome"] for one in found.details["tried"]] == ["timeout", "ok"]
    assert found.details["considered"][0]["why"] == {"price": 0.1}
    assert found.details["signals"] == {"injection": 0.9}
    assert "of the vendor" not in str(found.details)


async def test_calls_are_listed_newest_first_by_filters_and_pages(database: Database):
    clock = MovedClock()
    records: list[CallRecord] = []
    for number in range(6):
        clock.move(1)
        records.append(record(clock, tried(), who=asked("support" if number % 2 else "sales")))
    await kept(database, clock, *records)
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        first = await list_calls(connection, DEFAULT_ORG_ID, CallFilter(team="support"), limit=2)
        rest = await list_calls(connection, DEFAULT_ORG_ID, CallFilter(team="support"), after=first[-1].call_id)
        none = await list_calls(connection, DEFAULT_ORG_ID, CallFilter(run_id=uuid4()))
    assert [one.call_id for one in (*first, *rest)] == [records[place].id for place in (5, 3, 1)]
    assert none == []


async def test_costs_are_summed_up_by_day_team_model_run_and_step(database: Database):
    clock = MovedClock()
    await kept(
        database,
        clock,
        record(clock, tried("vendor/a", "timeout", cost=7), tried("vendor/b", cost=20)),
        record(clock, tried("vendor/b", cost=30), who=asked("sales")),
        record(clock, cached=True, model="vendor/b"),
    )
    clock.move(86_400)
    await kept(database, clock, record(clock, tried("vendor/b", cost=1)))
    assert await costs(database, clock, "team") == {("sales",): 30, ("support",): 28}
    assert await costs(database, clock, "model") == {("vendor/a",): 7, ("vendor/b",): 51}
    by_day = await costs(database, clock, "team", "day")
    assert by_day == {("sales", "2026-05-01"): 30, ("support", "2026-05-01"): 27, ("support", "2026-05-02"): 1}
    assert await costs(database, clock, "run", "step", workflow="refund") == {(str(UUID(int=7)), "triage"): 28}
    assert await costs(database, clock, "day", team="sales") == {("2026-05-01",): 30}
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        (line,) = await read_costs(connection, DEFAULT_ORG_ID, days(clock, team="sales"), ["month"])
        pages = await read_costs(connection, DEFAULT_ORG_ID, days(clock), ["team", "day"], after=["support", ""])
        with pytest.raises(InvalidError, match="Did you mean 'team'"):
            await read_costs(connection, DEFAULT_ORG_ID, days(clock), ["teem"])
    assert (line.by, line.calls, line.tries, line.input_tokens) == (("2026-05",), 1, 1, 10)
    assert [page.by for page in pages] == [("support", "2026-05-01"), ("support", "2026-05-02")]


async def test_a_batch_that_is_written_twice_counts_once(database: Database):
    clock = MovedClock()
    one = record(clock, tried(cost=20))
    for _ in range(2):
        await kept(database, clock, one)
    assert await costs(database, clock, "team") == {("support",): 20}


async def test_what_vendors_report_is_compared_with_estimates_and_counts(database: Database):
    clock = MovedClock()
    await kept(database, clock, record(clock, tried()), record(clock, tried(), tokens=ChatUsage()))
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        ((place, one),) = await read_differences(connection, DEFAULT_ORG_ID, days(clock))
        assert await read_differences(connection, DEFAULT_ORG_ID, days(clock), after=place) == []
    assert (one.day, one.model, one.tries, one.unreported_calls) == (date(2026, 5, 1), "vendor/main", 2, 1)
    assert (one.estimated_input_tokens, one.reported_input_tokens, one.input_tokens) == (24, 11, 20)
    assert (one.estimated_cost_micro_usd, one.cost_micro_usd) == (1000, 200)


async def test_tries_of_a_step_tell_of_reports_of_their_own_and_local_ones_of_none(database: Database):
    clock = MovedClock()
    tries = [replace(tried(), tokens=ChatUsage(number, 1, reported=True)) for number in (30, 40)]
    nobody = replace(tried(), price_version="local")
    await kept(
        database, clock, record(clock, *tries, tokens=tries[-1].tokens), record(clock, nobody, tokens=ChatUsage())
    )
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        found = await read_differences(connection, DEFAULT_ORG_ID, days(clock))
    told = {one.price_version: (one.tries, one.unreported_calls, one.reported_input_tokens) for _, one in found}
    assert told == {"local": (1, 0, 0), tries[0].price_version: (2, 0, 70)}


async def test_too_many_records_are_dropped_and_counted_and_never_block(
    database: Database, caplog: pytest.LogCaptureFixture
):
    clock = MovedClock()
    recorder = CallRecorder(database, clock, RecordSettings(queue=2, gather_s=0))
    for _ in range(5):
        recorder.record(record(clock, tried()))
    await recorder.aclose()
    assert recorder.dropped == 3
    assert "records of calls were dropped" in caplog.text
    assert await costs(database, clock, "team") == {("support",): 200}


async def test_a_call_whose_process_died_is_told_as_lost_and_costs_what_was_set_aside(database: Database):
    clock = MovedClock()
    book = ledger(
        database, ModelLimit("team", "micro_usd", 1_000, MONTH), clock=clock, settings=LimitSettings(lease_s=60)
    )
    await book.admit(asked(step="triage"), MODEL, estimate(cost=600))
    recorder = CallRecorder(database, clock, AT_ONCE)
    await recorder.sweep()
    assert await costs(database, clock, "team") == {}
    clock.move(61)
    await recorder.sweep()
    await recorder.sweep()
    assert await costs(database, clock, "team", "model") == {("support", "vendor/main"): 600}
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        (found,) = await list_calls(connection, DEFAULT_ORG_ID, CallFilter(outcome="lost"))
    assert (found.step, found.cost_micro_usd) == ("triage", 600)


async def test_old_calls_leave_and_their_days_stay(database: Database):
    clock = MovedClock()
    await kept(database, clock, record(clock, tried(cost=20)))
    clock.move(91 * 86_400)
    await CallRecorder(database, clock, AT_ONCE).sweep()
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert await list_calls(connection, DEFAULT_ORG_ID, CallFilter()) == []
    assert await costs(database, clock, "team") == {("support",): 20}
    clock.move(1_100 * 86_400)
    await CallRecorder(database, clock, AT_ONCE).sweep()
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        everything = CostFilter(date(2020, 1, 1), date(2090, 1, 1))
        assert await read_costs(connection, DEFAULT_ORG_ID, everything, ["day"]) == []


async def test_health_is_measured_over_the_latest_tries(database: Database):
    clock = MovedClock()
    old = record(clock, tried("vendor/a", "timeout"))
    clock.move(3_600)
    tries = [tried("vendor/a", latency_s=float(number)) for number in range(1, 10)]
    await kept(
        database,
        clock,
        old,
        *(record(clock, one) for one in tries),
        record(clock, tried("vendor/a", "rate_limited"), tried("vendor/b", "context_overflow")),
    )
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        found = await measured_health(
            connection, DEFAULT_ORG_ID, environment="dev", since=clock.now() - timedelta(minutes=5)
        )
    assert (found["vendor/a"].tries, found["vendor/a"].error_rate) == (10, 0.1)
    assert found["vendor/a"].latency_s == (5.0, pytest.approx(8.6))
    assert (found["vendor/b"].error_rate, found["vendor/b"].latency_s) == (0.0, None)
    past = await ModelHistory(database, clock).calls(DEFAULT_ORG_ID, "dev")
    assert (past["vendor/a"].tries, past["vendor/a"].failed) == (10, 1)
    assert past["vendor/b"].latency_s is None


async def test_a_record_that_cannot_be_written_takes_no_others_with_it(database: Database):
    clock = MovedClock()
    good, bad = record(clock, tried()), record(clock, tried(cost=2**70))
    recorder = CallRecorder(database, clock, AT_ONCE)
    recorder.record(bad)
    recorder.record(good)
    await recorder.aclose()
    assert recorder.dropped == 1
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        assert [one.call_id for one in await list_calls(connection, DEFAULT_ORG_ID, CallFilter())] == [good.id]


class LeavingDatabase:
    """One that goes away as connections are given back, some times: what was written is, and nobody hears of it."""

    def __init__(self, database: Database, *leaves: int) -> None:
        self._database, self._leaves, self._taken = database, leaves, 0
        self.worker_transaction = database.worker_transaction

    @asynccontextmanager
    async def worker_connection(self) -> AsyncGenerator[Connection]:
        self._taken += 1
        leaves = self._taken in self._leaves
        async with self._database.worker_connection() as connection:
            yield connection
        if leaves:
            raise UnavailableError("The connection to PostgreSQL was lost")


async def test_records_that_are_written_one_by_one_outlast_the_database(database: Database):
    """They did not: whatever was left of the batch was dropped. Nor does one count twice whose answer was lost."""
    clock = MovedClock()
    first, bad, last = record(clock, tried()), record(clock, tried(cost=2**70)), record(clock, tried())
    recorder = CallRecorder(cast("Database", LeavingDatabase(database, 2, 5)), clock, AT_ONCE)
    for one in (first, bad, last):
        recorder.record(one)
    await recorder.aclose()
    assert recorder.dropped == 1
    assert await costs(database, clock, "team") == {("support",): 200}
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        found = await list_calls(connection, DEFAULT_ORG_ID, CallFilter())
    assert {one.call_id for one in found} == {first.id, last.id}
