"""The ten rules over all combinations: the verb of the reader, how what it names ended, and how it names it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import pytest

from signoff.workflows.expressions import CelExpression, ExpressionCompiler
from signoff.workflows.model import Expression, Step, StepStatus, Verb
from signoff.workflows.semantics import Ended, Ready, RunScope, StepState, decide_step, must_wait
from signoff.workflows.shapes import ANY
from signoff.workflows.templates import MappingTemplate, ShowTemplate, TextTemplate

VERBS: tuple[Verb, ...] = tuple(verb for verb in get_args(Verb) if verb != "use")  # a `use` is a `do` once compiled
COMPILER = ExpressionCompiler({"a": lambda: ANY, "input": lambda: ANY}, ("a",))
DATA = {"flag": True, "text": "t"}


def cel(source: str) -> CelExpression:
    compiled = COMPILER.compile(source)
    assert isinstance(compiled, CelExpression), compiled
    return compiled


READ, STATUS, GUARDED = cel("a.flag"), cel("a.done || a.result != ''"), cel("a.?flag.orValue(true)")
LAZY = cel("a.result in ['done', 'approved'] ? a.flag : true")


def states() -> dict[str, StepState]:
    """Every end that a step may have, as others see it, of each kind of verb that ends differently."""
    found: dict[str, StepState] = {}
    for status in get_args(StepStatus):
        done = status == "done"
        found[status] = StepState(status, status, DATA if done else {}, readable=done)
        if not done:
            found[f"review {status}"] = StepState(status, status, is_review=True)
    for result in ("approved", "not_needed", "rejected", "expired"):
        readable = result in ("approved", "not_needed")
        found[f"review done, {result}"] = StepState("done", result, DATA, readable=readable, is_review=True)
    found["wait timed out"] = StepState("done", "timed_out", {}, readable=False)
    return found


def step(verb: Verb, reference: str) -> Step:
    """A step of that verb that names `a` in one way."""
    parts: dict[str, Mapping[str, Expression]] = {
        "argument": {"with": MappingTemplate("", {"x": READ}, ANY)},
        "argument in a text": {
            "with": MappingTemplate("", {"x": TextTemplate("${a.text}", ["<", cel("a.text"), ">"])}, ANY)
        },
        "argument guarded": {"with": MappingTemplate("", {"x": GUARDED}, ANY)},
        "argument in one branch": {"with": MappingTemplate("", {"x": LAZY}, ANY)},
        "argument status": {"with": MappingTemplate("", {"x": STATUS}, ANY)},
        "show": {"show": ShowTemplate("", [READ])},
    }
    return Step(
        "s",
        verb,
        "",
        arguments=parts.get(reference, {}),
        when={"when": READ, "when status": STATUS, "when guarded": GUARDED}.get(reference),
        needed=READ if reference == "needed" else None,
        asserts=(READ,) if reference == "assert" else (),
        requires=("a",) if reference == "requires" else (),
        after=("a",) if reference == "after" else (),
        waits_for=frozenset(("a",)),
    )


READS = ("when", "needed", "assert", "argument", "argument in a text")
FREE = ("when status", "when guarded", "argument guarded", "argument status", "after", "show")


def expected(reference: str, state: StepState) -> str:
    """What the rules say, in the words of the reference page."""
    if reference in READS:  # rule 3
        return "ready" if state.readable else "blocked"
    if reference == "requires":  # rule 5
        review = state.is_review and (state.status == "not_needed" or state.result in ("approved", "not_needed"))
        done = not state.is_review and state.status == "done"
        return "ready" if review or done else "blocked"
    if reference == "argument in one branch":
        return "ready"  # the branch that is not taken reads nothing
    assert reference in FREE  # rules 3 and 6
    return "ready"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_by_every_end_by_every_reference(verb: Verb) -> None:
    wrong: list[str] = []
    for reference in (*READS, *FREE, "requires", "argument in one branch"):
        for name, state in states().items():
            reader = step(verb, reference)
            assert must_wait(reader, {})  # rule 2, whatever the reference
            assert not must_wait(reader, {"a": state})
            decision = decide_step(reader, RunScope({}, {"a": state}, {}), {"a": state})
            found = "ready" if isinstance(decision, Ready) else decision.status
            if found != expected(reference, state):
                wrong.append(f"{reference} of {name}: {found}")
            if isinstance(decision, Ended) and decision.status == "blocked":
                assert "'a'" in decision.reason
    assert wrong == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_false_condition_comes_before_everything_else(verb: Verb) -> None:
    for name, state in states().items():
        reader = Step("s", verb, "", when=cel("!(a.done || a.result != '')"), requires=("a",), asserts=(READ,))
        decision = decide_step(reader, RunScope({}, {"a": state}, {}), {"a": state})
        assert isinstance(decision, Ended), name
        assert decision.status == "not_needed"
