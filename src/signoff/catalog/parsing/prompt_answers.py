"""What a prompt's front matter demands of an answer: `rules`, `repair`, `citations`, `confidence`, `filters`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from signoff.catalog.answer_contracts import (
    CONFIDENCE_KINDS,
    DEFAULT_REPAIRS,
    MAX_ANSWERS,
    MAX_REPAIRS,
    SIGNALS,
    Agreement,
    AnswerContract,
    AnswerRule,
    CitationContract,
    ConfidenceContract,
    ConfidenceKind,
    RepairLimits,
    RuleSeverity,
    Signal,
)
from signoff.catalog.parsing.conditions import compile_condition
from signoff.catalog.parsing.fields import Fields
from signoff.catalog.parsing.filters import parse_filters
from signoff.core.errors import did_you_mean
from signoff.core.money import Cost

ANSWER_KEYS = ("rules", "repair", "citations", "confidence", "filters")
MAX_RULES = 100
"""How many rules a prompt may have."""

_MONEY = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) USD\Z")


def parse_answer(fields: Fields, input_schema: Mapping[str, Any], output_schema: Mapping[str, Any]) -> AnswerContract:
    """The contract that these keys describe; what is wrong with it is reported."""
    outputs, inputs = _properties(output_schema), _properties(input_schema)
    rules = _rules(fields, output_schema)
    citations = _citations(fields, inputs, outputs)
    confidence = _confidence(fields, outputs)
    if confidence is not None:
        _signals_have_sources(fields.mapping("confidence"), confidence, outputs, rules, citations)
    contract = AnswerContract(rules, _repair(fields), citations, confidence, parse_filters(fields, outputs))
    if contract.may_ask and "filtered" in outputs:
        fields.problem("filters", "The filters' verdict is the field 'filtered', and the output has one of its own.")
    return contract


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _rules(fields: Fields, output_schema: Mapping[str, Any]) -> tuple[AnswerRule, ...]:
    found: dict[str, AnswerRule] = {}
    for place, item in enumerate(fields.items("rules"), start=1):
        item.only("id", "that", "message", "severity")
        name = item.text("id", "") or f"rule-{place}"
        if name in found:
            item.problem("id", f"The id '{name}' is taken in this prompt.", code="duplicate")
        expression = compile_condition(item, "that", output_schema)
        severity = cast("RuleSeverity", item.one_of("severity", ("block", "warn"), "block"))
        if expression is not None:
            message = item.text("message", "") or f"This must hold: {expression.source}"
            found[name] = AnswerRule(name, expression, message, severity)
    if len(found) > MAX_RULES:
        fields.problem("rules", f"There are more than {MAX_RULES} rules.", code="limit")
    return tuple(found.values())


def _repair(fields: Fields) -> RepairLimits:
    repair = fields.mapping("repair")
    repair.only("attempts", "cost")
    written = repair.text("cost", "")
    money = _MONEY.match(written)
    if written and money is None:
        repair.problem("cost", "A cost is an amount in US dollars.", suggestion="Write it as 0.02 USD.", code="value")
    return RepairLimits(
        repair.integer("attempts", DEFAULT_REPAIRS, lowest=0, highest=MAX_REPAIRS),
        Cost.from_usd(money[1]) if money else None,
    )


def _citations(fields: Fields, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> CitationContract | None:
    if "citations" not in fields:
        return None
    citations = fields.mapping("citations")
    citations.only("from", "field", "least")
    source, field = citations.text("from"), citations.text("field", "citations")
    if source and source not in inputs:
        suggestion = did_you_mean(source, tuple(inputs)) or "Name the input variable that has the hits of 'retrieve'."
        citations.problem("from", f"The prompt has no input '{source}'.", suggestion=suggestion, code="unknown-value")
    if field not in outputs:
        suggestion = (
            f"Add '{field}: {{type: array, items: {{type: object, properties: {{quote: {{type: string}}}}}}}}'."
        )
        citations.problem(None, f"The output has no '{field}' to cite in.", suggestion=suggestion, code="unknown-value")
    elif not isinstance(outputs[field], Mapping) or outputs[field].get("type") != "array":
        citations.problem(None, f"'{field}' of the output must be a list of quotes.", code="schema")
    return CitationContract(source, field, citations.integer("least", 1, lowest=0, highest=100))


def _confidence(fields: Fields, outputs: Mapping[str, Any]) -> ConfidenceContract | None:
    if "confidence" not in fields:
        return None
    confidence = fields.mapping("confidence")
    confidence.only("rule", "signals", "calibration", "agreement")
    kind = cast("ConfidenceKind", confidence.one_of("rule", CONFIDENCE_KINDS, "minimum"))
    signals: dict[Signal, None] = {}
    for place, name in enumerate(confidence.texts("signals")):
        if name not in SIGNALS:
            suggestion = did_you_mean(name, SIGNALS) or f"There are: {', '.join(SIGNALS)}."
            path = (*confidence.path, "signals", place)
            confidence.report.add(path, f"There is no signal '{name}'.", suggestion=suggestion, code="unknown-value")
        else:
            signals[name] = None
    if not signals:
        suggestion = f"Add 'signals: [own]'; there are: {', '.join(SIGNALS)}."
        confidence.problem(None, "A confidence needs signals.", suggestion=suggestion, code="missing-key")
    calibration = confidence.text("calibration", "") or None
    if kind == "logistic" and calibration is None:
        suggestion = "Add 'calibration: calibrations/….json', made by 'signoff confidence fit'."
        confidence.problem("rule", "A logistic rule has its weights in a calibration.", suggestion=suggestion)
    agreement = confidence.mapping("agreement")
    agreement.only("answers", "model", "fields")
    named = agreement.texts("fields")
    for name in named:
        if name not in outputs:
            suggestion = did_you_mean(name, tuple(outputs))
            agreement.problem("fields", f"The output has no '{name}'.", suggestion=suggestion, code="unknown-value")
    answers = agreement.integer("answers", 2, lowest=2, highest=MAX_ANSWERS)
    return ConfidenceContract(
        kind, tuple(signals), calibration, Agreement(answers, agreement.text("model", "") or None, named)
    )


def _signals_have_sources(
    fields: Fields,
    contract: ConfidenceContract,
    outputs: Mapping[str, Any],
    rules: tuple[AnswerRule, ...],
    citations: CitationContract | None,
) -> None:
    needed = {
        "own": ("confidence" in outputs, "Add 'confidence: {type: number, minimum: 0, maximum: 1}' to the output."),
        "completeness": (bool(outputs), "Add 'properties' to the output."),
        "rules": (any(rule.severity == "warn" for rule in rules), "Add a rule with 'severity: warn'."),
        "support": (citations is not None, "Add 'citations: {from: …}': what it is to rest on."),
    }
    for signal in contract.signals:
        there, suggestion = needed.get(signal, (True, ""))
        if not there:
            detail = f"Nothing gives the signal '{signal}'."
            fields.problem("signals", detail, suggestion=suggestion, code="no-signal")
