"""Bounding work in time, at no cost where it does not wait.

A timeout is a timer of the event loop: setting and clearing one takes longer than much of what it bounds, such as a
policy decision that is already known. Work that never waits cannot be cut off anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def within(cut: asyncio.Timeout, work: Coroutine[Any, Any, _T]) -> _T:
    """What `work` gives, begun at once; `cut`, which nobody has entered, bounds it from its first wait on.

    Raises:
        TimeoutError: it took longer; `cut.expired()` tells it from one that the work raised itself.
    """
    try:
        awaited = work.send(None)
    except StopIteration as done:
        return done.value
    async with cut:
        return await _resumed(work, awaited)


@coroutine
def _resumed(work: Coroutine[Any, Any, _T], awaited: Any) -> Generator[Any, Any, _T]:
    """The rest of work that has begun, from what it waits for."""
    while True:
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001  (whatever is thrown in, as by a cancellation, is the work's)
            try:
                awaited = work.throw(error)
            except StopIteration as done:
                return done.value
        else:
            return (yield from work)  # pyright: ignore[reportUnknownVariableType, reportReturnType]  (as `await` does)
