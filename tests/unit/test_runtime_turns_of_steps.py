"""What the steps of a worker share: places to execute, and when they hear that something was written."""

from __future__ import annotations

import asyncio

from signoff.runtime.answering import HALVED_FROM, Answers
from signoff.runtime.slots import Slots


async def test_a_place_is_taken_at_once_only_while_one_is_free_and_nobody_waits() -> None:
    slots = Slots(2)
    assert slots.taken()
    assert slots.taken()
    assert not slots.taken()
    waiting = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    slots.release()
    assert not slots.taken()  # it is that of the one that waits
    assert await waiting
    slots.release()
    slots.release()
    assert [slots.taken() for _ in range(3)] == [True, True, False]


def _waiting(answers: Answers, count: int) -> list[asyncio.Future[bool]]:
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[bool]] = [loop.create_future() for _ in range(count)]
    for future in futures:
        answers.add(future)
    return futures


async def test_half_of_many_are_told_before_the_others() -> None:
    answers = Answers()
    futures = _waiting(answers, HALVED_FROM)
    answers.begin(others=0)
    assert [future.done() for future in futures] == [True] * (HALVED_FROM // 2) + [False] * (HALVED_FROM // 2)
    futures[-1].cancel()
    answers.end()
    assert all(future.done() for future in futures)
    assert not answers


async def test_few_are_told_at_once_and_nobody_before_the_others_where_those_are_many() -> None:
    answers = Answers()
    few = _waiting(answers, HALVED_FROM - 1)
    answers.begin(others=0)
    assert all(future.done() for future in few)
    many = _waiting(answers, HALVED_FROM)
    answers.begin(others=HALVED_FROM // 2)
    assert not any(future.done() for future in many)
