"""Work that is done in copies of this process, at once: each sends back what it made, as pickled data.

A fork shares what was read and imported before, so nothing is loaded twice. It copies one thread only: whatever lock
another one held would stay locked for ever. So it is done on Linux alone, and only where there is no other thread.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

T = TypeVar("T")

_THREADS = Path("/proc/self/task")


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def may_fork() -> bool:
    """Whether a copy of this process can go on safely: it has one thread, those of libraries counted."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return False
    try:
        return len(list(_THREADS.iterdir())) == 1
    except OSError:  # nobody can say how many there are
        return False


def in_processes(tasks: Sequence[Callable[[], T]], lost: Callable[[str], object]) -> list[T]:
    """What each task gives, in their order; the first is done here, each other in a process of its own.

    A task whose process ended before it was done is done again here, so nothing is lost; what it raises is raised.

    Args:
        tasks: what they give can be pickled. None of them may print, or change anything outside its process.
        lost: is told, for people, how a process ended that should not have.
    """
    begun: list[tuple[int, int]] = []
    try:
        begun += [_fork(task) for task in tasks[1:]]
        results = [task() for task in tasks[:1]]
        for task in tasks[1:]:
            sent = _answer(*begun.pop(0))
            if isinstance(sent, str):
                lost(sent)
                results.append(task())
            else:
                results.append(pickle.loads(sent))  # noqa: S301  (from a copy of this very process)
        return results
    finally:
        for process, end in begun:
            os.close(end)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _fork(task: Callable[[], object]) -> tuple[int, int]:
    """The process that does a task, and where what it gives can be read."""
    readable, writable = os.pipe()
    process = os.fork()
    if process == 0:
        _work(task, writable)
    os.close(writable)
    return process, readable


def _work(task: Callable[[], object], writable: int) -> NoReturn:
    """Do a task and end: at once, so that nothing of the process that this is a copy of is flushed or closed twice."""
    status = 1
    try:
        with os.fdopen(writable, "wb") as pipe:
            pipe.write(pickle.dumps(task(), pickle.HIGHEST_PROTOCOL))
        status = 0
    except BaseException:  # noqa: BLE001, S110  (the task is done again by who asked for it, and raises there)
        pass
    finally:
        os._exit(status)


def _answer(process: int, readable: int) -> bytes | str:
    """What a process has sent; or, as a text, how it ended without."""
    with os.fdopen(readable, "rb") as pipe:
        sent = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code == 0:
        return sent
    return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
