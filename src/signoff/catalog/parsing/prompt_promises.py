"""What a prompt's front matter promises: who answers for it, what a model must be, its tests, its quality."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from signoff.catalog.parsing.conditions import compile_condition
from signoff.catalog.parsing.fields import Fields, problems_with
from signoff.catalog.prompts import ModelNeeds, PromptTest, Threshold
from signoff.core.errors import did_you_mean
from signoff.core.labels import DataClass
from signoff.workflows.model import Expression

MAX_TESTS = 1_000
"""How many test cases a prompt may have; whole data sets are for evaluations."""
MAX_CONTEXT_TOKENS = 10_000_000
"""The largest context that a prompt may need, in tokens."""

_OWNER = re.compile(r"^(user|key|role|team)/[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}\Z")
_METRIC = re.compile(r"^[a-z][a-z0-9_]{0,62}\Z")


def parse_owners(fields: Fields, data_class: DataClass) -> tuple[str, ...]:
    """Who answers for the prompt. One that takes regulated data has a named owner."""
    owners = fields.texts("owners")
    for place, owner in enumerate(owners):
        if not _OWNER.match(owner):
            suggestion = "Write user/ana, role/support-lead or team/support."
            fields.report.add((*fields.path, "owners", place), f"'{owner}' names nobody.", suggestion=suggestion)
    if not owners and data_class is DataClass.REGULATED:
        suggestion = "Add 'owners: [user/…]': who answers for it."
        fields.problem("data_class", "A prompt for regulated data has an owner.", suggestion=suggestion, code="owner")
    return owners


def parse_needs(fields: Fields) -> ModelNeeds:
    """What a model must be."""
    needs = fields.mapping("needs")
    needs.only("local", "region", "context_tokens")
    context = needs.integer("context_tokens", 1, lowest=1, highest=MAX_CONTEXT_TOKENS)
    return ModelNeeds(
        local=needs.boolean("local", default=False),
        region=needs.text("region", "") or None,
        context_tokens=context if "context_tokens" in needs else None,
    )


def parse_quality(fields: Fields) -> dict[str, Threshold]:
    """By metric, what a score must reach: `accuracy: 0.9` (at least), or `{at_most: 0.05}`."""
    found: dict[str, Threshold] = {}
    quality = fields.mapping("quality")
    for metric, value in quality.data.items():
        if not _METRIC.match(metric):
            quality.problem(metric, f"'{metric}' is no metric's name.", suggestion="Write it like accuracy.")
        if isinstance(value, Mapping):
            bounds = quality.mapping(metric)
            bounds.only("at_least", "at_most")
            found[metric] = Threshold(_number(bounds, "at_least"), _number(bounds, "at_most"))
        else:
            found[metric] = Threshold(at_least=_number(quality, metric))
    return found


def _number(fields: Fields, name: str) -> float | None:
    value = fields.data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        fields.problem(name, f"'{name}' must be a number.", code="wrong-type")
        return None
    return float(value)


def parse_tests(
    fields: Fields, input_schema: Mapping[str, Any], output_schema: Mapping[str, Any]
) -> tuple[PromptTest, ...]:
    """The prompt's own cases; each expects something."""
    found: dict[str, PromptTest] = {}
    outputs = tuple(cast("Mapping[str, Any]", output_schema.get("properties") or {}))
    for item in fields.items("tests"):
        item.only("name", "input", "expect", "assert", "answer")
        name = item.text("name")
        if name in found:
            item.problem("name", f"Another test is called '{name}'.", code="duplicate")
        value = item.mapping("input").data
        for problem in problems_with(input_schema, dict(value)):
            item.problem("input", f"The test's input breaks the prompt's schema: {problem}", code="example")
        expect = item.mapping("expect").data
        for key in expect:
            if outputs and key not in outputs:
                suggestion = did_you_mean(key, outputs) or f"It has: {', '.join(outputs)}."
                item.problem("expect", f"The output has no '{key}'.", suggestion=suggestion, code="unknown-value")
        asserts = _asserts(item, output_schema)
        if not expect and not asserts and "assert" not in item:
            suggestion = "Add 'expect: {label: refund}' or 'assert: [\"size(text) < 500\"]'."
            item.problem(None, "The test expects nothing.", suggestion=suggestion, code="missing-key")
        answer = item.mapping("answer").data if "answer" in item else None
        found[name] = PromptTest(name, value, expect, asserts, answer, item.report.line(item.path))
    if len(found) > MAX_TESTS:
        fields.problem("tests", f"There are more than {MAX_TESTS} tests.", code="limit")
    return tuple(found.values())


def _asserts(item: Fields, output_schema: Mapping[str, Any]) -> tuple[Expression, ...]:
    if isinstance(item.data.get("assert"), str):
        compiled = [compile_condition(item, "assert", output_schema)]
    else:
        compiled = [
            compile_condition(Fields(item.report, {"assert": text}, item.path), "assert", output_schema)
            for text in item.texts("assert")
        ]
    return tuple(expression for expression in compiled if expression is not None)
