"""Code of a workflow that does not come to its next await holds up every run of its worker: it is interrupted.

A thread looks at the time; a signal to the main thread raises where the code stands. A handler of signals sees which
line that is, so it raises only while one of the workflow, or of what that called, is running, which
PyThreadState_SetAsyncExc could not tell. Code that holds the interpreter, inside one call of a library in C, is reached
when that call returns, and code that catches BaseException in a loop goes on. In a process whose loop is not in the
main thread, the log tells only.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType

from signoff.workflows.python.commands import Place
from signoff.workflows.python.isolation import RELEASE_ROOT, file_of

LOOK_S = 0.25
"""How often the time is looked at; code is interrupted so much later than its limit says, at most."""

MOST_LOOKS = 8
"""Looks that must find the same code, at most, besides its time: a pause of the whole process is not its doing."""

_SIGNAL = signal.SIGVTALRM
"""One that neither asyncio nor the usual tools use; no timer is set."""

_log = logging.getLogger(__name__)


class Interrupted(BaseException):
    """The code ran for longer than it may. `place`: where it was. Workflow code must not take it for an Exception."""

    def __init__(self, place: Place | None) -> None:
        super().__init__(str(place or "an unknown line"))
        self.place = place


@dataclass(eq=False, slots=True)
class _Watched:
    """Code that runs; `looks` are still to find it after its time, or before."""

    run: str
    until_s: float
    around: CodeType
    looks: int
    told: bool = False

    @property
    def over(self) -> bool:
        return self.looks <= 0 and time.monotonic() >= self.until_s


class Watchdog:
    """Watches the code of one thread. One per process: signals belong to it."""

    def __init__(self) -> None:
        self._watched: _Watched | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._handles = False

    @contextmanager
    def watching(self, run: str, limit_s: float, around: CodeType) -> Generator[None]:
        """While the block lasts, `around` and what it calls are interrupted once `limit_s` is over, until it ends.

        Raises:
            Interrupted: it was, and did not keep that to itself.
        """
        if self._thread is None:
            self._start()
        looks = min(int(limit_s / LOOK_S), MOST_LOOKS)
        before, self._watched = self._watched, _Watched(run, time.monotonic() + limit_s, around, looks)
        try:
            yield
        finally:
            self._watched = before

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None:
                return
            if threading.current_thread() is threading.main_thread():
                signal.signal(_SIGNAL, self._interrupt)
                self._handles = True
            self._thread = threading.Thread(target=self._look, name="signoff-watchdog", daemon=True)
            self._thread.start()

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_S)
            watched = self._watched
            if watched is None:
                continue
            watched.looks -= 1
            if not watched.over:
                continue
            if not watched.told:
                _log.error("the code of run %s does not come to its next await", watched.run)
                watched.told = True
            if self._handles:
                signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        del number
        watched = self._watched
        if watched is None or not watched.over:
            return  # it came to its await in between
        if (place := _standing(frame, watched.around)) is not None:
            raise Interrupted(place)


def _standing(frame: FrameType | None, around: CodeType) -> Place | None:
    """The innermost line of a project's file; none where the code that is watched is not what runs."""
    innermost: Place | None = None
    while frame is not None:
        place = Place(file_of(frame.f_code), frame.f_lineno)
        if innermost is None and RELEASE_ROOT in frame.f_code.co_filename:
            innermost = place
        if frame.f_code is around:
            return innermost or place
        frame = frame.f_back
    return None


WATCHDOG = Watchdog()
