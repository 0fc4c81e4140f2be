"""Who may say that something is on the disk, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from signoff.core.errors import UnavailableError
from signoff.foundation.database.flushes import Flushes


class Disk:
    """Flushes that end when they are told to."""

    def __init__(self) -> None:
        self.under_way: list[asyncio.Future[None]] = []
        self.begun = asyncio.Event()
        self.flushes = Flushes(self._flush)

    async def _flush(self) -> None:
        ending: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.under_way.append(ending)
        self.begun.set()
        await ending

    async def waiting(self, count: int = 1) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self.flushes.wait()) for _ in range(count)]
        await turns()
        return tasks


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def disk() -> AsyncGenerator[Disk]:
    disk = Disk()
    yield disk
    await disk.flushes.close()


async def test_those_who_wait_share_a_flush_that_begins_after_all_of_them_committed(disk: Disk):
    (first,) = await disk.waiting()
    others = await disk.waiting(3)
    assert len(disk.under_way) == 1
    disk.under_way[0].set_result(None)
    await turns()
    assert first.done()
    assert not any(other.done() for other in others)  # it may have begun before they committed
    assert len(disk.under_way) == 2
    disk.under_way[1].set_result(None)
    await asyncio.gather(*others)


async def test_a_commit_of_our_own_that_begins_later_is_enough(disk: Disk):
    with disk.flushes.writing():
        before = disk.flushes.begun()
        (waiting,) = await disk.waiting()
        disk.flushes.ended(before)  # this one may be on the disk without what the waiting one committed
        await turns()
        assert not waiting.done()
        disk.flushes.ended(disk.flushes.begun())
        await waiting
    assert not disk.under_way


async def test_where_none_comes_one_is_made(disk: Disk):
    with disk.flushes.writing():
        (waiting,) = await disk.waiting()
        assert not disk.under_way
        await disk.begun.wait()
    disk.under_way[0].set_result(None)
    await waiting


async def test_a_flush_that_fails_is_told_to_those_who_waited_for_it(disk: Disk):
    (first,) = await disk.waiting()
    (second,) = await disk.waiting()
    disk.under_way[0].set_exception(UnavailableError("PostgreSQL is away"))
    with pytest.raises(UnavailableError, match="away"):
        await first
    await turns()
    disk.under_way[1].set_result(None)
    await second


async def test_one_that_is_cancelled_leaves_the_others_waiting(disk: Disk):
    gone, staying = await disk.waiting(2)
    gone.cancel()
    await turns()
    disk.under_way[0].set_result(None)
    await staying
    assert gone.cancelled()


async def test_closing_ends_every_wait(disk: Disk):
    tasks = await disk.waiting(2)
    await disk.flushes.close()
    for task in tasks:
        with pytest.raises(UnavailableError, match="closed"):
            await task
