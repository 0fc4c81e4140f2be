"""Limits of model calls: counted exactly, set aside before, settled after, in windows that slide or follow months."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from support.limit_cases import MINUTE, MODEL, MONTH, ONE_CALL, MovedClock, asked, estimate, ledger

from signoff.capabilities.gateway.asking import Admission, Asked, Estimate, LimitReached
from signoff.capabilities.gateway.limits import LimitLedger, LimitSettings
from signoff.capabilities.gateway.limits.reading import list_uses
from signoff.catalog.model_limits import ModelLimit
from signoff.catalog.models import ModelSpec
from signoff.core.errors import LimitError
from signoff.core.ids import uuid7
from signoff.core.money import Cost, Usage
from signoff.foundation.database import DEFAULT_ORG_ID, Database

REQUESTS = ModelLimit("team", "requests", 3, MINUTE)
TOKENS = ModelLimit("team", "tokens", 100, MINUTE)
MONEY = ModelLimit("project", "micro_usd", 1_000, MONTH, "park")


@pytest.fixture
def other_org_id(database_url: str) -> UUID:
    org_id = uuid7()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO organisation (id, name) VALUES (%s, 'other')", (org_id,))
    return org_id


async def admitted(book: LimitLedger, times: int, who: Asked | None = None, what: Estimate | None = None) -> int:
    """How many of that many calls are let through."""
    found = 0
    for _ in range(times):
        try:
            await book.admit(who or asked(), MODEL, what or estimate())
            found += 1
        except LimitReached:
            pass
    return found


async def refused(book: LimitLedger, who: Asked | None = None, what: Estimate | None = None) -> LimitReached:
    with pytest.raises(LimitReached) as caught:
        await book.admit(who or asked(), MODEL, what or estimate())
    return caught.value


async def test_a_limit_lets_through_exactly_what_it_says_and_says_when_to_come_again(database: Database):
    clock = MovedClock()
    book = ledger(database, REQUESTS, clock=clock)
    assert await admitted(book, 5) == 3
    limit = await refused(book)
    assert (limit.kind, limit.at_limit) == ("quota", "refuse")
    assert limit.limit == "3 requests every 1m of team/support"
    assert limit.detail == "A limit lets it not pass: 3 requests every 1m of team/support."
    assert limit.retry_after_s == 66  # a whole window, and the part of it that is under way
    assert await admitted(book, 4, asked("sales")) == 3
    clock.move(65.9)
    assert await admitted(book, 1) == 0
    clock.move(0.1)
    assert await admitted(book, 5) == 3


async def test_no_stretch_of_a_sliding_window_has_more_than_the_limit(database: Database):
    clock = MovedClock()
    book = ledger(database, REQUESTS, clock=clock)
    let_in: list[float] = []
    for _ in range(300):
        clock.move(1.7)
        let_in += [clock.monotonic_s()] * await admitted(book, 1)
    for first in let_in:
        assert sum(first <= moment < first + 60 for moment in let_in) <= 3
    assert len(let_in) >= 3 * (300 * 1.7 // 66)


async def test_what_was_not_used_is_given_back_and_what_was_more_is_taken(database: Database):
    clock = MovedClock()
    book = ledger(database, TOKENS, clock=clock)
    first = await book.admit(asked(), MODEL, estimate(tokens=80))
    await refused(book, what=estimate(tokens=30))
    await first.settle(Usage(1, 5, 5, Cost()))
    await first.settle(Usage(1, 90, 5, Cost()))  # a second time says nothing
    second = await book.admit(asked(), MODEL, estimate(tokens=80))
    await second.settle(Usage(1, 100, 50, Cost()))  # it came to more than anybody thought
    limit = await refused(book, what=estimate(tokens=1))
    assert limit.retry_after_s is not None
    clock.move(66)
    assert await admitted(book, 1, what=estimate(tokens=100)) == 1


async def test_a_call_needs_room_in_all_limits_and_takes_none_where_one_has_none(database: Database):
    clock = MovedClock()
    book = ledger(database, ModelLimit("team", "requests", 10, MINUTE), MONEY, clock=clock)
    await refused(book, what=estimate(cost=2_000))
    assert await admitted(book, 20, what=estimate(cost=0)) == 10
    limit = await refused(book, what=estimate(cost=2_000))
    assert limit.limit.startswith("10 requests")  # refusing is graver than parking


async def test_more_than_the_whole_limit_never_has_room(database: Database):
    book = ledger(database, MONEY, clock=MovedClock())
    limit = await refused(book, what=estimate(cost=1_001))
    assert (limit.kind, limit.at_limit, limit.retry_after_s) == ("budget", "park", None)


async def test_a_month_ends_with_the_month(database: Database):
    clock = MovedClock(datetime(2026, 5, 31, 23, 0, tzinfo=UTC))
    book = ledger(database, MONEY, clock=clock)
    assert await admitted(book, 20) == 10
    assert (await refused(book)).retry_after_s == 3600
    clock.move(3600)
    assert await admitted(book, 20) == 10


async def test_money_is_not_lent_where_nobody_knows_the_price(database: Database):
    book = ledger(database, MONEY, clock=MovedClock())
    limit = await refused(book, what=estimate(cost=None))
    assert (limit.kind, limit.at_limit) == ("budget", "cheaper")
    assert "nobody knows the price" in limit.limit
    assert await admitted(ledger(database, REQUESTS, clock=MovedClock()), 1, what=estimate(cost=None)) == 1


async def test_limits_count_by_team_workflow_key_and_model_and_only_what_they_name(database: Database):
    key = uuid7()
    limits = (
        ModelLimit("workflow", "requests", 1, MINUTE),
        ModelLimit("key", "requests", 2, MINUTE),
        ModelLimit("model", "requests", 3, MINUTE, "cheaper", "vendor/dear"),
    )
    book = ledger(database, *limits, clock=MovedClock())
    assert await admitted(book, 3, asked(workflow="refund")) == 1
    assert await admitted(book, 3, asked(workflow="triage")) == 1
    assert await admitted(book, 3, asked(key=key)) == 2
    assert await admitted(book, 9) == 9
    dear = ModelSpec("vendor/dear", "openai", {})
    for _ in range(3):
        await book.admit(asked(), dear, estimate())
    with pytest.raises(LimitReached) as caught:
        await book.admit(asked(), dear, estimate())
    assert caught.value.at_limit == "cheaper"


async def test_organisations_and_projects_do_not_share_counts(database: Database, other_org_id: UUID):
    book = ledger(database, REQUESTS, clock=MovedClock())
    assert await admitted(book, 5) == 3
    assert await admitted(book, 5, asked(org_id=other_org_id)) == 3
    assert await admitted(book, 5, asked(project="other")) == 3
    assert await admitted(book, 5, asked(environment="prod")) == 3
    assert (
        await admitted(book, 5, asked(release="r2")) == 0
    )  # another release of the same project goes on with the count


async def test_a_call_that_is_given_up_while_it_waits_leaves_nothing_behind(database: Database):
    book = ledger(database, REQUESTS, clock=MovedClock())
    tasks = [asyncio.create_task(book.admit(asked(), MODEL, estimate())) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await book.flush()
    assert await admitted(book, 5) == 3


async def test_a_call_whose_process_died_counts_in_full(database: Database):
    clock = MovedClock()
    dead = ledger(database, MONEY, clock=clock)
    await dead.admit(asked(), MODEL, estimate(cost=600))
    alive = ledger(database, MONEY, clock=clock)
    clock.move(100_000)
    await refused(alive, what=estimate(cost=500))
    assert await admitted(alive, 1, what=estimate(cost=400)) == 1


async def test_too_many_waiting_calls_are_turned_away(database: Database):
    book = ledger(database, REQUESTS, clock=MovedClock(), settings=LimitSettings(waiting=1))
    first = asyncio.create_task(book.admit(asked(), MODEL, estimate()))
    await asyncio.sleep(0)
    with pytest.raises(LimitError):
        await book.admit(asked(), MODEL, estimate())
    await (await first).settle(ONE_CALL)
    await book.aclose()


async def test_many_at_once_are_admitted_in_few_statements_and_exactly(database: Database):
    book = ledger(database, ModelLimit("team", "requests", 150, MINUTE), clock=MovedClock())
    results = await asyncio.gather(
        *(book.admit(asked(), MODEL, estimate()) for _ in range(400)), return_exceptions=True
    )
    assert sum(not isinstance(result, BaseException) for result in results) == 150
    admissions: list[Admission] = [result for result in results if not isinstance(result, BaseException)]
    await asyncio.gather(*(admission.settle(Usage()) for admission in admissions))
    assert await admitted(book, 160) == 150


async def test_two_ledgers_that_need_the_same_counters_in_any_order_do_not_block_each_other(database: Database):
    limits = [ModelLimit(of, "requests", 1_000, MINUTE) for of in ("team", "workflow", "project", "model")]
    books = [ledger(database, *order, clock=MovedClock()) for order in (limits, limits[::-1])]
    callers = [asked(f"t{number % 3}", workflow=f"w{number % 5}") for number in range(60)]
    results = await asyncio.gather(*(book.admit(caller, MODEL, estimate()) for book in books for caller in callers))
    assert len(results) == 120


async def test_counts_in_which_nothing_counts_any_more_are_deleted(database: Database):
    clock = MovedClock()
    book = ledger(database, REQUESTS, clock=clock)
    await admitted(book, 1, asked("gone"))
    clock.move(500)
    await admitted(book, 2)
    await book.flush()
    async with database.worker_connection() as connection:
        holders = await connection.fetch("SELECT about ->> 'holder' AS holder FROM model_limit_use")
    assert [row["holder"] for row in holders] == ["support"]
    assert await admitted(book, 5, asked("gone")) == 3


async def test_keys_of_one_name_share_the_limit_that_names_them(database: Database):
    limits = (ModelLimit("key", "requests", 2, MINUTE, name="ci"), ModelLimit("key", "requests", 1, MINUTE, name="1d"))
    book = ledger(database, *limits, clock=MovedClock())
    old, new = (asked(principal="key/ci", key=key) for key in ("0a", "0b"))
    assert await admitted(book, 1, old) == 1
    assert await admitted(book, 3, new) == 1
    assert (await refused(book, old)).limit == "2 requests every 1m of key/ci"
    assert await admitted(book, 9, asked(principal="key/cd", key="0c")) == 9
    assert await admitted(book, 9, asked(principal="user/ci", key="0d")) == 9
    assert await admitted(book, 9, asked(principal="key/by-id", key="1d")) == 1


async def test_what_is_used_is_told_as_long_as_it_counts(database: Database):
    clock = MovedClock(datetime(2026, 5, 31, 23, 58, tzinfo=UTC))
    book = ledger(database, REQUESTS, MONEY, clock=clock)
    admission = await book.admit(asked(), MODEL, estimate())
    await admission.settle(ONE_CALL)
    assert await admitted(book, 1, asked("sales")) == 1
    await book.aclose()

    async def told(of: str = "", holder: str = "") -> list[tuple[str, str, str, int, int]]:
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            found = await list_uses(
                connection,
                DEFAULT_ORG_ID,
                project="shop",
                environment="dev",
                of=of,
                holder=holder,
                now=clock.now(),
            )
        return [(one.of, one.holder, one.every, one.used, one.most) for one in found]

    project = ("project", "", "month", 200, 1_000)
    assert await told() == [project, ("team", "sales", "1m", 1, 3), ("team", "support", "1m", 1, 3)]
    assert await told(of="team", holder="sales") == [("team", "sales", "1m", 1, 3)]
    clock.move(90)
    assert await told() == [project, ("team", "sales", "1m", 0, 3), ("team", "support", "1m", 0, 3)]
    clock.move(60)
    assert ("project", "", "month", 0, 1_000) in await told()
    clock.move(400 * 86_400)
    assert await told() == []
