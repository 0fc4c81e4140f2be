"""Operations on files that may never end, as a file server that is away lets them hang: each in a thread, for a time.

A thread that hangs cannot be ended. It is given up, and nothing else is begun in that place while it is there: what
would hang beside it could only add threads. They are no executor's, which would be waited for when the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from signoff.core.errors import UnavailableError

T = TypeVar("T")


class ArchiveError(UnavailableError):
    """Where runs should be archived cannot be written to, does not answer, or is no place for archives."""

    code = "archive"
    title = "The archive cannot be written"


class Files:
    """Does one thing at a time in each place.

    Args:
        limit_s: how long one operation may take, in seconds.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._left: dict[str, threading.Thread] = {}

    async def do(self, place: str, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Do it in a thread.

        Args:
            place: the directory, as the project names it.
            function: what to do there.
            arguments: by place, for the function.
            named: by name, likewise.

        Raises:
            ArchiveError: it did not end in time, or an earlier one there has not ended yet.
        """
        earlier = self._left.get(place)
        if earlier is not None and earlier.is_alive():
            raise ArchiveError(f"An earlier operation on the archive '{place}' hangs still: is its file server there?")
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[T] = loop.create_future()

        def tell(result: T | None, error: BaseException | None) -> None:
            if ended.done():
                return  # nobody waits any more
            if error is not None:
                ended.set_exception(error)
            else:
                ended.set_result(result)  # type: ignore[arg-type]  (without an error there is a result)

        def work() -> None:
            result, error = None, None
            try:
                result = function(*arguments, **named)
            except Exception as raised:  # noqa: BLE001  (whoever waits gets it)
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(tell, result, error)

        thread = threading.Thread(target=work, name=f"signoff-archive {place}", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(self._limit_s):
                return await ended
        except asyncio.CancelledError:
            self._left[place] = thread
            raise
        except TimeoutError:
            if ended.done() and not ended.cancelled():
                raise  # the operation's own
            self._left[place] = thread
            raise ArchiveError(
                f"The archive '{place}' did not answer within {self._limit_s:g} s: is its file server there?"
            ) from None
