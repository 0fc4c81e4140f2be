"""Bodies see what they should, and groups end as rule 10 says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.group_cases import LINES, ORDER, POLL, compiled

from signoff.core.errors import StepError
from signoff.core.labels import BOTTOM, Labels, Trust
from signoff.workflows import Step
from signoff.workflows.concluding import decide_end
from signoff.workflows.groups import (
    Again,
    BodyEnd,
    after_turn,
    caught,
    end_body,
    end_for,
    item_scope,
    items_of,
    turn_scope,
)
from signoff.workflows.semantics import Ended, Ready, RunScope, StepState, decide_step, must_wait

UNTRUSTED = Labels(trust=Trust.UNTRUSTED, sources=frozenset(("order",)))
WORKFLOW = compiled(ORDER + LINES + POLL)
FOR, REPEAT = WORKFLOW.step("lines"), WORKFLOW.step("poll")
COLLECT = compiled(ORDER + LINES.replace("max: 500", "failures: collect")).step("lines")


def done(output: Mapping[str, Any], labels: Labels = BOTTOM) -> StepState:
    return StepState("done", "done", output, labels, readable=True)


def failed() -> StepState:
    return StepState("failed", "failed")


def top(states: Mapping[str, StepState] | None = None) -> RunScope:
    return RunScope({"id": "o-1", "n": 1}, states or {}, {})


def iteration(states: Mapping[str, StepState], index: int = 0) -> RunScope:
    return item_scope(FOR, top(), states, index=index, item={"sku": f"s{index}", "count": 1}, labels=UNTRUSTED)


def test_a_body_step_reads_the_item_with_the_labels_of_the_list() -> None:
    [price] = FOR.body
    decision = decide_step(price, iteration({}, index=2), {})
    assert isinstance(decision, Ready)
    assert decision.arguments == {"with": {"sku": "s2"}}
    assert decision.labels.trust == Trust.UNTRUSTED


def test_a_body_step_that_reads_nothing_has_the_labels_of_what_began_it() -> None:
    step = compiled("  g: {for: [1], steps: {x: {set: {n: 1}}}, give: {}}\n").step("g")
    scope = item_scope(step, top(), {}, index=0, item=1, labels=UNTRUSTED)
    decision = decide_step(step.body[0], scope, {})
    assert isinstance(decision, Ready)
    assert decision.labels == UNTRUSTED


def test_scopes_find_what_is_around_them() -> None:
    steps = "  ok: {set: {n: 1}}\n  g: {do: {x: {requires: ok, set: {n: '${ok.n}'}}}}\n"
    step = compiled(steps).step("g").body[0]
    states = {"ok": done({"n": 5}, UNTRUSTED)}
    inner = top(states).inside({}).inside({})
    assert not must_wait(step, {})
    decision = decide_step(step, inner, {})
    assert isinstance(decision, Ready)
    assert (decision.arguments, decision.labels) == ({"set": {"n": 5}}, UNTRUSTED)
    refused = decide_step(step, top({"ok": failed()}).inside({}), {})
    assert isinstance(refused, Ended)
    assert (refused.status, refused.reason) == ("blocked", "it requires 'ok', which ended failed")


def test_the_nearest_variable_counts() -> None:
    outer = turn_scope(top(), {}, index=3, last={"n": 1}, labels=BOTTOM)
    inner = turn_scope(outer, {}, index=0, last={"n": 2}, labels=UNTRUSTED)
    assert (inner.value("index"), inner.value("last"), outer.value("last")) == (0, {"n": 2}, {"n": 1})
    assert inner.labels("index", ()) == UNTRUSTED
    assert inner.value("input") == {"id": "o-1", "n": 1}
    with pytest.raises(KeyError):
        inner.value("nothing")


def test_a_body_ends_when_all_its_steps_have() -> None:
    assert end_body(FOR.body, FOR.give, iteration({}), {}, {}) is None
    states = {"price": done({"cents": 7}, UNTRUSTED)}
    end = end_body(FOR.body, FOR.give, iteration(states, 1), states, {})
    assert end is not None
    assert (end.status, end.output, end.labels.trust) == (
        "done",
        {"sku": "s1", "cents": 7, "place": 1},
        Trust.UNTRUSTED,
    )


def test_a_body_fails_with_its_first_uncaught_step() -> None:
    states = {"price": failed()}
    end = end_body(FOR.body, FOR.give, iteration(states), states, {"price": {"kind": "timeout", "detail": "late"}})
    assert end is not None
    assert end.error is not None
    assert (end.status, end.error.kind, end.error.detail) == ("failed", "timeout", "'price' failed: late")


def test_a_failure_that_goes_on_is_caught_and_blocks_its_readers() -> None:
    steps = "  g: {do: {t: {tool: shop.price, with: {sku: s}, on_error: continue}}, give: {n: '${t.cents}'}}\n"
    step = compiled(steps).step("g")
    states = {"t": failed()}
    assert caught(step.body[0], states["t"])
    end = end_body(step.body, step.give, top().inside(states), states, {})
    assert end is not None
    assert end.error is not None
    assert (end.status, end.error.kind) == ("blocked", "blocked")
    assert "'t'" in end.error.detail


def test_an_error_in_what_it_gives_fails_it() -> None:
    step = compiled("  g: {do: {x: {set: {n: 0}}}, give: {n: '${1 / x.n}'}}\n").step("g")
    states = {"x": done({"n": 0})}
    end = end_body(step.body, step.give, top().inside(states), states, {})
    assert end is not None
    assert end.error is not None
    assert (end.status, end.error.kind) == ("failed", "expression")


@pytest.mark.parametrize(("items", "kind"), [([0] * 501, "too_many"), ("text", "arguments"), (None, "arguments")])
def test_items_that_cannot_be_gone_through(items: Any, kind: str) -> None:
    with pytest.raises(StepError) as caught_error:
        items_of(FOR, {"items": items})
    assert caught_error.value.kind == kind
    assert items_of(FOR, {"items": [1]}) == [1]


ENDS = st.sampled_from(("done", "failed", "blocked"))


@settings(deadline=None)
@given(st.lists(ENDS, max_size=6), st.randoms())
def test_a_for_gives_its_results_in_the_order_of_its_items(statuses: list[Any], random: Any) -> None:
    order = list(range(len(statuses)))
    random.shuffle(order)
    ends: dict[int, BodyEnd] = {}
    for index in order:
        error = None if statuses[index] == "done" else StepError(f"e{index}", kind="timeout")
        ends[index] = BodyEnd(statuses[index], {"n": index} if error is None else {}, error=error)
    broken = [index for index, status in enumerate(statuses) if status != "done"]
    collected = end_for(COLLECT, len(statuses), ends, UNTRUSTED)
    assert collected is not None
    assert collected.labels == UNTRUSTED
    assert collected.output == {
        "items": [{"n": index} if statuses[index] == "done" else None for index in range(len(statuses))],
        "count": len(statuses),
        "failed": [{"index": index, "error": {"kind": "timeout", "detail": f"e{index}"}} for index in broken],
    }
    strict = end_for(FOR, len(statuses), ends, BOTTOM)
    assert strict is not None
    assert strict.status == (statuses[broken[0]] if broken else "done")
    if broken:
        assert strict.error is not None
        assert strict.error.detail == f"item {broken[0]}: e{broken[0]}"


def test_that_nothing_failed_is_told_by_whoever_could_have_made_it_fail() -> None:
    trusted = Labels(sources=frozenset(("input",)))
    step = compiled("  g: {for: [1], failures: collect, steps: {x: {set: {n: 1}}}, give: {m: 7}}\n").step("g")
    scope = item_scope(step, top(), {}, index=0, item=1, labels=trusted)
    end = end_body(step.body, step.give, scope, {"x": done({"n": 1}, UNTRUSTED)}, {})
    assert end is not None
    assert (end.labels, end.ended.trust) == (trusted, Trust.UNTRUSTED)
    whole = end_for(step, 1, {0: end}, trusted, parent=top(), control=trusted)
    assert whole is not None
    assert whole.labels.trust == Trust.UNTRUSTED
    trusts = {path: labels.trust for path, labels in whole.fields.items()}
    assert trusts == {
        ("count",): Trust.TRUSTED,
        ("failed",): Trust.UNTRUSTED,
        ("items",): Trust.UNTRUSTED,
        ("items", "m"): Trust.UNTRUSTED,
    }
    strict = end_for(replace(step, settings={**step.settings, "failures": "fail"}), 1, {0: end}, trusted)
    assert strict is not None
    assert strict.labels == trusted


def test_a_for_goes_on_until_all_have_ended() -> None:
    ends = {1: BodyEnd("done", {"n": 1})}
    assert end_for(FOR, 2, ends, BOTTOM) is None
    ends[0] = BodyEnd("failed", error=StepError("no", kind="timeout"))
    assert end_for(COLLECT, 3, ends, BOTTOM) is None
    assert end_for(FOR, 3, ends, BOTTOM) is not None
    empty = end_for(FOR, 0, {}, BOTTOM)
    assert empty is not None
    assert empty.output == {"items": [], "count": 0, "failed": []}


def turn(state: str, turns: int) -> Again | BodyEnd:
    states = {"ask": done({"state": state, "cursor": f"c{turns}"}, UNTRUSTED)}
    scope = turn_scope(top(), states, index=turns - 1, last={"cursor": ""}, labels=BOTTOM)
    end = end_body(REPEAT.body, REPEAT.give, scope, states, {})
    assert end is not None
    return after_turn(REPEAT, scope, end, turns=turns)


def test_a_repeat_goes_on_until_its_condition_holds() -> None:
    again = turn("busy", 1)
    assert again == Again({"cursor": "c1"}, UNTRUSTED, UNTRUSTED, {("cursor",): UNTRUSTED})
    over = turn("ready", 2)
    assert isinstance(over, BodyEnd)
    assert (over.status, over.output, over.labels) == ("done", {"cursor": "c2", "turns": 2}, UNTRUSTED)


def test_a_repeat_fails_at_its_last_turn() -> None:
    assert isinstance(turn("busy", 19), Again)
    end = turn("busy", 20)
    assert isinstance(end, BodyEnd)
    assert end.error is not None
    assert (end.status, end.error.kind) == ("failed", "max_reached")
    last = turn("ready", 20)
    assert isinstance(last, BodyEnd)
    assert last.status == "done"


@pytest.mark.parametrize(
    ("until", "state", "status"),
    [("t.cents > 1", failed(), "blocked"), ("1 / t.cents == 1", done({"cents": 0}), "failed")],
)
def test_an_until_that_cannot_be_told(until: str, state: StepState, status: str) -> None:
    tool = "t: {tool: shop.price, with: {sku: s}, on_error: continue}"
    step: Step = compiled(f"  g: {{repeat: {{{tool}}}, until: '{until}'}}\n").step("g")
    scope = turn_scope(top(), {"t": state}, index=0, last={}, labels=BOTTOM)
    end = after_turn(step, scope, BodyEnd("done"), turns=1)
    assert isinstance(end, BodyEnd)
    assert end.status == status


def test_an_outcome_gives_its_output_or_fails() -> None:
    end = "outcome: {a: {when: order.done, give: {id: '${order.id}'}}, b: {when: 'true', give: {id: '${order.id}'}}}\n"
    workflow = compiled(ORDER, end)
    found = decide_end(workflow, top({"order": done({"id": "o-1"}, UNTRUSTED)}))
    assert (found.outcome, found.output, found.labels) == ("a", {"id": "o-1"}, UNTRUSTED)
    with pytest.raises(StepError) as caught_error:
        decide_end(workflow, top({"order": failed()}))
    assert caught_error.value.kind == "no_output"
