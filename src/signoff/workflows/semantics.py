"""What happens when something does not happen: the ten normative rules as pure functions.

The engine asks; nothing here knows of journals or time. `docs/reference/what-happens-when.md` states the rules in
words, `tests/unit/test_workflows_semantics.py` runs all combinations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from signoff.core.errors import StepError
from signoff.core.fresh import fresh_dict
from signoff.core.labels import BOTTOM, Fields, Labels, labels_in, no_fields
from signoff.core.values import value
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.model import Expression, Step, StepStatus
from signoff.workflows.reads import STATUS_FIELDS
from signoff.workflows.sources import labels_at, labels_of_shape

APPROVING = frozenset({"approved", "not_needed"})


STATUS = ("result",)
"""The path that stands for how a step ended, in the labels of its fields: for `done` as well."""


@value
class StepState:
    """How a step ended, as other steps see it.

    Attributes:
        status: one of the six ends (rule 1).
        result: what `.result` says: the status; of a review approved, rejected, expired or not_needed.
        output: its data; empty where there is none.
        labels: of its data.
        fields: labels of single fields of its data, where they are lower.
        readable: whether its data may be read (rule 3). A rejected review's values may not.
        is_review: reviews satisfy `requires` by their result (rule 5).
    """

    status: StepStatus
    result: str
    output: Mapping[str, Any] = field(default_factory=fresh_dict)
    labels: Labels = BOTTOM
    readable: bool = False
    is_review: bool = False
    fields: Fields = field(default_factory=no_fields)

    def end_labels(self) -> Labels:
        """The labels of how it ended, without its data: lower where the data alone came from elsewhere."""
        return labels_in(self.labels, self.fields, STATUS) if self.fields else self.labels

    def permits(self) -> bool:
        """Whether `requires` is satisfied (rule 5): never by a bypassed or blocked step."""
        if self.is_review:
            return self.status == "not_needed" or (self.status == "done" and self.result in APPROVING)
        return self.status == "done"


@value
class Variable:
    """What the body of a group is given besides steps: `index`, `last`, or an item under its name.

    Attributes:
        fields: labels of single fields of it, where they are lower.
    """

    value: Any
    labels: Labels = BOTTOM
    fields: Fields = field(default_factory=no_fields)


class RunScope:
    """A run as its expressions see it: implements `model.Scope`. The body of a group sees its own, see `inside`.

    Attributes:
        known: labels of fields of inputs with these labels that were asked for before; shared by whoever gives it.
        result: a step's own output, while its `undo` is evaluated.
        control: labels of what decided that this scope exists: in a group, those of what it was begun with. Everything
            that runs in it has at least these.
    """

    __slots__ = (
        "_found",
        "_input",
        "_input_labels",
        "_parent",
        "_states",
        "_values",
        "_variables",
        "control",
        "result",
    )

    def __init__(
        self,
        input_value: Mapping[str, Any],
        states: Mapping[str, StepState],
        input_labels: Mapping[tuple[str, ...], Labels],
        known: dict[tuple[str, ...], Labels] | None = None,
    ) -> None:
        self._input = input_value
        self._states = states
        self._input_labels = input_labels
        self._found: dict[tuple[str, ...], Labels] = {} if known is None else known
        self._values: dict[str, Any] = {}
        self._parent: RunScope | None = None
        self._variables: Mapping[str, Variable] = {}
        self.control = BOTTOM
        self.result: StepState | None = None

    def inside(
        self, states: Mapping[str, StepState], variables: Mapping[str, Variable] | None = None, control: Labels = BOTTOM
    ) -> RunScope:
        """A scope within this one: it sees its own steps and variables, and everything of this one.

        Args:
            states: its ended steps by name; read whenever something is evaluated.
            variables: what its steps are given besides.
            control: labels of what decided that it exists; joined with this scope's.
        """
        inner = RunScope(self._input, states, self._input_labels)
        inner._parent = self
        inner._found = self._found
        inner._variables = variables or {}
        inner.control = self.control.join(control)
        return inner

    def state(self, root: str) -> StepState | None:
        """The end of the step of that name that is visible here; none where it has not ended."""
        found = self._states.get(root)
        return found if found is not None or self._parent is None else self._parent.state(root)

    def value(self, root: str) -> Any:
        """The plain value of `input`, `result` or an ended step; a step's has `done` and `result` among its fields."""
        if root == "input":
            return self._input
        if root == "result" and self.result is not None:
            return self.result.output
        found = self._values.get(root)
        if found is not None:
            return found
        state = self._states.get(root)
        if state is not None:
            data: Mapping[str, Any] = state.output if state.readable else {}
            found = self._values[root] = {**data, "done": state.status == "done", "result": state.result}
            return found
        if root in self._variables:
            return self._variables[root].value
        if self._parent is None:
            raise KeyError(root)
        return self._parent.value(root)

    def readable(self, root: str) -> bool:
        """Whether the data of that root may be read (rule 3)."""
        if root == "input" or (root == "result" and self.result is not None):
            return True
        state = self._states.get(root)
        if state is not None:
            return state.readable
        return root in self._variables or (self._parent is not None and self._parent.readable(root))

    def labels(self, root: str, path: tuple[str, ...]) -> Labels:
        """The labels of a field; of the input by its schema: of the field, and of all that is in it."""
        if root == "input":
            found = self._found.get(path)
            if found is None:
                found = self._found[path] = labels_at(self._input_labels, path)
            return found
        state = self.result if root == "result" else self._states.get(root)
        if state is not None:
            if not path or not state.fields:
                return state.labels
            return state.end_labels() if path[0] in STATUS_FIELDS else labels_in(state.labels, state.fields, path)
        if root in self._variables:
            variable = self._variables[root]
            return labels_in(variable.labels, variable.fields, path) if path and variable.fields else variable.labels
        return BOTTOM if self._parent is None else self._parent.labels(root, path)

    def item_labels(self, root: str, path: tuple[str, ...]) -> tuple[Labels, Fields]:
        """Of the list at a path: of its length, and of single fields of its items."""
        if root == "input":
            labels, inside = self._input_labels, (*path, "*")
            own = labels_of_shape(labels, path)
            return own, {other[len(inside) :]: one for other, one in labels.items() if _is_inside(other, inside)}
        state = self.result if root == "result" else self._states.get(root)
        known: StepState | Variable | None = state if state is not None else self._variables.get(root)
        if known is None:
            return (BOTTOM, no_fields()) if self._parent is None else self._parent.item_labels(root, path)
        # What a step gives is labelled without a place for the items of a list: they stand where it stands.
        fields = {other[len(path) :]: one for other, one in known.fields.items() if _is_inside(other, path)}
        above = (path[:length] for length in range(len(path), 0, -1))
        return next((known.fields[one] for one in above if one in known.fields), known.labels), fields


def _is_inside(path: tuple[str, ...], around: tuple[str, ...]) -> bool:
    return len(path) > len(around) and path[: len(around)] == around


@value
class Ready:
    """The step may run now, with these arguments.

    Attributes:
        labels: the join over everything read, conditions included (control flow carries labels too).
        needed: of a review; false means that its values stand as proposed (rule 7).
    """

    arguments: Mapping[str, Any]
    labels: Labels
    needed: bool = True


@value
class Ended:
    """The step ends without running: not_needed, blocked or failed, and why.

    Attributes:
        labels: the join over what decided it: its status tells something of that to whoever asks.
    """

    status: StepStatus
    reason: str
    error: StepError | None = None
    labels: Labels = BOTTOM


def must_wait(step: Step, states: Mapping[str, StepState]) -> bool:
    """Whether a step that this one names anywhere has not ended (rule 2)."""
    return not states.keys() >= step.waits_for


def decide_step(step: Step, scope: RunScope, states: Mapping[str, StepState]) -> Ready | Ended:
    """What becomes of a step once all that it names has ended. Order: when, requires, arguments, needed, asserts.

    Args:
        step: the step; a group is decided like any other, before its body.
        scope: where it stands: what it may read.
        states: the ended steps of that scope; those of enclosing ones are the scope's to find.
    """
    labels = scope.control
    try:
        if step.when is not None:
            labels = labels.join(step.when.labels(scope))
            if not truth(step.when, scope, "when"):
                return Ended("not_needed", f"its condition is false: {step.when.source}", labels=labels)
        for name in step.requires:
            state = states[name] if name in states else scope.state(name)
            if state is None:
                raise KeyError(name)
            labels = labels.join(state.end_labels())
            if not state.permits():
                return Ended("blocked", f"it requires '{name}', which ended {state.result}", labels=labels)
        for expression in step.arguments.values():
            labels = labels.join(expression.labels(scope))
        for expression in step.asserts if step.needed is None else (step.needed, *step.asserts):
            labels = labels.join(expression.labels(scope))
        arguments = {key: expression.evaluate(scope) for key, expression in step.arguments.items()}
        needed = step.needed is None or truth(step.needed, scope, "needed")
        for check in step.asserts:
            if not truth(check, scope, "assert"):
                error = StepError(f"the assertion does not hold: {check.source}", kind="assertion")
                return Ended("failed", error.detail, error, labels)
    except Blocked as blocked:
        return Ended("blocked", f"it reads '{blocked.by}', which has no data", labels=labels)
    except ExpressionError as error:
        failure = StepError(error.detail, kind="expression", problems=error.problems)
        return Ended("failed", error.detail, failure, labels)
    return Ready(arguments, labels, needed)


def truth(expression: Expression, scope: RunScope, key: str) -> bool:
    """The value of a condition.

    Raises:
        Blocked: it reads what has no data.
        ExpressionError: it failed, or gave something else.
    """
    value = expression.evaluate(scope)
    if not isinstance(value, bool):
        raise ExpressionError(f"{key} must be true or false, but '{expression.source}' gave {type(value).__name__}")
    return value
