"""A run's steps under way as tasks of the event loop."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any

from signoff.core.waiting import begun, resumed


class StepTasks(abc.ABC):
    """The part of a run that starts work and goes on when it ends.

    Attributes:
        tasks: steps under way, by path.
        spawned: work was started since this was last put to false; what it began with is written at its first wait.
        abandoned: the session is lost; whatever is still under way may report, but not write.
    """

    __slots__ = ("_free", "_next", "abandoned", "spawned", "tasks")

    def __init__(self) -> None:
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.spawned = False
        self.abandoned = False
        self._free: asyncio.Task[None] | None = None
        self._next: tuple[str, Coroutine[Any, Any, None]] | None = None

    @abc.abstractmethod
    def advance(self) -> None:
        """Start whatever may start now, and rest when nothing can."""

    @abc.abstractmethod
    def push(self) -> None:
        """Hand what was emitted to the journal, without waiting: what nobody has seen may be redone."""

    @abc.abstractmethod
    def failed(self, error: BaseException) -> None:
        """An error of ours: the run is put aside."""

    def spawn(self, path: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a step's work as a task; when it ends, the run goes on.

        What begins as the work of a task ends is that task's next: most runs do one step after another, and a task of
        its own for each, with the turns of the event loop that it takes, costs as much as a small step.
        """
        task = self._free
        if task is None:
            task = asyncio.create_task(self._work(path, work))
            task.add_done_callback(partial(self._finished, work))
        else:
            self._free, self._next = None, (path, work)
        self.tasks[path] = task
        self.spawned = True

    async def _work(self, path: str, work: Coroutine[Any, Any, None]) -> None:
        """Work, and whatever begins as it ends, in one task. What ends in another way is left to `_finished`."""
        task, context = asyncio.current_task(), copy_context()
        assert task is not None
        while True:
            ended, awaited = begun(work)
            if not ended:
                self.push()  # what it began with, where that has not been written with its intent
                await resumed(work, awaited)
            # What a step's code set in its context is not for the next one.
            if self.abandoned or task.cancelling() or copy_context() != context:
                return
            del self.tasks[path]
            self._free = task
            self._advance_guarded()
            self._free, following, self._next = None, self._next, None
            if following is None:
                return
            path, work = following
            if self.abandoned or task.cancelling():
                work.close()
                return

    def _finished(self, first: Coroutine[Any, Any, None], task: asyncio.Task[None]) -> None:
        first.close()  # it may have been cancelled before it began
        path = next((path for path, own in self.tasks.items() if own is task), None)
        if path is None:
            return  # the run has gone on already
        del self.tasks[path]
        error = None if task.cancelled() else task.exception()
        if self.abandoned:
            return  # the run is somebody else's by now
        if error is not None:
            self.failed(error)
            return
        self._advance_guarded()

    def soon(self) -> None:
        """Advance once whatever else waits has had its turn."""
        asyncio.get_running_loop().call_soon(self._advance_guarded)

    def _advance_guarded(self) -> None:
        try:
            self.advance()
        except Exception as failure:  # noqa: BLE001  (whatever it is, it concerns this run alone)
            self.failed(failure)
