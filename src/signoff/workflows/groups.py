"""Groups as pure functions: what a body is given, how one ends, and what the whole gives (rule 10).

The engine keeps the journal and asks here. A *body end* is the end of one iteration of `for`, one turn of `repeat`, the
body of `do`, or the steps of an `on_error`: all of them are scopes whose steps have all ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, cast

from signoff.core.errors import StepError
from signoff.core.labels import BOTTOM, NO_FIELDS, Fields, Labels, Trust, join_all, no_fields
from signoff.core.values import value
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.labelling import given_labels
from signoff.workflows.model import Expression, Step
from signoff.workflows.semantics import RunScope, StepState, Variable, truth

MAX_FAILED_DETAIL = 500
"""Characters of a failed item's error that a group's output repeats."""


@value
class BodyEnd:
    """How a body ended.

    Attributes:
        status: done; failed, where a step failed and nothing caught it; blocked, where its result reads data that is
            not there.
        output: what `give` says, of a body that is done.
        labels: of the output, or of what decided that there is none.
        error: of a failed or blocked one.
        fields: labels of single fields of the output, where they are lower.
        ended: of what decided that it ended so, of one that is done: that none of its steps failed tells of them all.
    """

    status: Literal["done", "failed", "blocked"]
    output: Mapping[str, Any] = field(default_factory=dict[str, Any])
    labels: Labels = BOTTOM
    error: StepError | None = None
    fields: Fields = field(default_factory=no_fields)
    ended: Labels = BOTTOM


def caught(step: Step, state: StepState) -> bool:
    """Whether a failed step is a failure that its document foresees: `on_error: continue`."""
    return state.status == "failed" and step.error_mode == "continue"


def uncaught(body: Iterable[Step], states: Mapping[str, StepState]) -> str | None:
    """The first step of a body that failed with nothing to catch it; none where there is none (yet)."""
    for step in body:
        state = states.get(step.name)
        if state is not None and state.status == "failed" and not caught(step, state):
            return step.name
    return None


def end_body(
    body: Sequence[Step],
    give: Expression | None,
    scope: RunScope,
    states: Mapping[str, StepState],
    errors: Mapping[str, Mapping[str, Any]],
) -> BodyEnd | None:
    """How a body ends; none while it goes on. A failure ends it at once, whatever else is under way in it.

    Args:
        body: its steps.
        give: its result.
        scope: its scope.
        states: its ended steps.
        errors: of its failed steps, by name: `kind` and `detail`.
    """
    failed = uncaught(body, states)
    if failed is not None:
        error = errors.get(failed, {})
        detail = f"'{failed}' failed: {error.get('detail', 'no reason is known')}"
        labels = scope.control.join(states[failed].labels)
        return BodyEnd("failed", labels=labels, error=StepError(detail, kind=str(error.get("kind", "error"))))
    if any(step.name not in states for step in body):
        return None
    return _give(give, scope, scope.control.join(join_all(states[step.name].end_labels() for step in body)))


def _give(give: Expression | None, scope: RunScope, ended: Labels) -> BodyEnd:
    if give is None:
        return BodyEnd("done", labels=scope.control, ended=ended)
    labels = scope.control.join(give.labels(scope))
    try:
        return BodyEnd("done", give.evaluate(scope), labels, fields=given_labels(give, scope), ended=ended)
    except Blocked as blocked:
        return BodyEnd("blocked", labels=labels, error=_blocked("give", blocked))
    except ExpressionError as error:
        return BodyEnd("failed", labels=labels, error=StepError(f"give: {error.detail}", kind="expression"))


def _blocked(key: str, blocked: Blocked) -> StepError:
    return StepError(f"its '{key}' reads '{blocked.by}', which has no data", kind="blocked")


OUR_WORDS = frozenset(("set", "check", "decide", "wait", "emit", "review"))
"""Verbs whose failures are told in our own words; of the others, the other side may have chosen them."""


def instead_scope(
    step: Step, parent: RunScope, states: Mapping[str, StepState], *, error: Mapping[str, Any], labels: Labels
) -> RunScope:
    """The scope of the steps that `on_error` runs instead of a failed one.

    Args:
        step: the one that failed.
        parent: the scope that it stands in.
        states: the ended steps of those that run instead.
        error: what it failed with.
        labels: of what it read.
    """
    if not step.reads_error:
        return parent.inside(states, None, labels)
    told = labels
    if step.verb not in OUR_WORDS:
        told = labels.join(Labels(trust=Trust.UNTRUSTED, sources=frozenset({f"error:{step.name}"})))
    value = {"kind": str(error.get("kind", "error")), "detail": str(error.get("detail", ""))}
    return parent.inside(states, {"error": Variable(value, told)}, labels)


# --- for -----------------------------------------------------------------------------------------------------------


def items_of(step: Step, arguments: Mapping[str, Any]) -> list[Any]:
    """The items that a `for` goes through, from its evaluated arguments.

    Raises:
        StepError: kind `arguments`, it is no list; kind `too_many`, it has more items than the step allows.
    """
    items: Any = arguments["items"]
    if not isinstance(items, list):
        raise StepError(f"'for' needs a list, and this is {type(items).__name__}", kind="arguments")
    found = cast("list[Any]", items)
    if len(found) > step.settings["max"]:
        raise StepError(f"there are {len(found)} items, and 'max' is {step.settings['max']}", kind="too_many")
    return found


def item_scope(
    step: Step, parent: RunScope, states: Mapping[str, StepState], *, index: int, item: Any, labels: Labels
) -> RunScope:
    """The scope of one iteration of `for`.

    Args:
        step: the `for`.
        parent: the scope that it stands in.
        states: the ended steps of this iteration.
        index: which item, from 0.
        item: the item.
        labels: of what decided that the group runs (`control_of`).
    """
    counted, each, fields = _of_list(step, parent, labels)
    variables = {step.settings["as"]: Variable(item, each, fields), "index": Variable(index, counted)}
    return parent.inside(states, variables, counted)


def _of_list(step: Step, parent: RunScope, labels: Labels) -> tuple[Labels, Labels, Fields]:
    """The labels of how many items there are, of any item, and of its fields; each with what decided that it runs."""
    items = step.arguments["items"]
    each = labels.join(items.labels(parent))
    read = items.reads[0] if len(items.reads) == 1 else None
    if read is None or items.source != ".".join((read.root, *read.path)):
        return each, each, no_fields()
    own, inside = parent.item_labels(read.root, read.path)
    counted = labels.join(own)
    return counted, each, {path: counted.join(one) for path, one in inside.items()}


def end_for(
    step: Step,
    count: int,
    ends: Mapping[int, BodyEnd],
    labels: Labels,
    *,
    parent: RunScope | None = None,
    control: Labels = BOTTOM,
) -> BodyEnd | None:
    """How a `for` ends; none while it goes on. Looks at every end: to be asked when one is not done, or all are there.

    Args:
        step: the `for`.
        count: how many items there are.
        ends: of iterations, by index.
        labels: those that the group began with.
        parent: the scope that it stands in, to tell the labels of its fields apart; none: they are as the whole.
        control: of what decided that it runs.
    """
    joined = join_all([labels, _ended(step, ends), *(end.labels for end in ends.values())])
    failed = [index for index in sorted(ends) if ends[index].status != "done"]
    if failed and step.settings["failures"] == "fail":
        end = ends[failed[0]]
        return BodyEnd(end.status, labels=joined, error=_of_item(failed[0], end.error))
    if len(ends) < count:
        return None
    items = [ends[index].output if ends[index].status == "done" else None for index in range(count)]
    listed = [{"index": index, "error": describe_error(ends[index].error)} for index in failed]
    output = {"items": items, "count": count, "failed": listed}
    if parent is None:
        return BodyEnd("done", output, joined)
    return BodyEnd("done", output, joined, fields=_fields_of_for(step, ends, parent, control))


def _fields_of_for(step: Step, ends: Mapping[int, BodyEnd], parent: RunScope, control: Labels) -> Fields:
    """Of `count`, of `failed`, and of each field of the items: which of them failed, and which not, is in all these."""
    counted, _, _ = _of_list(step, parent, control)
    broken = join_all(end.labels for end in ends.values() if end.status != "done")
    listed = counted.join(broken).join(_ended(step, ends))
    fields: dict[tuple[str, ...], Labels] = {("count",): counted, ("failed",): listed, ("items",): listed}
    for end in ends.values():
        for path, one in (end.fields or {(): end.labels}).items():
            at = ("items", *path)
            fields[at] = fields.get(at, listed).join(one)
    return fields


def _ended(step: Step, ends: Mapping[int, BodyEnd]) -> Labels:
    """The labels of what decided which items failed; where one that fails ends the group, its end says all of that."""
    return join_all(end.ended for end in ends.values()) if step.settings["failures"] == "collect" else BOTTOM


def describe_error(error: StepError | None) -> dict[str, Any]:
    """An error as data of a group's output: its kind, and a bounded text."""
    return {} if error is None else {"kind": error.kind, "detail": error.detail[:MAX_FAILED_DETAIL]}


def _of_item(index: int, error: StepError | None) -> StepError:
    detail, kind = ("it has no data", "blocked") if error is None else (error.detail, error.kind)
    return StepError(f"item {index}: {detail}", kind=kind)


# --- repeat --------------------------------------------------------------------------------------------------------


@value
class Again:
    """There is another turn.

    Attributes:
        last: what the next turn reads as `last`.
        labels: of that, and of what decided that there is another turn.
        control: of what decided that there is another turn.
        fields: of single fields of what the next turn reads, where they are lower.
    """

    last: Mapping[str, Any]
    labels: Labels
    control: Labels = BOTTOM
    fields: Fields = field(default_factory=no_fields)


def turn_scope(
    parent: RunScope,
    states: Mapping[str, StepState],
    *,
    index: int,
    last: Mapping[str, Any],
    labels: Labels,
    control: Labels | None = None,
    fields: Fields = NO_FIELDS,
) -> RunScope:
    """The scope of one turn of `repeat`.

    Args:
        parent: the scope that the group stands in.
        states: the ended steps of this turn.
        index: which turn, from 0.
        last: what the turn before gave; of the first, the evaluated `start`, or empty.
        labels: of `last`: of the first, those that the group began with; of the others, `Again.labels`.
        control: of what decided that there is this turn; none: as `labels`.
        fields: of single fields of `last`.
    """
    begun = labels if control is None else control
    variables = {"last": Variable(last, labels, fields), "index": Variable(index, begun)}
    return parent.inside(states, variables, begun)


def most_turns(step: Step) -> int:
    """How often the body of a group may run; of a `for` how many items it takes."""
    return step.settings.get("max_turns", 1) if step.verb == "agent" else step.settings.get("max", 1)


def after_turn(step: Step, scope: RunScope, end: BodyEnd, *, turns: int) -> Again | BodyEnd:
    """What follows a turn that ended: another one, or the end of the group.

    Args:
        step: the `repeat`, or the `agent`.
        scope: the turn's.
        end: of the turn's body.
        turns: how many there were, this one included.
    """
    if end.status != "done" or step.until is None:
        return end
    control = scope.control.join(step.until.labels(scope))
    labels = end.labels.join(control)
    fields = {path: one.join(control) for path, one in end.fields.items()}
    try:
        over = truth(step.until, scope, "until")
    except Blocked as blocked:
        return BodyEnd("blocked", labels=labels, error=_blocked("until", blocked))
    except ExpressionError as error:
        return BodyEnd("failed", labels=labels, error=StepError(error.detail, kind="expression"))
    if over:
        return _over(step, end, labels, {**fields, ("turns",): control}, turns)
    if turns >= most_turns(step):
        detail = f"'{step.until.source}' was still false after {turns} turns, and 'max' is {turns}"
        return BodyEnd("failed", labels=labels, error=StepError(detail, kind="max_reached"))
    return Again(end.output, labels, control, fields)


def _over(step: Step, end: BodyEnd, labels: Labels, fields: Fields, turns: int) -> BodyEnd:
    """What the whole gives; an agent its answer alone, which has no field beside its contract's."""
    if step.verb == "agent":
        return BodyEnd("done", end.output["output"], labels)
    return BodyEnd("done", {**end.output, "turns": turns}, labels, fields=fields)
