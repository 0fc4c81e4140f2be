"""Filters where text leaves: arguments of tools, data of events. Asked before every try, before any intent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from signoff.capabilities.validation.filters import apply_filters, problems, told
from signoff.catalog.answer_contracts import FilterUse
from signoff.core.errors import StepError
from signoff.runtime.handlers import StepCall
from signoff.steps.services import Services
from signoff.steps.showing import APPROVED, unshown
from signoff.workflows.model import Expression


async def require_clean(
    call: StepCall, uses: Sequence[FilterUse], values: Mapping[str, Any], *, what: str, services: Services
) -> None:
    """Return where nothing stands against sending these values; what was found is journaled, never its content.

    Args:
        call: the step.
        uses: the filters, in order.
        values: what is about to leave.
        what: it is, for people.
        services: whose filters look.

    Raises:
        StepError: `filtered`, a filter blocks it; `unreviewed`, one wants a person to have approved it, and none that
            the step requires did, or none of these showed it; `filter_failed`, one could not look.
    """
    if not uses:
        return
    filtered = await asyncio.to_thread(apply_filters, uses, values, services.filters)
    for result in filtered.results:
        call.record("outgoing.filter", {**result.as_dict(), "target": call.step.target})
    filtered.require(what)
    asking = filtered.of("review")
    if asking and not any(approval.result == APPROVED for approval in call.approvals):
        detail = f"{what} goes out only once a person has approved it: {told(asking)}."
        raise StepError(detail, kind="unreviewed", problems=problems(asking))
    given = call.step.arguments.get("payload" if call.step.verb == "emit" else "with")
    parts: Mapping[str, Expression] = {} if given is None else given.parts
    hidden = await unshown(call, [one.field for one in asking], values, parts, services) if asking else []
    if hidden:
        detail = f"{what} goes out only as a person saw it, and no approved review shows {', '.join(hidden)}."
        raise StepError(detail, kind="unreviewed", problems=problems(asking))
