"""What a change of a contract means for who relies on it, and so which version it needs (semver.org, items 6 to 8).

Callers give an input and read an output. So an input may only come to accept more, and an output only to promise more
(contravariance and covariance of function types; Cardelli, "A Semantics of Multiple Inheritance", 1984). What cannot be
told apart is taken for a break: a number too high costs an edit, one too low a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from signoff.catalog.versions import Parts

Bump = Literal["major", "minor", "patch"]
Side = Literal["input", "output"]

BUMPS: tuple[Bump, ...] = ("patch", "minor", "major")
"""What a change demands, by rising weight."""
MAX_DEPTH = 32
"""How deep schemas are compared; what differs below is a break."""

_SAID_ONLY = frozenset({"title", "description", "examples", "default", "$comment", "$schema", "$id", "x-extract"})
_LOWER_BOUNDS = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_UPPER_BOUNDS = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_WALKED = frozenset({"properties", "required", "type", "enum", "items", "additionalProperties"})


@dataclass(frozen=True, slots=True)
class ContractChange:
    """One difference, with what it demands.

    Attributes:
        bump: the version's part that must rise.
        place: where, as people write it: `output.label`, `text`.
        detail: what changed, as a phrase.
    """

    bump: Bump
    place: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        """The change for JSON."""
        return {"bump": self.bump, "place": self.place, "detail": self.detail}

    def __str__(self) -> str:
        return f"{self.place}: {self.detail} ({self.bump})"


def heaviest(changes: tuple[ContractChange, ...]) -> Bump | None:
    """What all changes together demand; none where there are none."""
    found = {change.bump for change in changes}
    return next((bump for bump in reversed(BUMPS) if bump in found), None)


def lowest_next(version: Parts, bump: Bump) -> Parts:
    """The lowest version that a change of that weight may have. Below 1.0.0 nothing is promised: minor is enough."""
    major, minor, patch = version
    if bump == "major" and major > 0:
        return major + 1, 0, 0
    if bump in ("major", "minor"):
        return major, minor + 1, 0
    return major, minor, patch + 1


def compare_schemas(old: Mapping[str, Any], new: Mapping[str, Any], side: Side) -> tuple[ContractChange, ...]:
    """Every difference of two JSON Schemas, weighed by which side of a contract they stand on."""
    return tuple(_schemas(old, new, side, side, 0))


def _schemas(old: Any, new: Any, side: Side, place: str, depth: int) -> Iterator[ContractChange]:
    if old == new:
        return
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)) or depth > MAX_DEPTH:
        yield ContractChange("major", place, "changed")
        return
    before, after = cast("Mapping[str, Any]", old), cast("Mapping[str, Any]", new)
    yield from _types(before, after, side, place)
    yield from _enums(before, after, side, place)
    yield from _properties(before, after, side, place, depth)
    if before.get("items") != after.get("items"):
        yield from _schemas(before.get("items", {}), after.get("items", {}), side, f"{place}[]", depth + 1)
    if before.get("additionalProperties", True) != after.get("additionalProperties", True):
        closed = after.get("additionalProperties", True) is False
        opened = before.get("additionalProperties", True) is False
        detail = "takes no further fields" if closed else "takes further fields" if opened else "changed"
        yield ContractChange(_weight(side, narrower=closed, wider=opened), place, detail)
    for name in sorted((before.keys() | after.keys()) - _WALKED):
        if before.get(name) != after.get(name):
            yield _keyword(name, before.get(name), after.get(name), side, place)


def _types(old: Mapping[str, Any], new: Mapping[str, Any], side: Side, place: str) -> Iterator[ContractChange]:
    before, after = _type_set(old), _type_set(new)
    if before != after:
        detail = f"was {_said(before)}, is {_said(after)}"
        yield ContractChange(_weight(side, narrower=after < before, wider=after > before), place, detail)


_ANY = frozenset({"null", "boolean", "object", "array", "number", "string"})


def _type_set(schema: Mapping[str, Any]) -> frozenset[str]:
    given: Any = schema.get("type")
    if given is None:
        return _ANY | {"integer"}
    names = frozenset([given] if isinstance(given, str) else cast("list[str]", given))
    return names | {"integer"} if "number" in names else names  # every integer is a number


def _said(types: frozenset[str]) -> str:
    return "anything" if types >= _ANY else " or ".join(sorted(types))


def _enums(old: Mapping[str, Any], new: Mapping[str, Any], side: Side, place: str) -> Iterator[ContractChange]:
    before, after = old.get("enum"), new.get("enum")
    if before == after:
        return
    if not isinstance(before, list) or not isinstance(after, list):
        narrower = before is None
        detail = "has a closed list of values" if narrower else "has no closed list of values any more"
        yield ContractChange(_weight(side, narrower=narrower, wider=not narrower), place, detail)
        return
    gone = [value for value in cast("list[Any]", before) if value not in after]
    come = [value for value in cast("list[Any]", after) if value not in before]
    if gone:
        yield ContractChange(_weight(side, narrower=True), place, f"has no value {', '.join(map(repr, gone))} any more")
    if come:
        yield ContractChange(_weight(side, wider=True), place, f"has the new value {', '.join(map(repr, come))}")
    if not gone and not come:
        yield ContractChange("patch", place, "lists its values in another order")


def _properties(
    old: Mapping[str, Any], new: Mapping[str, Any], side: Side, place: str, depth: int
) -> Iterator[ContractChange]:
    before = cast("Mapping[str, Any]", old.get("properties") or {})
    after = cast("Mapping[str, Any]", new.get("properties") or {})
    needed_before = frozenset(cast("list[str]", old.get("required") or ()))
    needed_after = frozenset(cast("list[str]", new.get("required") or ()))
    for name in (*before, *(name for name in after if name not in before)):
        at = f"{place}.{name}"
        if name not in after:
            # Nobody reads an input, but who gives a field that is not there any more is refused.
            yield ContractChange("major", at, "was removed")
        elif name not in before:
            required = name in needed_after
            yield ContractChange(
                "major" if side == "input" and required else "minor", at, f"is new{', and required' * required}"
            )
        else:
            if (name in needed_before) != (name in needed_after):
                now = name in needed_after
                detail = "is required now" if now else "may be left out now"
                yield ContractChange(_weight(side, narrower=now, wider=not now), at, detail)
            yield from _schemas(before[name], after[name], side, at, depth + 1)
    for name in sorted((needed_before ^ needed_after) - before.keys() - after.keys()):
        yield ContractChange("major", f"{place}.{name}", "changed whether it is required")


def _keyword(name: str, before: Any, after: Any, side: Side, place: str) -> ContractChange:
    """A keyword that says less than the structure: an annotation, a bound, or something not understood."""
    if name in _SAID_ONLY:
        return ContractChange("patch", place, f"has another '{name}'")
    detail = f"'{name}' was {before!r}, is {after!r}"
    if name in _LOWER_BOUNDS or name in _UPPER_BOUNDS:
        return ContractChange(_bound(name, before, after, side), place, detail)
    if name in ("pattern", "format", "const"):
        return ContractChange(_weight(side, narrower=before is None, wider=after is None), place, detail)
    return ContractChange("major", place, f"'{name}' changed")


def _bound(name: str, before: Any, after: Any, side: Side) -> Bump:
    if before is None or after is None:
        return _weight(side, narrower=before is None, wider=after is None)
    raised = after > before
    narrower = raised if name in _LOWER_BOUNDS else not raised
    return _weight(side, narrower=narrower, wider=not narrower)


def _weight(side: Side, *, narrower: bool = False, wider: bool = False) -> Bump:
    """What it means that fewer, or more, values are allowed than before; a break where it is neither."""
    return "minor" if (wider if side == "input" else narrower) else "major"
