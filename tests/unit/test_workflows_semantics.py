"""The ten rules of what happens when something does not happen, over all combinations of ends."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, cast, get_args

import pytest

from signoff.core.errors import StepError
from signoff.core.labels import DataClass, Labels, Trust
from signoff.workflows.concluding import decide_end
from signoff.workflows.expressions import CelExpression, ExpressionCompiler
from signoff.workflows.model import Limits, Outcome, Step, StepStatus, Workflow
from signoff.workflows.semantics import Ended, Ready, RunScope, StepState, decide_step, must_wait
from signoff.workflows.shapes import ANY

STATUSES = cast("tuple[StepStatus, ...]", get_args(StepStatus))
REVIEW_RESULTS = ("approved", "not_needed", "rejected", "expired")
UNTRUSTED = Labels(DataClass.CONFIDENTIAL, Trust.UNTRUSTED, sources=frozenset(("x",)))

COMPILER = ExpressionCompiler({name: lambda: ANY for name in ("input", "a", "b", "review")}, ("a", "b", "review"))


def cel(source: str) -> CelExpression:
    compiled = COMPILER.compile(source)
    assert isinstance(compiled, CelExpression), compiled
    return compiled


def ended(status: StepStatus, *, flag: bool = True) -> StepState:
    done = status == "done"
    return StepState(status, status, {"flag": flag} if done else {}, UNTRUSTED, readable=done)


def reviewed(result: str) -> StepState:
    readable = result in ("approved", "not_needed")
    return StepState("done", result, {"cents": 5, "flag": True}, readable=readable, is_review=True)


EVERY_STATE: dict[str, StepState] = {
    **{status: ended(status) for status in STATUSES},
    **{f"review {result}": reviewed(result) for result in REVIEW_RESULTS},
    **{f"review {status}": StepState(status, status, is_review=True) for status in STATUSES if status != "done"},
}


def decide(step: Step, states: Mapping[str, StepState], given: Mapping[str, Any] | None = None) -> Ready | Ended:
    return decide_step(step, RunScope(given or {}, states, {}), states)


def test_rule_2_a_step_waits_for_every_step_it_names() -> None:
    step = Step("s", "set", "", waits_for=frozenset(("a", "b")))
    for names in (set[str](), {"a"}, {"b"}):
        assert must_wait(step, {name: ended("failed") for name in names})
    assert not must_wait(step, {"a": ended("failed"), "b": ended("done"), "c": ended("done")})


@pytest.mark.parametrize("name", EVERY_STATE)
@pytest.mark.parametrize("place", ["when", "argument", "assert", "needed"])
def test_rule_3_reading_data_that_is_not_there_blocks(place: str, name: str) -> None:
    state = EVERY_STATE[name]
    read = cel("a.flag")
    step = Step(
        "s",
        "review" if place == "needed" else "set",
        "",
        arguments={"set": read} if place == "argument" else {},
        when=read if place == "when" else None,
        needed=read if place == "needed" else None,
        asserts=(read,) if place == "assert" else (),
        waits_for=frozenset(("a",)),
    )
    decision = decide(step, {"a": state})
    if state.readable:
        assert isinstance(decision, Ready)
    else:
        assert isinstance(decision, Ended)
        assert decision.status == "blocked"
        assert "'a'" in decision.reason


@pytest.mark.parametrize("name", EVERY_STATE)
def test_rule_3_status_and_guarded_reads_never_block(name: str) -> None:
    state = EVERY_STATE[name]
    scope = RunScope({}, {"a": state}, {})
    assert cel("a.done").evaluate(scope) is (state.status == "done")
    assert cel("a.result").evaluate(scope) == state.result
    assert cel("a.?flag.orValue(false)").evaluate(scope) is state.readable
    assert cel("a.done && a.result != 'x' ? 1 : 2").evaluate(scope) == (1 if state.status == "done" else 2)


@pytest.mark.parametrize("name", EVERY_STATE)
def test_rule_3_a_ternary_reads_only_the_branch_it_takes(name: str) -> None:
    state = EVERY_STATE[name]
    step = Step("s", "set", "", arguments={"set": cel("a.result == 'done' ? a.flag : null")})
    decision = decide(step, {"a": state})
    if state.result == "done":
        assert decision == Ready({"set": True}, state.labels)
    else:
        assert decision == Ready({"set": None}, state.labels)


@pytest.mark.parametrize(
    "source", ["a.missing == 1", "a.missing == 1 || true", "true || a.missing", "1 / 0 == 1", "a.flag"]
)
def test_rule_4_an_error_in_a_condition_fails_the_step(source: str) -> None:
    states = {"a": StepState("done", "done", {"flag": "no boolean"}, readable=True)}
    for step in (Step("s", "set", "", when=cel(source)), Step("s", "set", "", asserts=(cel(source),))):
        decision = decide(step, states)
        assert isinstance(decision, Ended)
        assert decision.status == "failed"
        assert decision.error is not None
        assert decision.error.kind == "expression"


@pytest.mark.parametrize("name", EVERY_STATE)
def test_rule_5_requires_needs_done_or_a_review_that_permits(name: str) -> None:
    state = EVERY_STATE[name]
    step = Step("s", "tool", "t", requires=("a",), waits_for=frozenset(("a",)))
    decision = decide(step, {"a": state})
    permitted = name in ("done", "review approved", "review not_needed")
    assert isinstance(decision, Ready) is permitted
    if isinstance(decision, Ended):
        assert decision.status == "blocked"


@pytest.mark.parametrize("pair", list(product(EVERY_STATE, EVERY_STATE)))
def test_rule_5_all_that_is_required_must_permit(pair: tuple[str, str]) -> None:
    states = {"a": EVERY_STATE[pair[0]], "b": EVERY_STATE[pair[1]]}
    step = Step("s", "tool", "t", requires=("a", "b"))
    decision = decide(step, states)
    assert isinstance(decision, Ready) is all(state.permits() for state in states.values())


@pytest.mark.parametrize("name", EVERY_STATE)
def test_rule_6_after_orders_and_nothing_else(name: str) -> None:
    step = Step("s", "set", "", after=("a",), waits_for=frozenset(("a",)))
    assert must_wait(step, {})
    assert isinstance(decide(step, {"a": EVERY_STATE[name]}), Ready)


@pytest.mark.parametrize(("flag", "name"), list(product([True, False], EVERY_STATE)))
def test_a_false_condition_comes_before_what_is_required(flag: bool, name: str) -> None:
    states = {"a": ended("done", flag=flag), "b": EVERY_STATE[name]}
    step = Step("s", "set", "", when=cel("a.flag"), requires=("b",))
    decision = decide(step, states)
    if not flag:
        assert isinstance(decision, Ended)
        assert decision.status == "not_needed"
        assert decision.labels == UNTRUSTED
    else:
        assert isinstance(decision, Ready) is states["b"].permits()


def test_rule_7_a_review_may_not_be_needed_and_asserts_see_its_values() -> None:
    review = Step(
        "review", "review", "?", arguments={"propose": cel("{'cents': input.cents}")}, needed=cel("input.cents > 10")
    )
    assert decide(review, {}, {"cents": 11}) == Ready(
        {"propose": {"cents": 11}}, RunScope({}, {}, {}).labels("input", ("cents",))
    )
    free = decide(review, {}, {"cents": 9})
    assert isinstance(free, Ready)
    assert not free.needed
    step = Step("s", "tool", "t", requires=("review",), asserts=(cel("review.cents > 5"),))
    decision = decide(step, {"review": reviewed("approved")})
    assert isinstance(decision, Ended)
    assert decision.error is not None
    assert decision.error.kind == "assertion"


def test_labels_join_conditions_data_and_requirements() -> None:
    trusted = Labels(DataClass.PUBLIC, Trust.TRUSTED, sources=frozenset(("input.id",)))
    step = Step("s", "set", "", arguments={"set": cel("input.id")}, requires=("a",))
    states = {"a": ended("done")}
    decision = decide_step(step, RunScope({"id": 1}, states, {("id",): trusted}), states)
    assert isinstance(decision, Ready)
    assert decision.labels == UNTRUSTED.join(trusted)


def workflow(*outcomes: tuple[str, str]) -> Workflow:
    made = tuple(Outcome(name, cel(source)) for name, source in outcomes)
    return Workflow("w", "1.0.0", "", "", "low", {}, Limits(), {}, (), made, "", "w.yaml")


@pytest.mark.parametrize("name", EVERY_STATE)
def test_rule_10_the_first_outcome_that_matches(name: str) -> None:
    state = EVERY_STATE[name]
    scope = RunScope({}, {"a": state, "b": ended("done")}, {})
    made = workflow(("read", "a.flag"), ("done", "a.done"), ("else", "b.flag"))
    expected = "read" if state.readable else "done" if state.status == "done" else "else"
    assert decide_end(made, scope).outcome == expected


@pytest.mark.parametrize(
    ("source", "kind"), [("b.missing", "expression"), ("b.flag || 1/0 == 1", "expression"), ("!b.flag", "no_outcome")]
)
def test_rule_10_an_error_or_no_match_is_a_failure(source: str, kind: str) -> None:
    with pytest.raises(StepError) as caught:
        decide_end(workflow(("only", source)), RunScope({}, {"b": ended("done")}, {}))
    assert caught.value.kind == kind


def test_undo_reads_its_own_result() -> None:
    compiler = ExpressionCompiler({"input": lambda: ANY, "result": lambda: ANY}, ())
    compiled = compiler.compile("result.id")
    assert isinstance(compiled, CelExpression)
    scope = RunScope({}, {}, {})
    scope.result = StepState("done", "done", {"id": "R1"}, UNTRUSTED, readable=True)
    assert compiled.evaluate(scope) == "R1"
    assert compiled.labels(scope) == UNTRUSTED
