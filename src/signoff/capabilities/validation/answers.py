"""What an answer that meets its schema must meet besides: rules across its fields, and quotes that are real."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from signoff.capabilities.validation.citations import check_citations, words_of
from signoff.capabilities.validation.scopes import Values
from signoff.catalog.answer_contracts import AnswerContract, AnswerRule
from signoff.core.errors import Problem
from signoff.workflows.errors import Blocked, ExpressionError

MAX_DEPTH = 32
"""How deep texts are looked for in an answer; a schema that allows more is a mistake."""
MIN_WORD_LENGTH = 4
"""Shorter words say nothing about where a text comes from."""

_TAG = re.compile(r"<[^<>]*>")


def answer_checks(
    contract: AnswerContract, variables: Mapping[str, Any]
) -> list[Callable[[Mapping[str, Any]], list[Problem]]]:
    """The checks of a prompt's answers, for the variables of one call."""
    checks: list[Callable[[Mapping[str, Any]], list[Problem]]] = []
    if any(rule.severity == "block" for rule in contract.rules):
        checks.append(lambda answer: broken_rules(contract, answer))
    citations = contract.citations
    if citations is not None:
        checks.append(lambda answer: check_citations(citations, answer, variables))
    return checks


def broken_rules(contract: AnswerContract, answer: Mapping[str, Any]) -> list[Problem]:
    """The rules that block and are not met. One that cannot be evaluated is not met."""
    return [
        Problem(why, pointer="", code=f"rule:{rule.id}")
        for rule in contract.rules
        if rule.severity == "block" and (why := _broken(rule, answer)) is not None
    ]


def signals_of(contract: AnswerContract, answer: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, float]:
    """The signals that follow from one answer alone, those that its contract declares.

    `own`: what the model says of itself. `completeness`: the share of the answer's fields that hold something.
    `rules`: the share of its rules that hold. `support`: the share of the answer's words, of four letters or more, that
    stand in what it was to rest on.
    """
    wanted = contract.confidence.signals if contract.confidence is not None else ()
    found: dict[str, float] = {}
    for name in wanted:
        if name == "own":
            found[name] = _bounded(answer.get("confidence"))
        elif name == "rules":
            broken = sum(_broken(rule, answer) is not None for rule in contract.rules)
            found[name] = 1.0 - broken / max(len(contract.rules), 1)
        elif name == "support" and contract.citations is not None:
            found[name] = _support(answer, contract.citations.field, variables.get(contract.citations.source))
    return found


def completeness(answer: Mapping[str, Any], fields: Sequence[str]) -> float:
    """The share of these fields that hold something: not null, nor an empty text, list or object."""
    filled = sum(answer.get(name) not in (None, "", [], {}) for name in fields)
    return filled / len(fields) if fields else 1.0


def agreement(answers: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> float:
    """The share of the other answers that equal the first in these fields, or in all but `confidence`."""
    if len(answers) <= 1:
        return 0.0
    first = _compared(answers[0], fields)
    return sum(_compared(other, fields) == first for other in answers[1:]) / (len(answers) - 1)


def texts_in(value: Any, depth: int = MAX_DEPTH) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, Mapping):
        for item in cast("Mapping[str, Any]", value).values():
            yield from texts_in(item, depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for item in cast("list[Any]", value):
            yield from texts_in(item, depth - 1)


def _broken(rule: AnswerRule, answer: Mapping[str, Any]) -> str | None:
    try:
        met = rule.expression.evaluate(Values(answer))
    except Blocked as error:
        return f"{rule.message} (the field '{error.by}' is not there)"
    except ExpressionError as error:
        return f"{rule.message} ({error.detail})"
    return None if met is True else rule.message


def _compared(answer: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    names = fields or [name for name in answer if name != "confidence"]
    return {name: answer.get(name) for name in names}


def _support(answer: Mapping[str, Any], citations: str, passages: Any) -> float:
    said = {
        word
        for text in texts_in({name: value for name, value in answer.items() if name != citations})
        for word in words_of(_TAG.sub(" ", text))
        if len(word) >= MIN_WORD_LENGTH
    }
    known = {word for text in texts_in(passages) for word in words_of(text)}
    return len(said & known) / len(said) if said else 0.0


def _bounded(value: Any) -> float:
    # A model that gives no number is not sure of anything.
    return min(max(float(value), 0.0), 1.0) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
