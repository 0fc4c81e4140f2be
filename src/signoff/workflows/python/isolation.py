"""How a workflow's code is kept apart from the worker that runs it, and where in a project's files it stood."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from types import CodeType
from typing import Any

from signoff.core.errors import StepError
from signoff.foundation.logging import mask_credentials
from signoff.workflows.python.commands import Place
from signoff.workflows.python.errors import ForeignAwaitError, StepFailed, WorkflowFailed

RELEASE_ROOT = "signoff-release/"
"""What the names of a release's files begin with in tracebacks; a project's own path follows."""


def file_of(code: CodeType) -> str:
    """The project's path of the file that code is from; of code from elsewhere its own."""
    return code.co_filename.rpartition(RELEASE_ROOT)[2]


@contextmanager
def no_running_loop() -> Generator[None]:
    """While a workflow runs, asyncio has no loop: what would escape into the worker's fails where it is called."""
    import asyncio  # noqa: PLC0415  (whoever only checks a project's code has no loop to hide)

    running = asyncio._get_running_loop()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (asyncio's own hook for whoever drives coroutines)
    asyncio._set_running_loop(None)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (see above)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  (see above)


def foreign_await(coroutine: Any, what: str) -> ForeignAwaitError:
    """The error of a workflow that awaits something else than its context's commands, with its line."""
    return _foreign(_standing(coroutine), what)


def escaped(failure: BaseException) -> ForeignAwaitError | None:
    """The same of one that asked asyncio for its loop; none for any other failure."""
    if isinstance(failure, RuntimeError) and "no running event loop" in str(failure):
        return _foreign(_raised_at(failure), "asyncio")
    return None


def _foreign(place: Place | None, what: str) -> ForeignAwaitError:
    at = f"{place}: " if place else ""
    hint = "Await only what ctx gives, such as ctx.wait and ctx.gather."
    return ForeignAwaitError(f"{at}the workflow awaits {what}, which its journal cannot give back. {hint}")


def _standing(coroutine: Any) -> Place | None:
    """The line that a suspended coroutine stands at, in the innermost coroutine that it awaits."""
    place = None
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            place = Place(file_of(frame.f_code), frame.f_lineno)
        coroutine = getattr(coroutine, "cr_await", None)
    return place


def _raised_at(failure: BaseException) -> Place | None:
    """The last line of a project's file that a failure came through."""
    place, trace = None, failure.__traceback__
    while trace is not None:
        if RELEASE_ROOT in trace.tb_frame.f_code.co_filename:
            place = Place(file_of(trace.tb_frame.f_code), trace.tb_lineno)
        trace = trace.tb_next
    return place


def as_step_error(failure: BaseException) -> StepError:
    """What nothing in the workflow caught, as the run's failure."""
    if isinstance(failure, StepFailed):
        return StepError(str(failure), kind=failure.kind)
    place = _raised_at(failure)
    at = f" ({place})" if place else ""
    if isinstance(failure, WorkflowFailed):
        return StepError(f"{failure.detail}{at}", kind=failure.kind)
    text = mask_credentials(" ".join(str(failure).split()))
    return StepError(f"{type(failure).__name__}: {text}{at}", kind="workflow_error")
