"""What the rules make impossible is told before anything runs: steps that never run, and fields that may be missing."""

from __future__ import annotations

from itertools import product

import pytest
from support.group_cases import CONTRACTS, HEAD

from signoff.core.errors import DefinitionError
from signoff.workflows import compile_workflow

STEPS = """\
  order: {tool: shop.order, with: {id: "${input.id}"}, on_error: continue}
  decision: {review: Fine?, by: role/lead, propose: {sku: "${order.id}"}}
  paid: {wait: {event: paid.v1, match: {id: "${input.id}"}}, timeout: 1d, on_timeout: continue}
"""


def problems(steps: str, outcome: str = "{fine: 'true'}", head: str = HEAD) -> list[tuple[int | None, str | None, str]]:
    text = f"{head}steps:\n{STEPS}{steps}outcome: {outcome}\n"
    try:
        compile_workflow(text, "w.yaml", CONTRACTS)
    except DefinitionError as error:
        return [(problem.line, problem.code, problem.detail) for problem in error.problems]
    return []


CONDITIONS = {
    "order.result == 'failed'": False,
    "order.result != 'done'": False,
    "!order.done": False,
    "!(order.result == 'done')": False,
    "order.result in ['failed', 'blocked']": False,
    "order.result == 'blocked' && input.id != ''": False,
    "order.result == 'failed' || input.id == ''": True,
    "order.done": True,
    "order.result in ['done', 'failed']": True,
    "order.result != 'failed'": True,
    "input.id != ''": True,
}


@pytest.mark.parametrize(
    ("condition", "place"), list(product(CONDITIONS, ["data", "requires", "assert", "guarded", "after"]))
)
def test_a_condition_that_rules_out_what_the_step_needs(condition: str, place: str) -> None:
    keys = {
        "data": 'set: {id: "${order.id}"}',
        "requires": "requires: order, set: {id: 1}",
        "assert": "assert: order.id != '', set: {id: 1}",
        "guarded": "set: {id: \"${order.?id.orValue('')}\"}",
        "after": "after: order, set: {id: 1}",
    }
    found = problems(f'  s: {{when: "{condition}", {keys[place]}}}\n')
    possible = CONDITIONS[condition] or place in ("guarded", "after")
    assert [code for _, code, _ in found] == ([] if possible else ["impossible"]), found


@pytest.mark.parametrize(
    ("condition", "possible"),
    [
        ("decision.result == 'rejected'", False),
        ("decision.result == 'approved'", True),
        ("decision.result == 'not_needed'", True),
        ("decision.done", True),
        ("!decision.done", True),
        ("decision.result in ['rejected', 'expired']", False),
        ("paid.result == 'timed_out'", None),
    ],
)
def test_reviews_and_waits_have_data_by_their_results(condition: str, possible: bool | None) -> None:
    read = "paid.event" if possible is None else "decision.sku"
    found = problems(f'  s: {{when: "{condition}", set: {{x: "${{{read}}}"}}}}\n')
    assert bool(found) is not bool(possible), found


def test_what_waits_for_a_step_that_never_runs_never_runs() -> None:
    steps = """\
  a: {when: false, set: {n: 1}}
  b: {set: {n: "${a.n}"}}
  c: {requires: b, set: {n: 1}}
  d: {after: c, set: {n: 1}}
"""
    found = problems(steps, "{one: 'c.n > 0', two: 'b.done', three: 'true'}")
    assert [(line, code) for line, code, _ in found] == [(9, "impossible"), (10, "impossible"), (12, "impossible")]
    assert "'a'" in found[0][2]


@pytest.mark.parametrize(
    ("read", "code"),
    [
        ("${input.n}", "expression-missing"),
        ("${input['n']}", "expression-missing"),
        ("${input.?n.orValue(0)}", None),
        ("${has(input.n) ? input.n : 0}", None),
        ("${!has(input.n) ? 0 : input.n}", None),
        ("${has(input.n) ? 0 : input.n}", "expression-missing"),
        ("${has(input.n) && input.id != '' ? input.n : 0}", None),
        ("${has(input.n) || input.id != '' ? input.n : 0}", "expression-missing"),
        ("${has(input.n) && input.n > 0 ? 1 : 0}", "expression-missing"),
        ("${input.?n.hasValue() ? input.n : 0}", None),
        ("${input.id}", None),
    ],
)
def test_a_field_that_may_be_missing_is_read_with_care(read: str, code: str | None) -> None:
    head = HEAD.replace("required: [id, due_at, n]", "required: [id]")
    found = problems(f'  s: {{set: {{x: "{read}"}}}}\n', head=head)
    assert [kind for _, kind, _ in found] == ([] if code is None else [code]), found


def test_a_condition_of_the_step_says_what_is_there() -> None:
    head = HEAD.replace("required: [id, due_at, n]", "required: [id]")
    keys = 'assert: input.n > 0, set: {x: "${input.n}"}'
    assert problems(f"  s: {{when: has(input.n), {keys}}}\n", head=head) == []
    assert len(problems(f"  s: {{when: has(input.due_at), {keys}}}\n", head=head)) == 2
    assert (
        problems('  s: {when: has(input.n), set: {x: 1}}\n  t: {after: s, set: {x: "${input.n}"}}\n', head=head) != []
    )
