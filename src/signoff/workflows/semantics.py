"""What happens when something does not happen: the ten normative rules as pure functions.

The engine asks; nothing here knows of journals or time. `docs/reference/what-happens-when.md` states the rules in words,
`tests/unit/test_workflows_semantics.py` runs all combinations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signoff.core.errors import StepError
from signoff.core.labels import BOTTOM, Labels, Trust, join_all
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.model import Expression, Step, StepStatus, Workflow

APPROVING = frozenset({"approved", "not_needed"})


@dataclass(frozen=True, slots=True)
class StepState:
    """How a step ended, as other steps see it.

    Attributes:
        status: one of the six ends (rule 1).
        result: what `.result` says: the status; of a review approved, rejected, expired or not_needed.
        output: its data; empty where there is none.
        labels: of its data.
        readable: whether its data may be read (rule 3). A rejected review's values may not.
        is_review: reviews satisfy `requires` by their result (rule 5).
    """

    status: StepStatus
    result: str
    output: Mapping[str, Any] = field(default_factory=dict[str, Any])
    labels: Labels = BOTTOM
    readable: bool = False
    is_review: bool = False

    def permits(self) -> bool:
        """Whether `requires` is satisfied (rule 5): never by a bypassed or blocked step."""
        if self.is_review:
            return self.status == "not_needed" or (self.status == "done" and self.result in APPROVING)
        return self.status == "done"


class RunScope:
    """A run as its expressions see it: implements `model.Scope`.

    Attributes:
        result: a step's own output, while its `undo` is evaluated.
    """

    __slots__ = ("_input", "_input_default", "_input_labels", "_states", "_values", "result")

    def __init__(
        self,
        input_value: Mapping[str, Any],
        states: Mapping[str, StepState],
        input_labels: Mapping[tuple[str, ...], Labels],
    ) -> None:
        self._input = input_value
        self._states = states
        self._input_labels = input_labels
        self._input_default = join_all([*input_labels.values(), Labels(trust=Trust.UNTRUSTED)])
        self._values: dict[str, Mapping[str, Any]] = {}
        self.result: StepState | None = None

    def value(self, root: str) -> Any:
        """The plain value of `input`, `result` or an ended step; of a step with `done` and `result` among its fields."""
        if root == "input":
            return self._input
        if root == "result" and self.result is not None:
            return self.result.output
        found = self._values.get(root)
        if found is None:
            state = self._states[root]
            data = state.output if state.readable else {}
            found = self._values[root] = {**data, "done": state.status == "done", "result": state.result}
        return found

    def readable(self, root: str) -> bool:
        """Whether the data of that root may be read (rule 3)."""
        if root == "input" or (root == "result" and self.result is not None):
            return True
        state = self._states.get(root)
        return state is not None and state.readable

    def labels(self, root: str, path: tuple[str, ...]) -> Labels:
        """The labels of a field; of the input by the longest path that its schema labels."""
        if root == "input":
            for length in range(len(path), -1, -1):
                found = self._input_labels.get(path[:length])
                if found is not None:
                    return found
            return self._input_default
        state = self.result if root == "result" else self._states.get(root)
        return BOTTOM if state is None else state.labels


@dataclass(frozen=True, slots=True)
class Ready:
    """The step may run now, with these arguments.

    Attributes:
        labels: the join over everything read, conditions included (control flow carries labels too).
        needed: of a review; false means that its values stand as proposed (rule 7).
    """

    arguments: Mapping[str, Any]
    labels: Labels
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Ended:
    """The step ends without running: not_needed, blocked or failed, and why."""

    status: StepStatus
    reason: str
    error: StepError | None = None


def must_wait(step: Step, states: Mapping[str, StepState]) -> bool:
    """Whether a step that this one names anywhere has not ended (rule 2)."""
    return not states.keys() >= step.waits_for


def decide_step(step: Step, scope: RunScope, states: Mapping[str, StepState]) -> Ready | Ended:
    """What becomes of a step once all that it names has ended. Order: when, requires, arguments, needed, asserts."""
    try:
        labels = BOTTOM
        if step.when is not None:
            labels = step.when.labels(scope)
            if not _truth(step.when, scope, "when"):
                return Ended("not_needed", f"its condition is false: {step.when.source}")
        for name in step.requires:
            if not states[name].permits():
                return Ended("blocked", f"it requires '{name}', which ended {states[name].result}")
        arguments: dict[str, Any] = {}
        for key, expression in step.arguments.items():
            arguments[key] = expression.evaluate(scope)
            labels = labels.join(expression.labels(scope))
        needed = True
        if step.needed is not None:
            needed = _truth(step.needed, scope, "needed")
            labels = labels.join(step.needed.labels(scope))
        for check in step.asserts:
            labels = labels.join(check.labels(scope))
            if not _truth(check, scope, "assert"):
                error = StepError(f"the assertion does not hold: {check.source}", kind="assertion")
                return Ended("failed", error.detail, error)
    except Blocked as blocked:
        return Ended("blocked", f"it reads '{blocked.by}', which has no data")
    except ExpressionError as error:
        return Ended("failed", error.detail, StepError(error.detail, kind="expression", problems=error.problems))
    return Ready(arguments, labels, needed)


def decide_outcome(workflow: Workflow, scope: RunScope) -> str:
    """The first outcome whose condition is true (rule 10). One that reads data that is not there does not match.

    Raises:
        StepError: a condition failed, or none matches: both are failures of the run.
    """
    for outcome in workflow.outcomes:
        try:
            if _truth(outcome.condition, scope, "outcome"):
                return outcome.name
        except Blocked:
            continue
        except ExpressionError as error:
            raise StepError(f"outcome '{outcome.name}': {error.detail}", kind="expression") from error
    raise StepError("no outcome matches; add one for this case", kind="no_outcome")


def _truth(expression: Expression, scope: RunScope, key: str) -> bool:
    value = expression.evaluate(scope)
    if not isinstance(value, bool):
        raise ExpressionError(f"{key} must be true or false, but '{expression.source}' gave {type(value).__name__}")
    return value
