"""What a prompt demands of answers: rules, repairs within money, citations, confidence; checked before any run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from support.gateway_cases import GOOD, permit_all, project, task

from signoff.capabilities.gateway import Attempt, Budget, GatewayError
from signoff.capabilities.validation.answers import answer_checks, signals_of
from signoff.capabilities.validation.citations import check_citations
from signoff.catalog.answer_contracts import CitationContract
from signoff.catalog.models import ModelSpec
from signoff.catalog.projects import load_project_files
from signoff.catalog.prompts import Prompt
from signoff.core.errors import DefinitionError, Problem
from signoff.core.money import Cost
from signoff.testing import ScriptedProvider

PROMPT = """---
name: answer
version: 1.0.0
purpose: Answers from the manual.
task: generate
input:
  type: object
  properties: {docs: {type: array, items: {type: object}, maxItems: 9}}
  required: [docs]
output:
  type: object
  properties:
    total: {type: integer}
    parts: {type: array, items: {type: integer}}
    text: {type: string}
    confidence: {type: number}
    citations: {type: array, items: {type: object, properties: {quote: {type: string}}}}
  required: [total, parts, text, confidence, citations]
EXTRA---
# user
{{ docs }}
"""
RULES = """rules:
  - {id: few, that: size(parts) <= total, message: There are more parts than units.}
  - {id: short, that: size(text) < 30, severity: warn}
citations: {from: docs}
repair: {attempts: 1, cost: 0.02 USD}
confidence: {rule: minimum, signals: [own, rules, support, completeness]}
filters:
  - {filter: promises, words: [guaranteed]}
"""

MODELS = b"models: {vendor: {provider: scripted}}\nroutes: [{task: generate, use: [vendor]}]\n"


def files_of(prompt: str) -> dict[str, bytes]:
    return {"signoff.yaml": b"project: p\n", "models.yaml": MODELS, "prompts/answer.md": prompt.encode()}


def loaded(extra: str) -> Prompt:
    return load_project_files(files_of(PROMPT.replace("EXTRA", extra))).prompts.find("answer")


def problems(extra: str) -> dict[str, str]:
    with pytest.raises(DefinitionError) as caught:
        loaded(extra)
    return {problem.code or "": problem.detail for problem in caught.value.problems}


def answer(**changes: Any) -> dict[str, Any]:
    return {
        "total": 3,
        "parts": [1, 2],
        "text": "Returns take fourteen days.",
        "confidence": 0.8,
        "citations": [{"quote": "fourteen days"}],
        **changes,
    }


DOCS = {"docs": [{"chunk_id": "c1", "text": "Returns take\nfourteen  days from the day of delivery."}]}


def test_a_prompt_declares_its_contract_and_the_step_gives_what_it_makes() -> None:
    prompt = loaded(RULES)
    assert (prompt.answer.repair.attempts, prompt.answer.repair.cost) == (1, Cost(20_000))
    schema = prompt.contract.output_schema
    assert schema is not None
    assert schema["required"][-2:] == ["confidence", "filtered"]
    assert prompt.output_schema["required"] == ["total", "parts", "text", "confidence", "citations"]


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("rules: [{that: totl == 3}]\n", "expression-name"),
        ("rules: [{that: total + 1}]\n", "expression-type"),
        ("citations: {from: manual}\n", "unknown-value"),
        ("repair: {cost: 2 EUR}\n", "value"),
        ("repair: {attempts: 50}\n", "wrong-type"),
        ("confidence: {signals: [support]}\n", "no-signal"),
        ("confidence: {rule: logistic, signals: [own]}\n", "invalid"),
        ("confidence: {signals: [own], calibration: calibrations/x.json}\n", "unknown-reference"),
        ("confidence: {signals: [agreement], agreement: {model: other/one}}\n", "unknown-reference"),
        ("filters: [{filter: promises}]\n", "missing-key"),
        ("filters: [{filter: links, verdict: change}]\n", "unknown-value"),
        ("filters: [{filter: toxicity, field: body}]\n", "unknown-value"),
    ],
)
def test_what_is_wrong_with_it_is_found_before_anything_runs(extra: str, code: str) -> None:
    assert code in problems(extra)


def test_free_text_is_refused_and_the_standard_message_is_sanitised() -> None:
    head, _, tail = PROMPT.partition("output:\n")
    body = tail[tail.index("EXTRA") :].replace("EXTRA", "")
    for output, code in (("output: {type: object}\n", "free-text"), ("", "missing-key")):
        with pytest.raises(DefinitionError) as caught:
            load_project_files(files_of(head + output + body))
        assert [problem.code for problem in caught.value.problems] == [code]
    prompt = load_project_files(files_of(head + "output: message\n" + body)).prompts.find("answer")
    assert [(use.name, use.output_field) for use in prompt.answer.filters] == [("html", "body_html")]
    assert prompt.contract.output_schema == prompt.output_schema


def test_rules_and_citations_are_asked_in_turn() -> None:
    checks = answer_checks(loaded(RULES).answer, DOCS)

    def found(**changes: Any) -> list[str | None]:
        return [problem.code for check in checks for problem in check(answer(**changes))]

    assert found() == []
    assert found(parts=[1, 1, 1, 1]) == ["rule:few"]
    assert found(text="x" * 40) == [], "a warning is no reason to ask again"
    assert found(citations=[]) == ["citations"]
    assert found(citations=[{"quote": "thirty days"}]) == ["citation-not-found"]
    assert found(citations=[{"quote": "the"}]) == ["citation-not-found"]


def test_a_citation_occurs_in_the_passage_that_it_names() -> None:
    contract = CitationContract("docs", least=0)

    def found(*quotes: Any, docs: Any = DOCS["docs"]) -> int:
        return len(check_citations(contract, {"citations": list(quotes)}, {"docs": docs}))

    assert found({"quote": "take fourteen days", "chunk_id": "c1"}) == 0
    assert found({"quote": "take fourteen days", "chunk_id": "c2"}) == 1
    assert found("take fourteen days", docs={"hits": DOCS["docs"]}) == 0
    assert found("take fourteen days", 3, None, {}, docs=None) == 4


def test_signals_follow_from_the_answer() -> None:
    contract = loaded(RULES).answer
    found = signals_of(contract, answer(text="Returns take decades.", confidence=7), DOCS)
    assert found == {"own": 1.0, "rules": 1.0, "support": 2 / 3}
    assert signals_of(contract, answer(text="x" * 40), DOCS)["rules"] == 0.5


def too_low(value: Mapping[str, Any]) -> list[Any]:
    return [] if value["confidence"] >= 0.9 else [Problem("Be surer.", pointer="", code="rule:sure")]


async def test_a_broken_rule_is_repaired_and_each_attempt_is_told() -> None:
    first = ScriptedProvider(['{"label": "refund", "confidence": 0.1}', GOOD])
    gateway, config = project(first=first)
    seen: list[Attempt] = []
    result = await gateway.complete(task(checks=[too_low]), config, decide=permit_all, observe=seen.append)
    assert result.output == GOOD
    assert [(one.outcome, one.repair, one.broken) for one in seen] == [("contract", 0, ("rule:sure",)), ("ok", 1, ())]
    assert "Be surer." in first.requests[1].messages[-1].content


async def test_repairs_end_where_the_prompt_says_and_the_next_model_of_the_route_answers() -> None:
    first, second = ScriptedProvider(["no"], repeat=True), ScriptedProvider([GOOD])
    gateway, config = project(first=first, second=second)
    result = await gateway.complete(task(repairs=1), config, decide=permit_all)
    assert (result.model, len(first.requests)) == ("second", 2)


async def test_money_for_repairs_bounds_them_before_the_call() -> None:
    paid = ScriptedProvider(["no"], repeat=True, local=False, input_tokens=100, output_tokens=50)
    gateway, config = project(first=paid)
    priced = {"model": "first", "price": {"input_usd": 100, "output_usd": 100}}
    config = replace(config, models={"first": ModelSpec("first", "first", priced)})
    with pytest.raises(GatewayError) as caught:
        await gateway.complete(task(repairs=5, repair_budget=Budget(Cost(25_000))), config, decide=permit_all)
    assert caught.value.kind == "model_contract"
    assert len(paid.requests) == 2, "a first answer and one repair of 0.015 USD: what is left is not enough for another"
