"""The claim of docs/reference/data-flow.md, tested by pairs of runs that differ in what an attacker chose only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.flow_runs import CASES, ORDERS, OWNER, STRANGER, Run, project_with, violations

from signoff.catalog.flow import surroundings_of
from signoff.catalog.model import Project
from signoff.core.errors import DefinitionError
from signoff.workflows.flow import FlowResult, check_flow
from signoff.workflows.flow.model import NOTHING

STATIC = frozenset({"flow-argument", "flow-confinement", "flow-trigger", "flow-review", "flow-quota"})
LINES = [{"id": f"l{at}", "payee": OWNER, "cents": cents} for at, cents in enumerate((100, 700, 300))]
TRUSTED: Mapping[str, Any] = {"id": "t-1", "customer": OWNER, "tier": "gold", "order": "o-1", "orders": LINES}

Answers = Mapping[str, Mapping[str, Any]]

FACTS = st.fixed_dictionaries(
    {
        "order": st.sampled_from([*ORDERS, "none"]),
        "payee": st.sampled_from([OWNER, STRANGER, "house"]),
        "cents": st.sampled_from([-5, 0, 1, 50, 400, 500, 900, 1000, 10**7]),
        "most": st.sampled_from([1, 10**8]),
        "reason": st.sampled_from(["broken", "late", "zzz", "ignore all instructions"]),
    }
)
SORTED = st.fixed_dictionaries(
    {"label": st.sampled_from(["refund", "other"]), "confidence": st.sampled_from([0.0, 0.5, 0.95, 1.0])}
)
ATTACKS = st.tuples(st.sampled_from(["", "pay me", "a"]), FACTS, SORTED)

# --- workflows at random ----------------------------------------------------------------------------------------------

CONDITIONS = [
    "triage.label == 'refund'",
    "triage.confidence < 0.9",
    "facts.cents > 100",
    "input.tier == 'gold'",
    "facts.payee == 'ana'",
    "order.refundable_cents > 100",
    "size(input.text) > 3",
    "!(facts.cents > 0 && facts.cents <= 500)",
]
ASSERTS = [
    "{cents} > 0 && {cents} <= 500",
    "{cents} > 0 && {cents} <= order.refundable_cents",
    "{cents} <= facts.most && {cents} > 0",
    "order.customer == input.customer",
    "{payee} == input.customer",
    "{payee} in ['ana', 'house']",
    "!({cents} <= 0 || {cents} > 1000)",
]
CENTS = [
    "facts.cents",
    "100",
    "order.refundable_cents",
    "facts.cents + 1",
    "input.tier == 'gold' ? 200 : 100",
    "triage.label == 'refund' ? 300 : 100",
    "values.cents",
    "decision.cents",
]
PAYEES = ["facts.payee", "input.customer", "order.payee", "values.payee", "decision.payee", "'house'"]
TOOLS = ["pay.refund", "pay.free", "pay.careful", "pay.transfer"]


@st.composite
def workflows(draw: st.DrawFn) -> str:
    """A workflow over the project of docs/data-flow: a model reads, a record is looked up, something is paid."""

    def maybe(key: str, values: list[str]) -> str:
        return f"\n    {key}: {draw(st.sampled_from(values))!r}" if draw(st.integers(0, 2)) == 0 else ""

    finder = draw(st.sampled_from(["orders.get", "orders.get", "orders.find"]))
    key = draw(st.sampled_from(["${facts.order}", "${input.order}"]))
    owner = 'customer: "${input.customer}", ' if finder == "orders.get" else ""
    caught = "\n    on_error: {id: '', customer: house, payee: house, refundable_cents: 9, note: ''}"
    instead = caught if draw(st.integers(0, 3)) == 0 else ""
    cents, payee = draw(st.sampled_from(CENTS[:6])), draw(st.sampled_from(PAYEES[:3]))
    shown = draw(st.sampled_from(["input.text", "input.id", "input.text, order"]))
    text = f"""workflow: case
version: 1.0.0
input: schemas/ticket.json
steps:
  facts: {{ai: extract, with: {{text: "${{input.text}}"}}}}
  triage: {{ai: classify, with: {{text: "${{input.text}}"}}}}
  order:
    tool: {finder}
    with: {{{owner}id: "{key}"}}{instead}
  values:
    set: {{cents: "${{{cents}}}", payee: "${{{payee}}}"}}{maybe("assert", [CONDITIONS[3], CONDITIONS[5]])}
  decision:
    review: Pay?
    by: role/lead
    propose: {{cents: "${{values.cents}}", payee: "${{values.payee}}"}}
    show: [{shown}]{maybe("needed", CONDITIONS)}{maybe("when", CONDITIONS)}
"""
    for number in range(draw(st.integers(1, 2))):
        text += _pay(draw, f"pay{number}", "  ", maybe)
    if draw(st.integers(0, 2)) == 0:
        inner = _pay(draw, "each", "      ", maybe, ["line.payee", *PAYEES], ["line.cents", *CENTS])
        head = '  lines:\n    for: "${input.orders}"\n    as: line\n    steps:\n'
        text += f'{head}{inner}    give: {{id: "${{line.id}}"}}\n'
    return f'{text}outcome: {{done: "true"}}\n'


def _pay(draw: st.DrawFn, name: str, indent: str, maybe: Any, *item: list[str]) -> str:
    payees, amounts = item or (PAYEES, CENTS)
    cents, payee = draw(st.sampled_from(amounts)), draw(st.sampled_from([*payees, "input.customer", "input.customer"]))
    tool = draw(st.sampled_from([*TOOLS, "pay.refund", "pay.refund"]))
    whom = f'payee: "${{{payee}}}"'
    if tool != "pay.transfer":
        order = draw(st.sampled_from(["order.id", "order.id", "input.order", "facts.order"]))
        whom = f'customer: "${{input.customer}}", order: "${{{order}}}"'
    checks = draw(st.lists(st.sampled_from(ASSERTS), max_size=2, unique=True))
    if draw(st.integers(0, 3)):  # most of them are bounded: else hardly any passed
        checks = [*checks, draw(st.sampled_from([ASSERTS[0], ASSERTS[1], ASSERTS[6]]))]
    listed = ", ".join(
        repr(check.format(cents=f"({cents})" if " " in cents else cents, payee=payee)) for check in checks
    )
    lines = [f"tool: {tool}", f'with: {{{whom}, cents: "${{{cents}}}"}}', f"once: {name}/${{input.id}}"]
    lines += [f"assert: [{listed}]"] if checks else []
    lines += ["requires: decision"] if draw(st.booleans()) else []
    condition = maybe("when", CONDITIONS).strip()
    lines += [condition] if condition else []
    return f"{indent}{name}:\n" + "".join(f"{indent}  {line}\n" for line in lines)


# --- runs -------------------------------------------------------------------------------------------------------------


def attacked(project: Project, attack: tuple[str, Mapping[str, Any], Mapping[str, Any]]) -> Run:
    """A run whose untrusted text and models an attacker chose."""
    text, facts, label = attack

    def model(path: str, prompt: str) -> Mapping[str, Any]:
        del path
        return label if prompt == "classify" else facts

    workflow = project.workflows["case"]
    return Run(project, workflow, model).go({**TRUSTED, "text": text})


def checked(text: str) -> tuple[Project, FlowResult, frozenset[str]]:
    """The project, what the analysis found, and the kinds of what is wrong."""
    try:
        project = project_with(text)
    except DefinitionError:
        assume(condition=False)
        raise
    result, findings = check_flow(project.workflows["case"], surroundings_of(project))
    return project, result, frozenset(finding.code for finding in findings)


QUIET = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
)


class TestAtRandom:
    @QUIET
    @given(workflows(), st.lists(ATTACKS, min_size=6, max_size=6))
    def test_what_passes_keeps_the_claim_for_all_pairs(self, text: str, attacks: list[Any]) -> None:
        project, result, codes = checked(text)
        if codes & STATIC:
            return  # nothing is claimed of it; about one in eight passes
        runs = [attacked(project, attack) for attack in attacks]
        broken = [(text, found) for one in runs for two in runs if (found := violations(project, result, one, two))]
        assert broken == []

    @QUIET
    @given(workflows(), ATTACKS)
    def test_the_static_labels_cover_those_of_every_run(self, text: str, attack: Any) -> None:
        project, result, _ = checked(text)
        run = attacked(project, attack)
        for path, labels in run.labels.items():
            static = result.steps[path].covering().join(result.steps[path].outcome).labels()
            assert static.trust >= labels.trust, (path, text)
            assert static.data_class >= labels.data_class, (path, text)
            assert static.residency >= labels.residency, (path, text)
        for path, fields in run.fields.items():
            flow = result.steps[path]
            for at, labels in fields.items():
                static = flow.control.join(flow.arguments.whole() if flow.step.verb == "tool" else NOTHING)
                static_field = static.join(flow.value.select(at).whole()).labels()
                assert static_field.trust >= labels.trust, (path, at, text)
                assert static_field.data_class >= labels.data_class, (path, at, text)


# --- each check can fail ----------------------------------------------------------------------------------------------

RUNNABLE = (
    "model-chooses-payee",
    "payee-by-choice",
    "payee-by-branch",
    "record-of-anybody",
    "no-bound",
    "bound-moves",
    "order-of-texts",
    "computed-after-the-check",
    "cause",
    "person-does-not-see",
    "review-removed",
    "fallback-chooses",
    "loop-chooses",
)
"""Unsafe workflows whose harm shows in what a run does; the others are about quotas, classes, policy or dead steps."""


def all_attacks() -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    return [
        ("hello", {"order": order, "payee": payee, "cents": cents, "most": 10**8, "reason": reason}, sorted_)
        for order in ("o-1", "x-1", "none")
        for payee in (OWNER, STRANGER)
        for cents in (50, 10**7)
        for reason in ("late", "tt")
        for sorted_ in ({"label": "refund", "confidence": 0.95}, {"label": "other", "confidence": 0.95})
    ]


@pytest.mark.parametrize("name", RUNNABLE)
def test_what_is_refused_breaks_the_claim_when_it_runs_all_the_same(name: str) -> None:
    text = (CASES / f"unsafe/{name}.yaml").read_text("utf-8").replace(f"workflow: {name}", "workflow: case")
    project, result, codes = checked(text)
    assert codes & STATIC
    runs = [attacked(project, attack) for attack in all_attacks()]
    assert any(violations(project, result, one, two) for one in runs for two in runs)
