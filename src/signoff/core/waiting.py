"""Bounding work in time, at no cost where it does not wait.

A timeout is a timer of the event loop: setting and clearing one takes longer than much of what it bounds, such as a
policy decision that is already known. Work that never waits cannot be cut off anyway: it is begun first, and only what
is left of it is bounded.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


def begun(work: Coroutine[Any, Any, _T]) -> tuple[bool, Any]:
    """Do work up to its first wait: whether it came to its end, with what it gives or else what `resumed` needs."""
    try:
        return False, work.send(None)
    except StopIteration as done:
        return True, done.value


@coroutine
def resumed(work: Coroutine[Any, Any, _T], awaited: Any) -> Generator[Any, Any, _T]:
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
