"""How a run ends: the first outcome that is true (rule 10), and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from signoff.core.errors import StepError
from signoff.core.labels import BOTTOM, Fields, Labels, no_fields
from signoff.core.values import value
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.labelling import given_labels
from signoff.workflows.model import Outcome, Workflow
from signoff.workflows.semantics import RunScope, truth


@value
class RunEnd:
    """How a run ends.

    Attributes:
        outcome: the name of its end.
        output: what that end gives; empty where it gives nothing.
        labels: of the output, and of what decided for this end.
        fields: of `outcome`, and of what stands in `output`, where they are lower.
    """

    outcome: str
    output: Mapping[str, Any]
    labels: Labels
    fields: Fields = field(default_factory=no_fields)


def decide_end(workflow: Workflow, scope: RunScope) -> RunEnd:
    """The first outcome whose condition is true (rule 10), and its output.

    An outcome that reads data that is not there does not match.

    Raises:
        StepError: a condition failed, none matches, or the output reads what is not there: all are failures of the run.
    """
    labels = BOTTOM
    for outcome in workflow.outcomes:
        labels = labels.join(outcome.condition.labels(scope))
        try:
            if truth(outcome.condition, scope, "outcome"):
                return _end(outcome, scope, labels, settled_names(workflow))
        except Blocked:
            continue
        except ExpressionError as error:
            raise StepError(f"outcome '{outcome.name}': {error.detail}", kind="expression") from error
    raise StepError("no outcome matches; add one for this case", kind="no_outcome")


def settled_names(workflow: Workflow) -> frozenset[str]:
    """What every end that gives anything gives alike: which end it was does not choose these values."""
    names: frozenset[str] | None = None
    sources: dict[str, str] = {}
    for outcome in workflow.outcomes:
        if outcome.give is None:
            continue
        own = {name: part.source for name, part in outcome.give.parts.items()}
        if names is None:
            names, sources = frozenset(own), own
        names = frozenset(name for name in names if own.get(name) == sources[name])
    return names or frozenset()


def _end(outcome: Outcome, scope: RunScope, labels: Labels, settled: frozenset[str]) -> RunEnd:
    decided: dict[tuple[str, ...], Labels] = {("outcome",): labels}
    if outcome.give is None:
        return RunEnd(outcome.name, {}, labels, decided)
    try:
        output = outcome.give.evaluate(scope)
    except Blocked as blocked:
        detail = f"outcome '{outcome.name}' gives the data of '{blocked.by}', which has none"
        raise StepError(detail, kind="no_output") from blocked
    for path, one in given_labels(outcome.give, scope).items():
        decided["output", *path] = one if path[0] in settled else labels.join(one)
    return RunEnd(outcome.name, output, labels.join(outcome.give.labels(scope)), decided)
