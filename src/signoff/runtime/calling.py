"""Call a handler so that, whatever it does, the engine gets a result or a StepError.

A database of ours that is away is neither, however long that lasts: the call is made again once it answers, or the
session is lost with it, and then the run goes on elsewhere, as its journal has it. So is a call that found no
connection free: on a starved machine others keep theirs for long. Only what else is still unavailable while PostgreSQL
itself answers is a failure of the step, and so is what is cut off while it answers as before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from signoff.core.errors import SignoffError, StepError, UnavailableError
from signoff.core.waiting import within
from signoff.foundation.database.failures import DatabaseAwayError
from signoff.runtime.context import RunContext
from signoff.runtime.handlers import Effect, StepCall, StepHandler
from signoff.runtime.journal import SessionLostError
from signoff.workflows.errors import Blocked, ExpressionError

CUT_OFF_SLACK_S = 1.0  # what a handler has beyond `timeout_s`, so that its own, better error comes first
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
PATIENCE_LEASES = 3.0  # while PostgreSQL answers: what is still unavailable by then is not our database

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


async def called(
    execution: RunContext, call: StepCall, work: Callable[[], Coroutine[Any, Any, _T]], *, once: bool = False
) -> _T:
    """What `work` gives within the step's time.

    Args:
        execution: the run.
        call: what the handler is told.
        work: the call of the handler.
        once: it may have acted when it breaks, so it is not simply called again.

    Raises:
        StepError: it failed, or took too long.
        SessionLostError: the run is not ours any more.
    """
    clock, patience_s = execution.engine.clock, PATIENCE_LEASES * execution.engine.settings.lease_s
    give_up_s = clock.monotonic_s() + patience_s
    pause_s, was_away = FIRST_PAUSE_S, False
    while True:
        try:
            return await _cut_off(call, work)
        except SessionLostError:
            raise
        except (UnavailableError, _CutOffError) as error:
            if once:
                raise _failure(error) from error
            if execution.abandoned:
                raise SessionLostError("the session was lost while the database was away") from error
            asked_s = clock.monotonic_s()
            if not await _answers(execution) or isinstance(error, DatabaseAwayError):
                give_up_s, was_away = clock.monotonic_s() + patience_s, True
            elif was_away or clock.monotonic_s() - asked_s > execution.engine.settings.heartbeat_s:
                was_away = False  # it is back only now: what was cut off meanwhile may have waited for it
            elif isinstance(error, _CutOffError) or clock.monotonic_s() >= give_up_s:
                raise _failure(error) from error
            _log.warning("step %s of run %s waits: %s", call.path, call.run.run_id, error)
        await clock.sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


class _CutOffError(Exception):
    """A handler gave nothing in its time."""


def _failure(error: UnavailableError | _CutOffError) -> StepError:
    if isinstance(error, UnavailableError):
        return StepError(error.detail, kind="unavailable", retryable=True, outcome_unknown=True)
    return StepError(str(error), kind="timeout", retryable=True, outcome_unknown=True)


async def _answers(execution: RunContext) -> bool:
    """Whether PostgreSQL itself is there."""
    try:
        async with asyncio.timeout(execution.engine.settings.lease_s):
            await execution.engine.database.ping()
    except (UnavailableError, TimeoutError):
        return False
    return True


async def _cut_off(call: StepCall, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    cut = asyncio.timeout(call.timeout_s + CUT_OFF_SLACK_S)
    try:
        return await within(cut, work())
    except (StepError, UnavailableError, Blocked, ExpressionError):
        raise
    except Exception as error:
        if isinstance(error, TimeoutError) and cut.expired():
            raise _CutOffError(f"no result within {call.timeout_s:g} s") from error
        raise raised(call, error) from error


def raised(call: StepCall, error: Exception) -> StepError:
    """A handler's exception as its step's failure. Our own say why; of others the journal tells only the type."""
    if isinstance(error, StepError):
        return error
    if isinstance(error, SignoffError):
        kind = error.code.replace("-", "_")
        return StepError(error.detail, kind=kind, outcome_unknown=True, problems=error.problems)
    # A handler's own bug fails its step, not the worker; the log has the trace.
    _log.error("step %s of run %s raised", call.path, call.run.run_id, exc_info=error)
    return StepError(f"the step's handler raised {type(error).__name__}", kind="internal", outcome_unknown=True)


def effect_of(handler: StepHandler, call: StepCall) -> Effect | None:
    """What must be journaled before the call.

    Raises:
        StepError: the handler cannot say.
    """
    try:
        return handler.effect(call)
    except Exception as error:
        raise raised(call, error) from error
