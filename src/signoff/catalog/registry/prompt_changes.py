"""What is another between two versions of a prompt, and which version that demands.

Beside its schemas a prompt promises what its answers are held to: rules, citations, filters, and what its confidence
means. Whoever reads an answer relies on them, so one that goes or is eased is a break, and one that comes is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from signoff.catalog.answer_contracts import (
    AnswerRule,
    CitationContract,
    ConfidenceContract,
    FilterUse,
    FilterVerdict,
)
from signoff.catalog.prompts import Prompt
from signoff.catalog.registry.compatibility import Bump, ContractChange, compare_schemas

_STRICTNESS: tuple[FilterVerdict, ...] = ("warn", "review", "change", "block")
"""What a filter may do, the strictest last."""
_EASING = frozenset({"hosts", "allow"})
"""Settings of filters of which more lets more pass; of the others, less does."""


def compare_prompts(old: Prompt, new: Prompt) -> tuple[ContractChange, ...]:
    """Every difference between two versions of a prompt that somebody could notice; none where nothing changed."""
    found = [
        *compare_schemas(old.input_schema, new.input_schema, "input"),
        *compare_schemas(old.contract.output_schema, new.contract.output_schema, "output"),
        *_answers(old, new),
    ]
    if old.task != new.task:
        found.append(ContractChange("major", "task", f"was {old.task}, is {new.task}"))
    if old.data_class != new.data_class:
        bump: Bump = "minor" if new.data_class > old.data_class else "major"
        change = f"was {old.data_class.name.lower()}, is {new.data_class.name.lower()}"
        found.append(ContractChange(bump, "data_class", change))
    if _texts(old) != _texts(new):
        found.append(ContractChange("patch", "text", "the templates changed"))
    quiet: tuple[tuple[str, Any, Any], ...] = (
        ("labels", old.labels, new.labels),
        ("examples", old.examples, new.examples),
        ("limits", (old.max_output_tokens, old.timeout_s), (new.max_output_tokens, new.timeout_s)),
        ("needs", old.needs, new.needs),
        ("quality", old.quality, new.quality),
        ("owners", old.owners, new.owners),
        ("purpose", old.purpose, new.purpose),
        ("hints", old.hints, new.hints),
        ("tests", _tests(old), _tests(new)),
        ("repair", old.answer.repair, new.answer.repair),
        ("cache", old.cache, new.cache),
    )
    found += [ContractChange("patch", name, "changed") for name, before, after in quiet if before != after]
    if not found and old.digest != new.digest:
        found.append(ContractChange("patch", "file", "comments or layout changed"))
    return tuple(found)


def _texts(prompt: Prompt) -> Any:
    return prompt.sections, prompt.alternatives, prompt.dimensions


def _tests(prompt: Prompt) -> list[Any]:
    return [
        (test.name, test.input, test.expect, test.answer, [item.source for item in test.asserts])
        for test in prompt.tests
    ]


def _answers(old: Prompt, new: Prompt) -> Iterator[ContractChange]:
    before, after = old.answer, new.answer
    yield from _rules({rule.id: rule for rule in before.rules}, {rule.id: rule for rule in after.rules})
    yield from _citations(before.citations, after.citations)
    yield from _filters(_by_place(before.filters), _by_place(after.filters))
    if "confidence" in (old.contract.output_schema or {}).get("properties", {}):
        yield from _confidence(before.confidence, after.confidence)


def _rules(old: Mapping[str, AnswerRule], new: Mapping[str, AnswerRule]) -> Iterator[ContractChange]:
    for name in (*old, *(name for name in new if name not in old)):
        place, before, after = f"rules.{name}", old.get(name), new.get(name)
        held_before, held_after = (rule is not None and rule.severity == "block" for rule in (before, after))
        bump: Bump = "patch"
        if held_before != held_after:
            bump = "major" if held_before else "minor"
        if before is None or after is None:
            yield ContractChange(bump, place, "was removed" if after is None else "is new")
            continue
        if before.severity != after.severity:
            yield ContractChange(bump, place, f"was {before.severity}, is {after.severity}")
        if before.expression.source != after.expression.source:
            detail = f"was {before.expression.source}, is {after.expression.source}"
            yield ContractChange("major" if held_before and held_after else "patch", place, detail)
        if before.message != after.message:
            yield ContractChange("patch", place, "has another message")


def _citations(before: CitationContract | None, after: CitationContract | None) -> Iterator[ContractChange]:
    if before is None or after is None:
        if before != after:
            gone = after is None
            detail = "need not be there any more" if gone else "must be there now"
            yield ContractChange("major" if gone else "minor", "citations", detail)
        return
    if (before.source, before.field) != (after.source, after.field):
        yield ContractChange("major", "citations", "are of another source or in another field")
    if before.least != after.least:
        bump: Bump = "major" if after.least < before.least else "minor"
        yield ContractChange(bump, "citations", f"were at least {before.least}, are at least {after.least}")


def _by_place(filters: tuple[FilterUse, ...]) -> dict[str, FilterUse]:
    """The filters by name and field; of two alike the last, as it has the last word."""
    return {f"{use.name}{f' of {use.output_field}' if use.output_field else ''}": use for use in filters}


def _filters(old: Mapping[str, FilterUse], new: Mapping[str, FilterUse]) -> Iterator[ContractChange]:
    for name in (*old, *(name for name in new if name not in old)):
        place, before, after = f"filters.{name}", old.get(name), new.get(name)
        if before is None or after is None:
            yield ContractChange(
                "major" if after is None else "minor", place, "was removed" if after is None else "is new"
            )
            continue
        if before.verdict != after.verdict:
            eased = _STRICTNESS.index(after.verdict) < _STRICTNESS.index(before.verdict)
            yield ContractChange("major" if eased else "minor", place, f"was {before.verdict}, is {after.verdict}")
        for setting in sorted(before.settings.keys() | after.settings.keys()):
            yield from _setting(
                place, setting, set(before.settings.get(setting, ())), set(after.settings.get(setting, ()))
            )
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        yield ContractChange("patch", "filters", "stand in another order")


def _setting(place: str, setting: str, before: set[str], after: set[str]) -> Iterator[ContractChange]:
    for values, word, eases in ((before - after, "without", False), (after - before, "with", True)):
        if values:
            eased = eases == (setting in _EASING)
            yield ContractChange("major" if eased else "minor", place, f"{word} {setting} {', '.join(sorted(values))}")


def _confidence(before: ConfidenceContract | None, after: ConfidenceContract | None) -> Iterator[ContractChange]:
    """What gates rest on: a number that is made of something else means something else."""
    if before == after:
        return
    if before is None or after is None:
        detail = "is the model's own now" if after is None else "is made of signals now"
        yield ContractChange("major", "confidence", detail)
        return
    parts = (
        ("rule", before.kind, after.kind),
        ("signals", ", ".join(before.signals), ", ".join(after.signals)),
        ("agreement", before.agreement, after.agreement),
        ("calibration", before.calibration is not None, after.calibration is not None),
    )
    changed = [name for name, one, other in parts if one != other]
    for name in changed:
        yield ContractChange("major", "confidence", f"has another {name}" if name != "signals" else "has other signals")
    if not changed:
        yield ContractChange("patch", "confidence", "its calibration is in another file")
