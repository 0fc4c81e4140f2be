"""Blocks of room in the ledger: most calls ask no database, and every limit is as exact as without them."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

from support.limit_cases import MINUTE, MODEL, MONTH, MovedClock, asked, estimate, ledger

from signoff.capabilities.gateway.asking import Admission, Asked, LimitReached
from signoff.capabilities.gateway.limits import LimitLedger, LimitSettings
from signoff.capabilities.gateway.limits.flows import Settlement
from signoff.capabilities.gateway.records import CallRecorder
from signoff.catalog.model_limits import ModelLimit
from signoff.core.money import Cost, Usage
from signoff.foundation.database import Database

MANY = ModelLimit("project", "requests", 100_000, MINUTE)
TOKENS = ModelLimit("project", "tokens", 10_000, MINUTE)
SLOT_S = 6
"""Of a minute's window."""


async def admit(book: LimitLedger, times: int, tokens: int = 1, who: Asked | None = None) -> list[Admission]:
    return [await book.admit(who or asked(), MODEL, estimate(tokens)) for _ in range(times)]


async def has_room(book: LimitLedger, tokens: int = 1, who: Asked | None = None) -> Admission | None:
    try:
        return await book.admit(who or asked(), MODEL, estimate(tokens))
    except LimitReached:
        return None


async def used(database: Database) -> int:
    async with database.worker_connection() as connection:
        return await connection.fetchval("SELECT coalesce(sum(u), 0) FROM model_limit_use, unnest(used) AS u")


async def reserved(database: Database) -> list[int]:
    """For how many calls each reservation is."""
    async with database.worker_connection() as connection:
        rows = await connection.fetch("SELECT coalesce((about ->> 'calls')::int, 1) AS calls FROM model_reservation")
    return sorted(row["calls"] for row in rows)


async def test_calls_that_come_all_the_time_are_admitted_by_few_statements(database: Database):
    book = ledger(database, MANY, clock=MovedClock())
    admissions = await admit(book, 200)
    blocks = [calls for calls in await reserved(database) if calls > 1]
    assert blocks
    assert len(await reserved(database)) < 200
    for admission in admissions:
        await admission.settle(Usage(1))
    await book.flush()
    assert (await used(database), await reserved(database)) == (200, [])


async def test_calls_that_come_now_and_then_are_admitted_one_by_one(database: Database):
    clock = MovedClock()
    book = ledger(database, MANY, clock=clock)
    for _ in range(6):
        await admit(book, 1)
        clock.move(3)
    assert await reserved(database) == [1] * 6


async def test_without_blocks_each_call_is_asked_for(database: Database):
    book = ledger(database, MANY, clock=MovedClock(), settings=LimitSettings(block_s=0))
    await admit(book, 30)
    assert await reserved(database) == [1] * 30


async def test_a_call_is_counted_in_the_part_of_the_window_in_which_it_began(database: Database):
    clock = MovedClock()
    clock.move(SLOT_S - 0.5)
    book = ledger(database, MANY, clock=clock)
    await admit(book, 20)
    clock.move(0.6)  # the block has room and, but for the window, time
    await admit(book, 3)
    await book.flush()
    async with database.worker_connection() as connection:
        newest = await connection.fetchval("SELECT used[cardinality(used)] FROM model_limit_use")
    assert (newest, await used(database)) == (3, 23)


async def test_nobody_is_refused_for_room_that_this_process_has_taken_for_others(database: Database):
    book = ledger(database, TOKENS, clock=MovedClock())
    await admit(book, 50)
    assert max(await reserved(database)) > 1
    large = await has_room(book, 10_000 - 50, asked("sales"))
    assert large is not None
    assert await has_room(book) is None


async def test_nobody_is_refused_for_room_that_another_process_has_taken_before_that_is_back(database: Database):
    clock = MovedClock()
    one, other = (ledger(database, TOKENS, clock=clock) for _ in range(2))
    await admit(one, 50)
    waiting = asyncio.create_task(has_room(other, 10_000 - 50, asked("sales")))
    while not other._later:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]  (it has been told to wait)
        await asyncio.sleep(0)
    await one.flush()
    assert await waiting is not None


async def test_what_does_not_come_back_is_waited_for_once(database: Database):
    clock = MovedClock()
    dead, alive = (ledger(database, TOKENS, clock=clock) for _ in range(2))
    await admit(dead, 50)
    began = clock.now()
    assert await has_room(alive, 10_000 - 50) is None
    assert timedelta(0) < clock.now() - began < timedelta(seconds=2)
    began = clock.now()
    assert await has_room(alive, 10_000 - 50) is None
    assert clock.now() == began


async def test_a_block_whose_process_died_counts_as_spent_and_is_told(database: Database):
    clock = MovedClock()
    dead = ledger(database, ModelLimit("project", "micro_usd", 1_000_000, MONTH), clock=clock)
    await admit(dead, 5)
    taken = max(await reserved(database))
    spent = await used(database)
    assert taken > 1
    assert spent == (3 + taken) * 100
    clock.move(4_000)
    recorder = CallRecorder(database, clock)
    await recorder.sweep()
    async with database.worker_connection() as connection:
        lost = await connection.fetch("SELECT model_calls, cost_micro_usd FROM model_call WHERE outcome = 'lost'")
    assert max((row["model_calls"], row["cost_micro_usd"]) for row in lost) == (taken, taken * 100)
    assert sum(row["cost_micro_usd"] for row in lost) == spent == await used(database)


async def test_a_block_that_comes_back_twice_comes_back_once(database: Database):
    book = ledger(database, MANY, clock=MovedClock())
    await admit(book, 40)
    block = next(iter(book._blocks))  # pyright: ignore[reportPrivateUsage]  (its answer may get lost)
    written = block.settle

    def twice(settlement: Settlement) -> None:
        written(settlement)
        written(settlement)

    block.settle = twice
    await book.flush()
    assert await used(database) == 40


async def test_over_many_processes_and_windows_never_one_over_and_none_is_lost(database: Database):
    clock, chance = MovedClock(), random.Random(5)
    limits = (ModelLimit("project", "requests", 300, MINUTE), ModelLimit("project", "tokens", 3_000, MINUTE))
    books = [ledger(database, *limits, clock=clock) for _ in range(3)]
    going: list[tuple[Admission, float, int]] = []
    done: list[tuple[float, int]] = []
    began_s = clock.monotonic_s()
    for _ in range(120):
        clock.move(chance.choice((0, 0, 0.01, 0.2, 2.0, 9.0)))
        book, calls, tokens = chance.choice(books), chance.randint(1, 12), chance.randint(1, 20)
        found = await asyncio.gather(*(has_room(book, tokens, asked(chance.choice("ab"))) for _ in range(calls)))
        # A call that waited for what is lent has moved the clock, and was admitted after that.
        going += [(one, clock.monotonic_s(), tokens) for one in found if one is not None]
        for _ in range(min(len(going), chance.randint(0, 15))):
            admission, at_s, most = going.pop(chance.randrange(len(going)))
            came_to = chance.randint(0, most)
            await admission.settle(Usage(1, came_to, 0, Cost()))
            done.append((at_s, came_to))
    for admission, at_s, tokens in going:
        await admission.settle(Usage(1, tokens, 0, Cost()))
        done.append((at_s, tokens))
    for first_s, _ in done:
        stretch = [tokens for at_s, tokens in done if first_s <= at_s < first_s + 60]
        assert len(stretch) <= 300
        assert sum(stretch) <= 3_000
    assert clock.monotonic_s() - began_s > 120
    assert len(done) > 300
    for book in books:
        await book.flush()
    counts = [tokens for at_s, tokens in done if at_s // SLOT_S > clock.monotonic_s() // SLOT_S - 11]
    assert await used(database) >= len(counts) + sum(counts)
    clock.move(140)  # nobody wants anything any more
    left = await admit(books[0], 150, 20)
    assert await has_room(books[1], 1) is None
    assert len(left) == 150
