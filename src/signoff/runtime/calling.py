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
from typing import Any, TypeVar, cast

from signoff.core.errors import SignoffError, StepError, UnavailableError
from signoff.core.waiting import begun, resumed
from signoff.foundation.database.failures import DatabaseAwayError
from signoff.runtime.context import RunContext
from signoff.runtime.handlers import Deciding, Effect, StepCall, StepHandler, decides
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
    patience: _Patience | None = None
    while True:
        coroutine = work()
        try:
            ended, found = begun(coroutine)  # most permits and many calls need no more than this
            return found if ended else await _bounded(call, coroutine, found)
        except _AS_THEY_ARE:
            raise
        except (UnavailableError, _CutOffError) as error:
            if once:
                raise _failure(error) from error
            patience = patience or _Patience(execution, call)
            await patience.after(error)
        except Exception as error:
            raise raised(call, error) from error


async def permit(execution: RunContext, handler: StepHandler, call: StepCall) -> None:
    """Ask whether a try may be made, and wait for that where it has to be.

    Raises:
        StepError: it may not.
        SessionLostError: the run is not ours any more.
    """
    await called(execution, call, lambda: handler.permit(call))


def permitted(handler: StepHandler, call: StepCall) -> bool:
    """Whether a handler says at once that a try may be made; if not, `permit` says.

    Raises:
        StepError: it may not.
    """
    if not decides(type(handler)):
        return False
    try:
        return cast("Deciding", handler).permitted(call)
    except StepError:
        raise
    except UnavailableError:
        return False
    except Exception as error:
        raise raised(call, error) from error


class _Patience:
    """How long a call that breaks is made again, counted from its first break."""

    def __init__(self, execution: RunContext, call: StepCall) -> None:
        self._execution = execution
        self._call = call
        self._clock = execution.engine.clock
        self._patience_s = PATIENCE_LEASES * execution.engine.settings.lease_s
        self._give_up_s = self._clock.monotonic_s() + self._patience_s
        self._pause_s, self._was_away = FIRST_PAUSE_S, False

    async def after(self, error: Exception) -> None:
        """Return when it is time for the next call.

        Raises:
            StepError: what broke is not our database, and its time is over.
            SessionLostError: the run is not ours any more.
        """
        clock, call = self._clock, self._call
        if self._execution.abandoned:
            raise SessionLostError("the session was lost while the database was away") from error
        asked_s = clock.monotonic_s()
        if not await _answers(self._execution) or isinstance(error, DatabaseAwayError):
            self._give_up_s, self._was_away = clock.monotonic_s() + self._patience_s, True
        elif self._was_away or clock.monotonic_s() - asked_s > self._execution.engine.settings.heartbeat_s:
            self._was_away = False  # it is back only now: what was cut off meanwhile may have waited for it
        elif isinstance(error, _CutOffError) or clock.monotonic_s() >= self._give_up_s:
            raise _failure(error) from error
        _log.warning("step %s of run %s waits: %s", call.path, call.run.run_id, error)
        await clock.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)


class _CutOffError(Exception):
    """A handler gave nothing in its time."""


_AS_THEY_ARE = (StepError, Blocked, ExpressionError, SessionLostError)


def _failure(error: Exception) -> StepError:
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


async def _bounded(call: StepCall, work: Coroutine[Any, Any, _T], awaited: Any) -> _T:
    """The rest of work that has begun, within the step's time."""
    cut = asyncio.timeout(call.timeout_s + CUT_OFF_SLACK_S)
    try:
        async with cut:
            return await resumed(work, awaited)
    except TimeoutError as error:
        if cut.expired():
            raise _CutOffError(f"no result within {call.timeout_s:g} s") from error
        raise


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
