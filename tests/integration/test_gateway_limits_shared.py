"""One limit, many processes and many callers: never one call over, none under, and nobody starves."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from support.limit_cases import MINUTE, MODEL, MovedClock, asked, estimate, ledger

from signoff.capabilities.gateway.asking import LimitReached
from signoff.capabilities.gateway.limits import LimitLedger
from signoff.catalog.model_limits import ModelLimit
from signoff.foundation.database import Database

PROGRAM = Path(__file__).parent.parent / "support" / "limit_process.py"
SHARED = ModelLimit("project", "requests", 100, MINUTE)


async def processes(url: str, count: int, *, tries: int, at_once: int, most: int) -> list[int]:
    """How many calls each process was let through."""
    arguments = [str(PROGRAM), url, "support", str(tries), str(at_once), str(most)]
    started = [
        await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        for _ in range(count)
    ]
    told = await asyncio.gather(*(process.communicate() for process in started))
    assert [process.returncode for process in started] == [0] * count
    return [int(out) for out, _ in told]


@pytest.mark.parametrize(("count", "at_once", "most"), [(2, 8, 97), pytest.param(8, 16, 3_001, marks=pytest.mark.slow)])
async def test_no_process_is_let_through_one_call_too_many_and_none_is_left_over(
    database_url: str, count: int, at_once: int, most: int
):
    found = await processes(database_url, count, tries=most, at_once=at_once, most=most)
    assert sum(found) == most, found


async def take(book: LimitLedger, team: str, times: int) -> int:
    found = 0
    for _ in range(times):
        try:
            await book.admit(asked(team), MODEL, estimate())
            found += 1
        except LimitReached:
            pass
    return found


async def test_whoever_is_alone_has_all_of_a_shared_limit(database: Database):
    clock = MovedClock()
    book = ledger(database, SHARED, clock=clock)
    assert await take(book, "flood", 130) == 100
    clock.move(66)
    assert await take(book, "flood", 130) == 100


async def test_a_flood_leaves_to_another_what_that_asked_for_lately_up_to_an_equal_part(database: Database):
    clock = MovedClock()
    book = ledger(database, SHARED, clock=clock)
    assert await take(book, "flood", 130) == 100
    assert await take(book, "calm", 70) == 0  # nobody knew of it: this one window it has to wait
    clock.move(66)
    assert await take(book, "flood", 130) == 50
    assert await take(book, "calm", 30) == 30
    assert await take(book, "flood", 30) == 0  # the other 20 are kept for it
    assert await take(book, "calm", 30) == 20
    clock.move(132)  # long enough for nobody to have asked for anything
    assert await take(book, "flood", 130) == 100


async def test_little_is_kept_for_who_asks_for_little(database: Database):
    clock = MovedClock()
    book = ledger(database, SHARED, clock=clock)
    assert await take(book, "calm", 5) == 5
    assert await take(book, "flood", 130) == 95
    clock.move(66)
    assert await take(book, "flood", 130) == 95
    assert await take(book, "calm", 5) == 5


async def test_more_sharers_than_are_told_apart_share_one_part(database: Database):
    clock = MovedClock()
    book = ledger(database, SHARED, clock=clock)
    for number in range(40):
        assert await take(book, f"t{number}", 1) == 1
    assert await take(book, "t50", 100) == 60
