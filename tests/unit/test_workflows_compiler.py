"""Documents compile to what they say, and everything that is wrong is reported at its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.workflow_cases import CONTRACTS, REFUND, REQUEST, record

from signoff.core.errors import DefinitionError, Problem
from signoff.core.labels import Labels, Trust
from signoff.core.money import Cost
from signoff.workflows import Contract, Workflow, compile_workflow, describe
from signoff.workflows.concluding import decide_end
from signoff.workflows.model import Retry
from signoff.workflows.semantics import Ended, Ready, RunScope, StepState, decide_step

FILE = "workflows/refund.yaml"


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(DefinitionError) as caught:
        compile_workflow(text, FILE, CONTRACTS)
    return caught.value.problems


def changed(old: str, new: str) -> str:
    assert old in REFUND, old
    return REFUND.replace(old, new)


@pytest.fixture(scope="module")
def refund() -> Workflow:
    return compile_workflow(REFUND, FILE, CONTRACTS)


def test_the_design_s_workflow_means_what_it_says(refund: Workflow) -> None:
    assert (refund.name, refund.version, refund.risk, refund.owner) == (
        "support/refund",
        "1.2.0",
        "medium",
        "team/support",
    )
    goals = {name: (goal.value, goal.unit, goal.side) for name, goal in refund.goals.items()}
    assert goals == {
        "wrong_refunds": (0, "number", "at_most"),
        "automatic": (0.4, "share", "at_least"),
        "hours_to_resolve": (4, "number", "at_most"),
    }
    assert refund.limits.cost == Cost.from_usd("0.25")
    assert refund.limits.time_s == 3 * 86400
    assert refund.input_schema == REQUEST
    assert {step.name: set(step.waits_for) for step in refund.steps} == {
        "triage": set(),
        "facts": {"triage"},
        "docs": {"triage"},
        "order": {"facts"},
        "decision": {"triage", "facts", "order", "docs"},
        "refund": {"decision", "order"},
        "notify": {"refund", "order"},
    }
    assert refund.step("decision").settings == {
        "by": "role/support-lead",
        "editable": ("cents",),
        "escalate": {"open_for": 4 * 3600.0, "also": "role/finance-manager"},
        "expire": 2 * 86400.0,
    }
    step = refund.step("refund")
    assert step.retry == Retry(4, 2.0, 2.0)
    assert step.undo is not None
    assert step.undo.target == "payments.reverse"
    assert step.line == 36
    assert [outcome.name for outcome in refund.outcomes] == ["refunded", "not_a_refund", "rejected"]


def done(output: Mapping[str, Any]) -> StepState:
    return StepState("done", "done", output, readable=True)


def test_a_run_that_is_no_refund_blocks_through_to_its_outcome(refund: Workflow) -> None:
    states: dict[str, StepState] = {"triage": done({"label": "other", "confidence": 0.99})}
    for step in refund.steps[1:]:
        scope = RunScope({"ticket": {"id": "T", "text": "hi"}, "customer": {"id": "c"}}, states, refund.input_labels)
        decision = decide_step(step, scope, states)
        assert isinstance(decision, Ended)
        states[step.name] = StepState(decision.status, decision.status, is_review=step.verb == "review")
    ends = {name: state.status for name, state in states.items()}
    assert ends == {
        "triage": "done",
        "facts": "not_needed",
        "docs": "not_needed",
        "order": "blocked",
        "decision": "blocked",
        "refund": "blocked",
        "notify": "blocked",
    }
    assert decide_end(refund, RunScope({}, states, {})).outcome == "not_a_refund"


def test_a_review_shows_what_is_there_and_null_for_the_rest(refund: Workflow) -> None:
    states = {
        "triage": done({"label": "refund", "confidence": 1}),
        "facts": done({"order": "O1", "cents": 500}),
        "order": done({"id": "O1", "refundable_cents": 600}),
        "docs": StepState("failed", "failed"),
    }
    scope = RunScope({"ticket": {"id": "T", "text": "hi"}, "customer": {"id": "c"}}, states, refund.input_labels)
    decision = decide_step(refund.step("decision"), scope, states)
    assert isinstance(decision, Ready)
    assert not decision.needed
    assert decision.arguments == {
        "propose": {"cents": 500},
        "show": {
            "input.ticket.text": "hi",
            "order": {"id": "O1", "refundable_cents": 600, "done": True, "result": "done"},
            "docs": None,
        },
    }
    assert decision.labels.trust is Trust.UNTRUSTED


def test_parts_carry_labels_per_argument(refund: Workflow) -> None:
    scope = RunScope(
        {}, {"facts": StepState("done", "done", labels=Labels(trust=Trust.UNTRUSTED))}, refund.input_labels
    )
    parts = refund.step("order").arguments["with"].parts
    assert {name: part.labels(scope).trust for name, part in parts.items()} == {
        "id": Trust.UNTRUSTED,
        "customer": Trust.TRUSTED,
    }


def test_the_key_of_an_effect_is_a_text(refund: Workflow) -> None:
    once = refund.step("refund").once
    assert once is not None
    scope = RunScope({}, {"order": done({"id": 17})}, {})
    assert once.evaluate(scope) == "refund/17"


# What is changed in the design's workflow → line, column, code, text of the problem, text of the suggestion.
CASES: list[tuple[str, str, int, int, str, str, str]] = [
    ("version: 1.2.0", "version: 1.2", 2, 10, "version", "three numbers", "1.2.0"),
    ("risk: medium", "risk: medum", 6, 7, "value", "one of low, medium, high", "'medium'"),
    ("owner: team", "ownr: team", 4, 1, "unknown-key", "'ownr'", "'owner'"),
    ("workflow: support", "workflow: Support", 1, 11, "name", "'Support/refund'", "lower case"),
    ("schemas/refund_request", "schemas/refund_reqest", 7, 8, "unknown-name", "schema named", "refund_request"),
    ("0.25 USD", "0.25 EUR", 8, 16, "value", "US dollars", "0.25 USD"),
    ("time: 3d", "time: 3 days", 8, 32, "value", "not a duration", ""),
    ("time: 3d", "tme: 3d", 8, 26, "unknown-key", "'tme'", "'time'"),
    ("ai: classify@^3", "ai: clasify@^3", 12, 9, "unknown-name", "prompt named 'clasify@^3'", "'classify@^3'"),
    ("ai: classify@^3", "aii: classify@^3", 12, 5, "verb", "no verb", "'ai'"),
    ("ai: classify@^3", "ai: classify@^3\n    emit: a.b", 13, 5, "verb", "ai and emit", "two steps"),
    ("  triage:\n    ai", "  Triage:\n    ai", 11, 3, "name", "'Triage'", "lower case"),
    ("  triage:\n    ai", "  input:\n    ai", 11, 3, "name", "word of the language", ""),
    (
        "triage.label == 'refund'\n    ai",
        "triage.lable == 'refund'\n    ai",
        15,
        18,
        "expression-field",
        "'lable'",
        "'label'",
    ),
    (
        "triage.label == 'refund'\n    ai",
        "triage.label == 'refnd'\n    ai",
        15,
        24,
        "expression-constant",
        "'refnd'",
        "'refund'",
    ),
    ("triage.label == 'refund'\n    ai", "'${triage.label}'\n    ai", 15, 11, "syntax", "without '${…}'", "Leave out"),
    ("triage.label == 'refund'\n    ai", "triage.label\n    ai", 15, 11, "type", "gives a boolean", ""),
    ("triage.label == 'refund'\n    ai", "triage.label == \n    ai", 15, 26, "expression-syntax", "not CEL", ""),
    ('    query: "${input.ticket.text}"\n', "", 19, 5, "missing-key", "'query' is missing", ""),
    ("top: 5", "top: 500", 22, 10, "value", "1 to 50", ""),
    ("retrieve: refund-policy", "retrieve: refund-polcy", 20, 15, "unknown-name", "index named", "'refund-policy'"),
    ("tool: shop.get_order", "tool: shop.getorder", 24, 11, "unknown-name", "tool named", "'shop.get_order'"),
    ('{id: "${facts.order}", cus', '{idd: "${facts.order}", cus', 25, 12, "unknown-argument", "knows no 'idd'", "'id'"),
    ('{id: "${facts.order}", cus', "{cus", 25, 11, "missing-argument", "'id' is missing", ""),
    ('${facts.order}", cus', '${facts.cents}", cus', 25, 16, "type", "takes a string here, and this is an integer", ""),
    ('${facts.order}", cus', '${fact.order}", cus', 25, 19, "expression-name", "'fact'", "'facts'"),
    ('${facts.order}", cus', 'x ${facts.order", cus', 25, 19, "syntax", "no '}'", "$${"),
    ("< 0.9 ||", "< 'high' ||", 28, 31, "expression-type", "cannot be compared", ""),
    ("by: role/support-lead", "by: support-lead", 29, 9, "name", "no role", "role/"),
    ("    by: role/support-lead\n", "", 27, 5, "missing-key", "'by' is missing", ""),
    ('{cents: "${facts.cents}"}', "{result: 1}", 30, 15, "name", "'result' is a field", ""),
    ("editable: [cents]", "editable: [cent]", 31, 16, "unknown-name", "not proposed", "'cents'"),
    ("order, docs]", "ordr, docs]", 32, 31, "expression-name", "'ordr'", "'order'"),
    ("open_for: 4h", "open_for: 4d", 33, 15, "value", "expires before", "shorter"),
    ("escalate: {open_for: 4h, ", "escalate: {", 33, 15, "missing-key", "'open_for'", ""),
    ("expire: 2d", "expires: 2d", 34, 5, "unknown-key", "'expires'", "'expire'"),
    ("requires: decision", "requires: decison", 36, 15, "unknown-name", "'decison'", "'decision'"),
    ("requires: decision", "requires: refund", 36, 15, "cycle", "name itself", ""),
    ("requires: decision", "requires: input", 36, 15, "unknown-name", "is no step", ""),
    (
        "notify: {requires: refund,",
        'notify: {requires: refund, once: "n/${order.id}",',
        43,
        30,
        "unknown-key",
        "not a key of a step with 'emit'",
        "publishes its event once",
    ),
    ("once: refund/${order.id}", "once: refund", 40, 11, "key", "same in every run", "order.id"),
    ("once: refund/${order.id}", "once: refund/${order.idd}", 40, 26, "expression-field", "'idd'", "'id'"),
    ("times: 4", "times: many", 41, 20, "value", "0 to 100", ""),
    ("delay: 2s", "delay: soon", 41, 30, "value", "duration", ""),
    ("backoff: 2", "backoff: 0.5", 41, 43, "value", "1 to 100", ""),
    ("payments.reverse", "payments.revers", 42, 18, "unknown-name", "tool named", "'payments.reverse'"),
    ("${result.id}", "${result.idd}", 42, 61, "expression-field", "'idd'", "'id'"),
    ("${result.id}", "${refund.id}", 42, 11, "cycle", "own step", "'result'"),
    ("support.refund.completed.v1", "support refund", 43, 36, "name", "event's type", "dots"),
    ("refunded: refund.done", "refunded: refund.doen", 46, 20, "expression-field", "'doen'", "'done'"),
    ("  refunded:", "  Refunded:", 46, 3, "name", "outcome's name", "lower case"),
    ("'rejected', 'expired'", "'rejectd', 'expired'", 48, 29, "expression-constant", "'rejectd'", "'rejected'"),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case[4]}-{case[1]}" for case in CASES])
def test_a_problem_has_a_place_and_says_what_to_do(case: tuple[str, str, int, int, str, str, str]) -> None:
    old, new, line, column, code, detail, suggestion = case
    found = problems(REFUND.replace(old, new, 1))
    described = "\n".join(f"{problem.code} {problem}" for problem in found)
    assert any(
        (problem.file, problem.line, problem.column, problem.code) == (FILE, line, column, code)
        and detail in problem.detail
        and suggestion in (problem.suggestion or "")
        for problem in found
    ), described


@pytest.mark.parametrize("key", ["workflow", "version", "input", "steps", "outcome"])
def test_what_every_workflow_needs(key: str) -> None:
    lines = REFUND.split("\n")
    start = next(at for at, line in enumerate(lines) if line.startswith(f"{key}:"))
    end = next((at for at in range(start + 1, len(lines)) if lines[at][:1] not in ("", " ")), len(lines))
    found = problems("\n".join([*lines[:start], *lines[end:]]))
    assert any(problem.code == "missing-key" and f"'{key}'" in problem.detail for problem in found)


def test_all_problems_are_found_at_once() -> None:
    text = REFUND.replace("0.25 USD", "much").replace("decison", "x").replace("tool: payments.refund", "tool: pay")
    assert [problem.line for problem in problems(text.replace("top: 5", "top: no"))] == [8, 22, 38]


def test_a_cycle_is_printed() -> None:
    [problem] = problems(changed("  order:\n    tool", "  order:\n    after: notify\n    tool"))
    assert problem.code == "cycle"
    assert problem.detail == "These steps wait for each other: order → notify → order." or " → " in problem.detail
    assert problem.line == 23


@pytest.mark.parametrize(
    "old", ["on_error: {}", "on_error: {label: refund}", "on_error: {label: maybe, confidence: 1}"]
)
def test_rule_9_a_fallback_meets_the_contract(old: str) -> None:
    found = problems(changed("    ai: classify@^3\n", f"    ai: classify@^3\n    {old}\n"))
    assert {problem.code for problem in found} <= {"missing-argument", "constant"}
    good = changed("    ai: classify@^3\n", "    ai: classify@^3\n    on_error: {label: other, confidence: 0}\n")
    assert compile_workflow(good, FILE, CONTRACTS).step("triage").on_error is not None


def test_set_and_check_and_their_shapes() -> None:
    text = """\
workflow: w
version: 1.0.0
input: {type: object, properties: {n: {type: integer}}, required: [n]}
steps:
  sums: {set: {double: "${input.n * 2}", text: "n is ${input.n}", fixed: [1, two]}}
  limits: {check: refund-limits, with: {cents: "${sums.double}"}}
outcome:
  review: limits.review
  big: sums.double > 10.5 && sums.text != '' && size(sums.fixed) == 2
  other: "true"
"""
    workflow = compile_workflow(text, "w.yaml", CONTRACTS)
    decision = decide_step(workflow.step("sums"), RunScope({"n": 6}, {}, {}), {})
    assert isinstance(decision, Ready)
    assert decision.arguments == {"set": {"double": 12, "text": "n is 6", "fixed": [1, "two"]}}
    assert problems(text.replace("sums.text !=", "sums.txt !="))[0].suggestion == "Did you mean 'text'?"
    assert "an integer" in problems(text.replace("${sums.double}", "${sums.text}"))[0].detail


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("{type: strin}", "schema is wrong"),
        ("{type: array}", "The input is an object"),
        ("{type: object, properties: {a: {x-signoff: {trust: trsted}}}}", "'trust' is one of"),
    ],
)
def test_an_unsound_input_schema(schema: str, says: str) -> None:
    found = problems(changed("input: schemas/refund_request.json", f"input: {schema}"))
    assert any(says in problem.detail and problem.line == 7 for problem in found)


def test_limits_of_a_document() -> None:
    steps = "".join(f"  s{number}: {{set: {{a: 1}}}}\n" for number in range(501))
    found = problems(f"workflow: w\nversion: 1.0.0\ninput: {{type: object}}\nsteps:\n{steps}outcome: {{a: 'true'}}\n")
    assert [problem.code for problem in found] == ["limit"]


def test_the_digest_of_a_document_never_changes(refund: Workflow) -> None:
    """Journals pin it: a run whose workflow compiles to another digest is set aside as not deterministic."""
    assert refund.digest == "abca152405f6900fb120bd6580d72a1cc43daf4890cc42217f53168ae9800632"


def test_the_digest_covers_the_document_and_its_contracts(refund: Workflow) -> None:
    assert compile_workflow(REFUND + "# a comment\n", FILE, CONTRACTS).digest == refund.digest
    assert compile_workflow(changed("expire: 2d", "expire: 3d"), FILE, CONTRACTS).digest != refund.digest
    tools = {
        **CONTRACTS.tools,
        "payments.reverse": Contract(record(refund={"type": "string", "minLength": 1}), record()),
    }
    assert compile_workflow(REFUND, FILE, replace(CONTRACTS, tools=tools)).digest != refund.digest
    unused = {**CONTRACTS.tools, "other": Contract({}, {})}
    assert compile_workflow(REFUND, FILE, replace(CONTRACTS, tools=unused)).digest == refund.digest


def test_a_description_says_what_waits_for_what(refund: Workflow) -> None:
    lines = describe(refund).split("\n")
    assert lines[0] == "support/refund 1.2.0 (medium risk)"
    assert "  1. triage: ai classify@^3" in lines
    assert "  5. refund: tool payments.refund; requires decision; waits for order; undone by payments.reverse" in lines
    assert lines[-3] == "  → refunded: refund.done"
