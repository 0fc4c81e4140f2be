"""Calibration documents of a project, as far as a release needs them whole: made for this prompt, and of these numbers.

Everything that gating rests on has to be there, as nothing would tell a person later that a confidence was worth
nothing: what `signoff confidence fit` writes, for the version of the prompt that it is used with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from signoff.catalog.answer_contracts import ConfidenceContract
from signoff.catalog.prompts import Prompt
from signoff.core.errors import Problem
from signoff.core.ids import digest
from signoff.core.schemas import validate

AGAIN = "Make it again: signoff confidence fit {name} --cases golden.jsonl."

_NUMBERS: Mapping[str, Any] = {"type": "array", "minItems": 1, "items": {"type": "number"}}
_SHARES: Mapping[str, Any] = {"type": "array", "minItems": 1, "items": {"type": "number", "minimum": 0, "maximum": 1}}
_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["prompt", "prompt_version", "version", "rule", "calibration", "measured"],
    "properties": {
        "prompt": {"type": "string"},
        "prompt_version": {"type": "string"},
        "version": {"type": "string"},
        "rule": {
            "type": "object",
            "required": ["kind", "signals"],
            "properties": {"kind": {"type": "string"}, "signals": {"type": "array", "items": {"type": "string"}}},
            "if": {"properties": {"kind": {"const": "logistic"}}},
            "then": {
                "required": ["weights", "intercept"],
                "properties": {
                    "weights": {"type": "object", "additionalProperties": {"type": "number"}},
                    "intercept": {"type": "number"},
                },
            },
        },
        "calibration": {
            "type": "object",
            "required": ["method", "cases"],
            "properties": {"method": {"enum": ["isotonic", "platt"]}, "cases": {"type": "integer", "minimum": 1}},
            "if": {"properties": {"method": {"const": "platt"}}},
            "then": {
                "required": ["slope", "intercept"],
                "properties": {"slope": {"type": "number"}, "intercept": {"type": "number"}},
            },
            "else": {
                "required": ["scores", "probabilities"],
                "properties": {"scores": _NUMBERS, "probabilities": _SHARES},
            },
        },
        "measured": {"type": "object", "required": ["cases", "ece_before", "ece_after"]},
    },
}


def check_calibration(prompt: Prompt, contract: ConfidenceContract, file: str, content: bytes) -> Iterator[Problem]:
    """What keeps a document from being the calibration of that prompt: something is missing, or it is another's."""
    again = AGAIN.format(name=prompt.name)
    try:
        data: Any = orjson.loads(content)
    except ValueError as error:
        yield Problem(f"This is no calibration document: {error}.", file, suggestion=again, code="calibration")
        return
    broken = validate(_SCHEMA, data)
    for one in broken:
        detail = f"The calibration of '{prompt.name}' is not whole: {one.detail}"
        yield Problem(detail, file, pointer=one.pointer, suggestion=again, code="calibration")
    if broken:
        return
    yield from (
        Problem(detail, file, pointer=pointer, suggestion=again, code="calibration")
        for pointer, detail in _wrong(prompt, contract, data)
    )


def _wrong(prompt: Prompt, contract: ConfidenceContract, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where, and what."""
    rule, fitted = data["rule"], data["calibration"]
    made_for = (data["prompt"], rule["kind"], tuple(sorted(rule["signals"])))
    wanted = (prompt.name, contract.kind, tuple(sorted(contract.signals)))
    if made_for != wanted:
        detail = (
            f"The calibration was made for prompt '{made_for[0]}', {made_for[1]} of {', '.join(made_for[2])};"
            f" '{prompt.name}' has {contract.kind} of {', '.join(wanted[2])}."
        )
        yield "/prompt" if made_for[0] != prompt.name else "/rule", detail
    elif data["prompt_version"] != prompt.version:
        detail = f"The calibration was made for '{prompt.name}' {data['prompt_version']}, and this is {prompt.version}."
        yield "/prompt_version", detail
    if fitted["method"] == "isotonic" and not _is_steps(fitted["scores"], fitted["probabilities"]):
        detail = "The steps of the calibration do not fit each other: one probability for each score, both rising."
        yield "/calibration/probabilities", detail
    if rule["kind"] == "logistic" and set(rule["weights"]) != set(rule["signals"]):
        yield "/rule/weights", "A logistic rule has a weight for each of its signals."
    written = orjson.dumps({"rule": rule, "calibration": fitted}, option=orjson.OPT_SORT_KEYS)
    if data["version"] != digest(written):
        yield "/version", "The version is not that of these numbers: the calibration was edited."


def _is_steps(scores: list[float], probabilities: list[float]) -> bool:
    rising = scores == sorted(scores) and probabilities == sorted(probabilities)
    return rising and len(scores) == len(probabilities)
