"""Work within a time: begun at once, bounded from its first wait on, cancelled and failed like any awaited work."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from signoff.core.waiting import begun, resumed

LONG_S, SHORT_S = 60.0, 0.01


async def within(cut: asyncio.Timeout, work: Coroutine[Any, Any, Any]) -> Any:
    """As the engine does with each call of a handler: what never waits needs no timer."""
    ended, found = begun(work)
    if ended:
        return found
    async with cut:
        return await resumed(work, found)


async def test_work_that_never_waits_needs_no_timer() -> None:
    async def work() -> int:
        return 7

    cut = asyncio.timeout(LONG_S)
    assert await within(cut, work()) == 7
    async with cut:  # nobody has entered it
        pass


async def test_work_that_waits_gets_what_it_waits_for() -> None:
    first, second = (asyncio.get_running_loop().create_future() for _ in range(2))

    async def work() -> list[Any]:
        found = [await first]
        try:
            await second
        except KeyError as error:
            found.append(error.args[0])
        await asyncio.sleep(0)
        return found

    task = asyncio.create_task(within(asyncio.timeout(LONG_S), work()))
    await asyncio.sleep(0)
    first.set_result(1)
    second.set_exception(KeyError(2))
    assert await task == [1, 2]


async def test_what_takes_longer_is_cut_off_and_may_clean_up() -> None:
    tidied: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            tidied.append("yes")

    cut = asyncio.timeout(SHORT_S)
    with pytest.raises(TimeoutError) as raised:
        await within(cut, work())
    assert cut.expired()
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    assert tidied == ["yes"]


@pytest.mark.parametrize("waits", [False, True])
async def test_an_error_of_the_work_comes_out_as_it_is(waits: bool) -> None:
    async def work() -> None:
        if waits:
            await asyncio.sleep(0)
        raise TimeoutError("its own")

    cut = asyncio.timeout(LONG_S)
    with pytest.raises(TimeoutError, match="its own"):
        await within(cut, work())
    assert not cut.expired()


@pytest.mark.parametrize("goes_on", [False, True])
async def test_a_cancellation_reaches_the_work(goes_on: bool) -> None:
    heard: list[str] = []

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
            if not goes_on:
                raise
        return "went on"

    task = asyncio.create_task(within(asyncio.timeout(LONG_S), work()))
    await asyncio.sleep(0)
    task.cancel()
    if goes_on:
        assert await task == "went on"
    else:
        with pytest.raises(asyncio.CancelledError):
            await task
    assert heard == ["cancelled"]
