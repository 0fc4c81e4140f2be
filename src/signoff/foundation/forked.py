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

_Child = tuple[int, int]
"""A process, and where what it gives is read."""


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def may_fork() -> bool:
    """Whether a copy of this process can go on safely: it has one thread, those of libraries counted."""
    if sys.platform != "linux" or threading.active_count() > 1:
        return False
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # nobody is told then how a process ended
        return False
    try:
        return len(list(_THREADS.iterdir())) == 1
    except OSError:  # nobody can say how many there are
        return False


def in_processes(tasks: Sequence[Callable[[], T]], lost: Callable[[str], object]) -> list[T]:
    """What each task gives, in their order; the first is done here, each other in a process of its own.

    A task whose process ended before it was done, or could not be begun, is done here: nothing is lost, and what it
    raises is raised.

    Args:
        tasks: what they give can be pickled. None of them may print, or change anything outside its process.
        lost: is told, for people, how a process ended that should not have.
    """
    children: list[_Child | None] = []
    try:
        for task in tasks[1:]:
            children.append(_fork(task, [child[1] for child in children if child is not None]))
        results = [task() for task in tasks[:1]]
        for number, task in enumerate(tasks[1:]):
            child = children[number]
            sent = "could not be begun" if child is None else _answer(*child)
            children[number] = None
            if isinstance(sent, str):
                lost(sent)
                results.append(task())
            else:
                results.append(pickle.loads(sent))  # noqa: S301  (from a copy of this very process)
        return results
    finally:
        for process, end in filter(None, children):
            os.close(end)
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _fork(task: Callable[[], object], others: Sequence[int]) -> _Child | None:
    """A process that does a task; none where there can be no more, of processes or of files.

    Args:
        task: what it does.
        others: where others are read. A copy that kept those open, or its own, would write to nobody for ever when
            this process is gone.
    """
    try:
        readable, writable = os.pipe()
    except OSError:
        return None
    try:
        process = os.fork()
    except OSError:
        os.close(readable)
        os.close(writable)
        return None
    if process == 0:
        for end in (readable, *others):
            os.close(end)
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
    with os.fdopen(readable, "rb", closefd=False) as pipe:  # who is interrupted here still has it to close
        sent = pipe.read()
    os.close(readable)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if code == 0:
        return sent
    return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
