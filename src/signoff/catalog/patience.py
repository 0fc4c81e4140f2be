"""Retries that wait less long than their `delay` says, as the longest delay is shorter."""

from __future__ import annotations

from collections.abc import Iterator

from signoff.core.errors import Problem
from signoff.workflows.model import Workflow, every_step


def cut_delays(workflow: Workflow) -> Iterator[Problem]:
    """A warning for each step whose first delay, or that of its undo, is longer than its longest may be.

    Args:
        workflow: one in YAML; what Python says of itself is known only as it runs.
    """
    told = set[tuple[str, int, float]]()
    for step in every_step(workflow.steps):
        for retry in (step.retry, *(() if step.undo is None else (step.undo.retry,))):
            place = (step.file or workflow.file, step.line, retry.delay_s)
            if retry.times == 0 or retry.delay_s <= retry.max_delay_s or place in told:
                continue
            told.add(place)
            detail = (
                f"'retry' of '{step.name}' waits {retry.max_delay_s:g} s, not the {retry.delay_s:g} s of its 'delay':"
                " a delay is cut to 'max_delay', which is 5m where it is not said."
            )
            hint = f"Write 'max_delay: {retry.delay_s:g}s' or more, or a shorter 'delay'."
            yield Problem(detail, place[0], step.line or None, suggestion=hint, code="cut-delay")
