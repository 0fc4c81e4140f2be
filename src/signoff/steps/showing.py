"""Whether the person who approved a text saw it: compared with what the approved review presented, byte by byte."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from signoff.capabilities.reviews import read_review
from signoff.runtime.handlers import StepCall
from signoff.steps.services import Services
from signoff.workflows.model import Expression
from signoff.workflows.templates import TextTemplate

APPROVED = "approved"
"""What a person's decision is called; a review that policy did not need is no person's."""


async def unshown(
    call: StepCall,
    fields: Sequence[str],
    values: Mapping[str, Any],
    given: Mapping[str, Expression],
    services: Services,
) -> list[str]:
    """Those of the fields that nobody saw who approved the step: not as they go out, nor in parts of a template.

    Args:
        call: the step, with its approvals.
        fields: of the values, with `/` before what is inside one.
        values: what is about to leave.
        given: what each value is written as: the words that a document has around shown texts are its own.
        services: where reviews are.
    """
    seen: set[str] = set()
    async with services.database.transaction(call.run.org_id) as connection:
        for approval in call.approvals:
            if approval.result == APPROVED and approval.review_id:
                review = await read_review(connection, call.run.org_id, UUID(approval.review_id))
                # What was proposed counts as it was decided: somebody may have written something else there.
                seen.update(_texts([*review.shown.values(), review.final_values or {}]))
    names = {field.split("/", 1)[0] for field in fields}
    return sorted(name for name in names if not _was_seen(values.get(name), given.get(name), seen))


def _was_seen(value: Any, written: Expression | None, seen: set[str]) -> bool:
    if isinstance(value, Mapping):
        parts: Mapping[str, Expression] = {} if written is None else written.parts
        inside = cast("Mapping[str, Any]", value)
        return all(_was_seen(one, parts.get(name), seen) for name, one in inside.items())
    if isinstance(written, TextTemplate) and isinstance(value, str):
        pattern = "".join(re.escape(one) if isinstance(one, str) else "(.*)" for one in written.pieces)
        match = re.fullmatch(pattern, value, re.DOTALL)
        return match is not None and all(part in seen for part in match.groups())
    return all(text in seen for text in _texts([value]))


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _texts(cast("Mapping[str, Any]", value).values())
        elif isinstance(value, list):
            yield from _texts(cast("list[Any]", value))
