"""Steps that the rules make impossible: they read what can never be there when they are to run (rules 3 and 5).

Two cases are certain before anything runs. A condition asks for an end of a step in which it has no data, and the step
reads that data all the same, or requires it: `when: pay.result == 'failed'` with `${pay.id}`. Or the step that is read
has a condition that is always false.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from signoff.workflows.documents import Node
from signoff.workflows.model import Expression, Outcome, Step
from signoff.workflows.presence import path_of
from signoff.workflows.report import Report

HAS_DATA = frozenset({"done", "approved"})
"""Results with which a step's data may be read; of a review also not_needed."""

_REVIEW_HAS_DATA = HAS_DATA | {"not_needed"}
_DONE = frozenset({"done", "approved", "rejected", "expired", "timed_out"})
_NEVER = "false"


def ends_asked_for(condition: Any, ends: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """How steps must have ended for a condition to hold, of those that it says it of in as many words.

    Args:
        condition: the tree (`cel.expr.Expr`).
        ends: by step, everything that its `.result` may be.
    """
    found: dict[str, frozenset[str]] = {}
    for conjunct in _conjuncts(condition):
        said = _said(conjunct, ends, holds=True)
        if said is not None:
            step, results = said
            found[step] = found.get(step, ends[step]) & results
    return found


def check_condition(  # noqa: PLR0917  (all that a condition is held against)
    report: Report,
    node: Node,
    asked: Mapping[str, frozenset[str]],
    ends: Mapping[str, frozenset[str]],
    reads: Collection[str],
    requires: Sequence[str],
) -> None:
    """Report a condition that only holds where what the step needs is not there.

    Args:
        report: where problems go.
        node: the condition.
        asked: how steps must have ended for it to hold.
        ends: how they may end at all.
        reads: the steps whose data the step reads whichever way evaluation goes.
        requires: the steps that it requires.
    """
    for name, results in asked.items():
        readable = results & (_REVIEW_HAS_DATA if "approved" in ends[name] else HAS_DATA)
        if readable or not results:
            continue
        how = "requires" if name in requires else "reads the data of" if name in reads else None
        if how is not None:
            detail = (
                f"This step can never run: it {how} '{name}', and its condition asks that '{name}' ended without it."
            )
            hint = f"Read it as {name}.?field.orValue(…), or leave the condition out."
            report.add(node, detail, suggestion=hint, code="impossible")


def check_never(report: Report, nodes: Mapping[str, Node], steps: Sequence[Step]) -> frozenset[str]:
    """Report steps that read what a step with an always false condition would give; gives all that never run."""
    never = {step.name for step in steps if step.when is not None and step.when.source.strip() == _NEVER}
    found = set(never)
    while True:
        added = [step for step in steps if step.name not in found and (by := _needs(step, found)) is not None]
        for step in added:
            by = _needs(step, found)
            detail = f"This step can never run: it reads or requires '{by}', which never does."
            report.add(
                nodes[step.name], detail, suggestion="Take it out, or mend the other's condition.", code="impossible"
            )
        if not added:
            return frozenset(found)
        found |= {step.name for step in added}


def check_outcomes(report: Report, node: Node, outcomes: Sequence[Outcome], never: Collection[str]) -> None:
    """Report outcomes that can never match, as what they read is never there (rule 10)."""
    for outcome in outcomes:
        by = next((root for root in certain_reads(outcome.condition) if root in never), None)
        if by is not None and outcome.name in node.entries:
            detail = f"This can never be the end: it reads '{by}', which never runs."
            report.add_key(node, outcome.name, detail, code="impossible")


def certain_reads(*expressions: Expression | None) -> tuple[str, ...]:
    """The roots whose data is read whichever way evaluation goes."""
    found = (getattr(expression, "definite", ()) for expression in expressions if expression is not None)
    return tuple(dict.fromkeys(root for roots in found for root in roots))


def _needs(step: Step, never: Collection[str]) -> str | None:
    reads = certain_reads(step.when, step.needed, *step.arguments.values(), *step.asserts)
    return next((name for name in (*reads, *step.requires) if name in never), None)


def _conjuncts(expr: Any) -> Iterator[Any]:
    if expr.WhichOneof("kind") == "call_expr" and expr.call_expr.function == "_&&_":
        for operand in expr.call_expr.args:
            yield from _conjuncts(operand)
    else:
        yield expr


def _said(  # noqa: PLR0911  (one return per form)
    expr: Any, ends: Mapping[str, frozenset[str]], *, holds: bool
) -> tuple[str, frozenset[str]] | None:
    """The step that an expression is about, and the ends for which it is as it should be."""
    path = path_of(expr)
    if len(path) == 2 and path[1] == "done" and path[0] in ends:  # noqa: PLR2004  (a step and its field)
        every = ends[path[0]]
        # A review that was not needed is done, and one whose own condition was false is not: both say not_needed.
        either = every & {"not_needed"} if "approved" in every else frozenset[str]()
        return path[0], (every & _DONE) | either if holds else every - _DONE
    if expr.WhichOneof("kind") != "call_expr":
        return None
    call = expr.call_expr
    if call.function == "!_":
        return _said(call.args[0], ends, holds=not holds)
    if call.function not in ("_==_", "_!=_", "@in"):
        return None
    left, right = call.args
    subject = path_of(left)
    if len(subject) != 2 or subject[1] != "result" or subject[0] not in ends:  # noqa: PLR2004  (a step and its field)
        return None
    named = [right] if call.function != "@in" else list(right.list_expr.elements)
    if not named or any(not item.const_expr.string_value for item in named):
        return None
    texts = frozenset(item.const_expr.string_value for item in named)
    return subject[0], _where(ends[subject[0]], texts, holds=holds == (call.function != "_!=_"))


def _where(every: frozenset[str], named: frozenset[str], *, holds: bool) -> frozenset[str]:
    return every & named if holds else every - named
