"""What is inside steps, for `flow_runs`: the bodies of groups, and the runs that a run calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from signoff.core.errors import StepError
from signoff.core.labels import Fields, Labels, read_fields, written_fields
from signoff.workflows.concluding import decide_end
from signoff.workflows.groups import BodyEnd, after_turn, end_body, end_for, item_scope, items_of, turn_scope
from signoff.workflows.model import LOOP_VERBS, Step
from signoff.workflows.semantics import Ready, RunScope, StepState

if TYPE_CHECKING:
    from support.flow_runs import Run


def run_group(  # noqa: PLR0917  (where it stands)
    run: Run, step: Step, scope: RunScope, path: str, index: tuple[int, ...], ready: Ready, control: Labels
) -> BodyEnd:
    """How a group, an agent or a plan ends."""
    if step.verb == "for":
        return _for(run, step, scope, path, index, ready, control)
    if step.verb in LOOP_VERBS:
        return _repeat(run, step, scope, path, index, ready, control)
    states: dict[str, StepState] = {}
    return _body(run, step, scope.inside(states, None, control), states, path, index)


def _body(  # noqa: PLR0917  (the same)
    run: Run, step: Step, scope: RunScope, states: dict[str, StepState], path: str, index: tuple[int, ...]
) -> BodyEnd:
    errors = run.run_scope(step.body, scope, states, f"{path}/", index)
    end = end_body(step.body, step.give, scope, states, errors)
    assert end is not None
    return end


def _for(  # noqa: PLR0917  (the same)
    run: Run, step: Step, scope: RunScope, path: str, index: tuple[int, ...], ready: Ready, control: Labels
) -> BodyEnd:
    ends: dict[int, BodyEnd] = {}
    items = items_of(step, ready.arguments)
    for number, item in enumerate(items):
        states: dict[str, StepState] = {}
        inner = item_scope(step, scope, states, index=number, item=item, labels=control)
        ends[number] = _body(run, step, inner, states, path, (*index, number))
    end = end_for(step, len(items), ends, ready.labels, parent=scope, control=control)
    assert end is not None
    return end


def _repeat(  # noqa: PLR0917  (the same)
    run: Run, step: Step, scope: RunScope, path: str, index: tuple[int, ...], ready: Ready, control: Labels
) -> BodyEnd:
    last: Mapping[str, Any] = ready.arguments.get("start", {})
    start = step.arguments.get("start")
    fields: Fields = {}
    if start is not None:
        fields = {(name,): control.join(part.labels(scope)) for name, part in start.parts.items()}
    labels, number = ready.labels, 0
    while True:
        states: dict[str, StepState] = {}
        inner = turn_scope(scope, states, index=number, last=last, labels=labels, control=control, fields=fields)
        after = after_turn(step, inner, _body(run, step, inner, states, path, (*index, number)), turns=number + 1)
        if isinstance(after, BodyEnd):
            return after
        last, labels, control, fields, number = after.last, after.labels, after.control, after.fields, number + 1


def run_called(  # noqa: PLR0917  (the same)
    run: Run, step: Step, scope: RunScope, path: str, ready: Ready, control: Labels
) -> tuple[Mapping[str, Any], Labels, Fields]:
    """What a called run comes to, its labels, and those of its fields, as `steps/call.py` has them."""
    given = step.arguments["with"]
    parent = {
        "labels": {name: part.labels(scope).as_dict() for name, part in given.parts.items()},
        "control": control.as_dict(),
    }
    inside = replace(
        run, workflow=run.project.workflows[step.target], failed=False, people=set(), inside=f"{run.inside}{path}>"
    )
    inside.go(ready.arguments["with"], parent)
    if inside.failed:
        raise StepError("the run that it called failed", kind="child_failed")
    end = decide_end(inside.workflow, inside.scope)
    fields = read_fields(end.labels, written_fields(end.labels, end.fields))
    return {"run_id": "r", "outcome": end.outcome, "output": end.output}, end.labels, fields
