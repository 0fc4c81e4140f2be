"""What a reviewer may change: declared fields only, and a field's type never."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from signoff.core.errors import InvalidError, Problem, did_you_mean

from .presented import canonical_json


def final_values(proposed: Mapping[str, Any], editable: Sequence[str], edits: Mapping[str, Any]) -> dict[str, Any]:
    """The values that an approval returns: as proposed, with the edits laid over them.

    Naming a field that is not editable is fine where its value is the proposed one, so that a form may send all of
    them back. A proposed null may become anything, as it shows no type.

    Raises:
        InvalidError: with one problem per field that does not exist, may not be edited, or changes its type.
    """
    problems = [
        problem
        for name, value in edits.items()
        if (problem := _problem_of(name, value, proposed, editable)) is not None
    ]
    if problems:
        raise InvalidError("The review's values cannot be changed like this.", problems=problems)
    return {**proposed, **edits}


def edited_fields(proposed: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    """Names of the values that differ from what was proposed, sorted."""
    return sorted(name for name, value in values.items() if not _same(value, proposed.get(name)))


def _same(one: Any, other: Any) -> bool:
    """Whether JSON says so; Python would call 1, 1.0 and true the same."""
    return canonical_json(one) == canonical_json(other)


def _problem_of(name: str, value: Any, proposed: Mapping[str, Any], editable: Sequence[str]) -> Problem | None:
    pointer = "/values/" + name.replace("~", "~0").replace("/", "~1")
    if name not in proposed:
        suggestion = did_you_mean(name, list(proposed)) or f"It proposes {', '.join(proposed) or 'no values'}."
        return Problem(f"this review has no value '{name}'.", pointer=pointer, suggestion=suggestion, code="unknown")
    if canonical_json(value, pointer=pointer) == canonical_json(proposed[name]):
        return None
    if name not in editable:
        suggestion = f"Editable: {', '.join(editable) or 'nothing'}. Reject the review if '{name}' is wrong."
        return Problem(f"'{name}' may not be edited.", pointer=pointer, suggestion=suggestion, code="not-editable")
    if (mismatch := _mismatch(proposed[name], value)) is not None:
        return Problem(f"'{name}'{mismatch}.", pointer=pointer, code="wrong-type")
    return None


def _mismatch(before: Any, after: Any) -> str | None:
    """How the type of a value changed, to follow its name in a sentence; none where it is kept."""
    if before is None:
        return None
    was, now = json_type(before), json_type(after)
    if was != now and (was, now) != ("number", "integer"):
        return f" is {_ARTICLE[was]} {was}, not {_ARTICLE[now]} {now}"
    if was == "object":
        return _object_mismatch(before, after)
    if was == "array" and before:
        return next(
            (f"[{index}]{found}" for index, item in enumerate(after) if (found := _mismatch(before[0], item))),
            None,
        )
    return None


def _object_mismatch(before: Mapping[str, Any], after: Mapping[str, Any]) -> str | None:
    if before.keys() != after.keys():
        return f" has the keys {', '.join(sorted(before))}, not {', '.join(sorted(after)) or 'none'}"
    return next((f".{key}{found}" for key in before if (found := _mismatch(before[key], after[key]))), None)


_ARTICLE = {"array": "an", "object": "an", "integer": "an", "number": "a", "string": "a", "boolean": "a", "null": "a"}


def json_type(value: Any) -> str:
    """The JSON Schema type of plain data; `1.0` is a number and no integer, as money must stay exact."""
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "object")


_TYPES: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "null"),
    (bool, "boolean"),  # before int, of which Python makes it a kind
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    ((list, tuple), "array"),
)
