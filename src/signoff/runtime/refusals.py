"""Definite refusals of effects, told to whoever has the run by then.

The other side has answered no, and the worker that heard it lost the run before the journal did. The run's new owner
knows the intent alone: it would look up, send again, or ask a person what somebody knows. So it is told, through the
inbox, of that one intent by name, and takes the refusal as it would its own try's.

A refusal is told only where it leaves no doubt, of an earlier try neither. Where the new owner has meant to send since,
the word is on another intent than the one in doubt, and settles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from signoff.core.errors import Problem, StepError
from signoff.runtime.context import RunContext
from signoff.runtime.effects import says
from signoff.runtime.endings import describe
from signoff.runtime.handlers import Message
from signoff.runtime.state import StepRecord

REFUSED = "refused"


def telling(execution: RunContext, record: StepRecord, error: StepError) -> Callable[[], None]:
    """What to do should the event of this refusal not be written: tell the run that the intent came to nothing."""
    told = {**describe(error), "retryable": error.retryable, "retry_after_s": error.retry_after_s}
    data = {"attempt": record.attempt, "resolution": REFUSED, "intent": record.intent, "error": told}
    return partial(execution.engine.report, execution.facts.org_id, execution.run_id, record.path, data)


def word(record: StepRecord) -> Message | None:
    """A worker's word that the intent in doubt was refused."""
    if not record.in_doubt:
        return None
    return next((message for message in record.undelivered if says(record, message, REFUSED)), None)


def error_of(message: Message) -> StepError:
    """The refusal that the other worker heard."""
    told: Mapping[str, Any] = message.data["error"]
    return StepError(
        told["detail"],
        kind=told["kind"],
        retryable=told["retryable"],
        retry_after_s=told["retry_after_s"],
        problems=[Problem(**problem) for problem in told.get("problems", ())],
    )
