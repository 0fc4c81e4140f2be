"""Long-running commands: signals, and a server and a worker side by side in one event loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, cast

from signoff.cli.output import tell
from signoff.core.errors import SignoffError
from signoff.foundation.collector import settle_collector

if TYPE_CHECKING:
    from signoff.api import ApiServer
    from signoff.runtime import Worker

EXIT_INTERRUPTED = 130
"""What shells use for a command that SIGINT ended."""


class Stopping:
    """Whether and how to stop. The first signal asks for it, the second does not wait for work under way."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.graceful = False
        self._task: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[Stopping], Awaitable[None]]) -> int:
        """Do the work under signals; gives the exit code."""
        self._task = asyncio.create_task(_awaited(work(self)))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled)
        try:
            await self._task
        except asyncio.CancelledError:
            return EXIT_INTERRUPTED
        except BaseExceptionGroup as group:
            raise _only(group) from group
        return 0

    def _signalled(self) -> None:
        assert self._task is not None
        if self.asked.is_set() or not self.graceful:
            self._task.cancel()
        elif self.graceful:
            tell("Stopping; work under way is finished first. Once more stops at once; nothing is lost.")
        self.asked.set()


def run_process(work: Callable[[Stopping], Awaitable[None]]) -> int:
    """Run a long-running command to its end, on uvloop."""
    import uvloop

    async def main() -> int:
        return await Stopping().run(work)

    return uvloop.run(main())


async def serve_until_stopped(
    stopping: Stopping, *, server: ApiServer | None, worker: Worker | None, ready: Callable[[], None]
) -> None:
    """Run what is given until a signal comes, then let both finish what they are at."""
    async with asyncio.TaskGroup() as group:
        if server is not None:
            group.create_task(server.serve())
        if worker is not None:
            group.create_task(worker.run())
            await worker.ready()
        stopping.graceful = True
        settle_collector()
        ready()
        await stopping.asked.wait()
        if server is not None:
            server.stop()
        if worker is not None:
            worker.stop()


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error of ours inside, where there is one: a task group wraps whatever ended it."""
    leaves = list(_leaves(group))
    return next((error for error in leaves if isinstance(error, SignoffError)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for member in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(member)
    else:
        yield error
