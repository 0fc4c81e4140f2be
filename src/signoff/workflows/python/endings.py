"""What the code of a workflow returns, as the end of its run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from signoff.core.errors import StepError
from signoff.workflows.python.commands import Continuation, RunOutcome

End = RunOutcome | Continuation | StepError


def end_of(value: Any, outcomes: Collection[str]) -> End:
    """One of the workflow's outcomes, the input to begin anew with, or the failure that it is neither."""
    if isinstance(value, Continuation):
        try:
            return Continuation(orjson.loads(orjson.dumps(value.input, option=orjson.OPT_UTC_Z)))
        except (TypeError, ValueError) as error:
            return StepError(f"the input to continue with is no plain data: {error}", kind="contract")
    if not isinstance(value, RunOutcome):
        detail = f"the workflow returned {type(value).__name__}; end it with: return ctx.outcome('…')"
        return StepError(detail, kind="no_outcome")
    if value.name not in outcomes:
        known = ", ".join(sorted(outcomes))
        return StepError(f"the workflow has no outcome '{value.name}'; it has {known}", kind="no_outcome")
    try:
        return RunOutcome(value.name, orjson.loads(orjson.dumps(value.output, option=orjson.OPT_UTC_Z)))
    except (TypeError, ValueError) as error:
        return StepError(f"the output of '{value.name}' is no plain data: {error}", kind="contract")
