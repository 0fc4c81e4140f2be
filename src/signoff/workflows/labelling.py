"""The labels of parts: of what decided that a step runs and how it ended, and of single fields of what a scope gives.

As what a whole has is the join of all that was read, these are lower, so that one untrusted field leaves the others as
they are.
"""

from __future__ import annotations

from collections.abc import Mapping

from signoff.core.labels import Fields, Labels, join_all, no_fields
from signoff.workflows.model import Expression, Step
from signoff.workflows.semantics import RunScope, StepState


def labels_of_parts(step: Step, key: str, scope: RunScope, states: Mapping[str, StepState]) -> dict[str, Labels]:
    """The labels of each member of an argument: of what it reads, and of what decided that the step runs.

    That its asserts hold is no part of it: who breaks one keeps the step from giving anything. Nothing where the only
    member has the labels of the whole.
    """
    given = step.arguments.get(key)
    rests_on_it_alone = len(step.arguments) == 1 and not step.asserts and step.needed is None
    if given is None or not given.parts or (rests_on_it_alone and len(given.parts) == 1):
        return {}
    control = control_of(step, scope, states)
    return {name: control.join(part.labels(scope)) for name, part in given.parts.items()}


def control_of(step: Step, scope: RunScope, states: Mapping[str, StepState]) -> Labels:
    """The labels of what decided that a step runs: of what is around it, its condition, and the steps it requires."""
    control = scope.control if step.when is None else scope.control.join(step.when.labels(scope))
    for name in step.requires:
        state = states[name] if name in states else scope.state(name)
        control = control if state is None else control.join(state.end_labels())
    return control


def acting_control(step: Step, scope: RunScope, states: Mapping[str, StepState]) -> Labels | None:
    """The same of steps where it is told apart: groups and calls; of a review, joined with all that it decides on.

    What a review shows is for people: its end rests on their decision, and on what it proposes.
    """
    if step.verb == "review":
        read = (one for key, one in step.arguments.items() if key != "show")
        also = step.asserts if step.needed is None else (step.needed, *step.asserts)
        return control_of(step, scope, states).join(join_all(one.labels(scope) for one in (*read, *also)))
    return control_of(step, scope, states) if step.verb in _APART else None


_APART = frozenset(("call", "for", "repeat", "do"))
"""Verbs whose results are labelled by field: what came in beside those fields has no part in them."""

_ENDS_APART = _APART | {"tool", "retrieve", "review"}
"""Verbs whose end rests on what they were given; of others what they answer decides it too."""


def status_labels(step: Step, whole: Labels, *, read: Labels, control: Labels | None) -> Labels:
    """The labels of how a step ended.

    Args:
        step: the step; it is done.
        whole: of all that it gives.
        read: of all that it read.
        control: as `acting_control` says.
    """
    if step.verb not in _ENDS_APART:
        return whole
    own = control if step.verb == "review" and control is not None else read
    lower = own.trust < whole.trust or own.data_class < whole.data_class
    return own if lower else whole


def given_labels(give: Expression | None, scope: RunScope) -> Fields:
    """The labels of each member of what a scope gives: of what it reads, and of what decided that the scope is there.

    Nothing where it is no mapping.
    """
    if give is None or not give.parts:
        return no_fields()
    return {(name,): scope.control.join(part.labels(scope)) for name, part in give.parts.items()}
