"""Conditions of policies over what is known before anything runs, in three values: true, false, and open.

What is not known, or what this does not know how to compute, is open: so it never says true or false of a condition
that may come out otherwise. A condition that errs denies (`engine.py`), which only makes denying more certain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Final, cast

from signoff.core.values import value

_RESOURCE = {"Var": "resource"}


class _Open:
    """What is not known."""

    def __repr__(self) -> str:
        return "open"


OPEN: Final = _Open()

Entity = tuple[str, str]
"""Type and id."""


@value
class Between:
    """A whole number of which two bounds are known, both included."""

    low: int
    high: int


@value
class OneOf:
    """A text of which all that it may be are known."""

    texts: frozenset[str]


@value
class Facts:
    """What is known of a request.

    Attributes:
        action: its action.
        resource: type and id.
        attributes: of the resource.
        context: by name, what is known of it: data, a `Between`, a `OneOf`, or a mapping of those that are known.
    """

    action: str
    resource: Entity
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])


@value
class _Some:
    """An object of which some members are known."""

    members: Mapping[str, Any]


def satisfied(conditions: Sequence[Mapping[str, Any]], facts: Facts) -> bool | None:
    """Whether all conditions of a policy hold, in Cedar's JSON form; none where that is open."""
    found = [_holds(condition, facts) for condition in conditions]
    if False in found:
        return False
    return True if all(one is True for one in found) else None


def _holds(condition: Mapping[str, Any], facts: Facts) -> Any:
    result = evaluate(condition["body"], facts)
    if not isinstance(result, bool):
        return OPEN
    return result if condition["kind"] == "when" else not result


def evaluate(node: Any, facts: Facts) -> Any:
    """The value of an expression in Cedar's JSON form, as far as it is known."""
    [(operator, given)] = cast("Mapping[str, Any]", node).items()
    if operator in _BINARY:
        return _BINARY[operator](evaluate(given["left"], facts), evaluate(given["right"], facts))
    form = _FORMS.get(operator)
    return OPEN if form is None else form(given, facts)


def _literal(given: Any, facts: Facts) -> Any:
    del facts
    if isinstance(given, Mapping):
        entity = cast("Mapping[str, Any]", given).get("__entity")
        return OPEN if entity is None else (str(entity["type"]), str(entity["id"]))
    return given


def _variable(name: str, facts: Facts) -> Any:
    match name:
        case "context":
            return _Some(facts.context)
        case "resource":
            return facts.resource
        case "action":
            return "Action", facts.action
        case _:
            return OPEN  # whoever starts the run


def _selected(given: Mapping[str, Any], facts: Facts) -> Any:
    left = given["left"]
    attributes = {**facts.attributes, "id": facts.resource[1]}
    whole = _Some(attributes) if left == _RESOURCE else evaluate(left, facts)
    found = whole.members.get(given["attr"], OPEN) if isinstance(whole, _Some) else OPEN
    return _Some(cast("Mapping[str, Any]", found)) if isinstance(found, Mapping) else found


def _has(given: Mapping[str, Any], facts: Facts) -> Any:
    return OPEN if _selected(given, facts) is OPEN else True  # a member that is not known may be there


def _and(given: Mapping[str, Any], facts: Facts) -> Any:
    return _joined(given, facts, neutral=True)


def _or(given: Mapping[str, Any], facts: Facts) -> Any:
    return _joined(given, facts, neutral=False)


def _not(given: Mapping[str, Any], facts: Facts) -> Any:
    inner = evaluate(given["arg"], facts)
    return not inner if isinstance(inner, bool) else OPEN


def _is(given: Mapping[str, Any], facts: Facts) -> Any:
    left = evaluate(given["left"], facts)
    return left[0] == given["entity_type"] if _is_entity(left) and "in" not in given else OPEN


def _is_empty(given: Mapping[str, Any], facts: Facts) -> Any:
    inner = evaluate(given["arg"], facts)
    return not inner if isinstance(inner, list) else OPEN


def _set(given: Sequence[Any], facts: Facts) -> Any:
    items = [evaluate(item, facts) for item in given]
    return items if all(map(_plain, items)) else OPEN


def _joined(given: Mapping[str, Any], facts: Facts, *, neutral: bool) -> Any:
    sides = [evaluate(given[side], facts) for side in ("left", "right")]
    if any(side is (not neutral) for side in sides):
        return not neutral
    return neutral if all(side is neutral for side in sides) else OPEN


def _chosen(given: Mapping[str, Any], facts: Facts) -> Any:
    condition = evaluate(given["if"], facts)
    then, otherwise = (evaluate(given[branch], facts) for branch in ("then", "else"))
    if isinstance(condition, bool):
        return then if condition else otherwise
    return then if _plain(then) and type(then) is type(otherwise) and then == otherwise else OPEN


def _like(given: Mapping[str, Any], facts: Facts) -> Any:
    text = evaluate(given["left"], facts)
    if not isinstance(text, str):
        return OPEN
    parts = [".*" if part == "Wildcard" else re.escape(str(part["Literal"])) for part in given["pattern"]]
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None


def _is_entity(found: Any) -> bool:
    return isinstance(found, tuple)


def _plain(found: Any) -> bool:
    """Whether a value is known altogether."""
    return isinstance(found, (bool, int, str, tuple, list))


def _equal(left: Any, right: Any) -> Any:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, OneOf) and isinstance(other, str):
            return OPEN if other in one.texts and len(one.texts) > 1 else other in one.texts
        if isinstance(one, Between) and isinstance(other, int) and not isinstance(other, bool):
            return OPEN if one.low <= other <= one.high and one.low < one.high else one.low == other
    if isinstance(left, list) or isinstance(right, list):
        return OPEN  # sets, whose order says nothing
    return type(left) is type(right) and left == right if _plain(left) and _plain(right) else OPEN


def _unequal(left: Any, right: Any) -> Any:
    same = _equal(left, right)
    return not same if isinstance(same, bool) else OPEN


def _bounds(found: Any) -> tuple[int, int] | None:
    if isinstance(found, Between):
        return found.low, found.high
    return (found, found) if isinstance(found, int) and not isinstance(found, bool) else None


def _less(left: Any, right: Any) -> Any:
    one, other = _bounds(left), _bounds(right)
    if one is None or other is None:
        return OPEN
    return True if one[1] < other[0] else False if one[0] >= other[1] else OPEN


def _at_most(left: Any, right: Any) -> Any:
    more = _less(right, left)
    return not more if isinstance(more, bool) else OPEN


def _contains(whole: Any, item: Any) -> Any:
    if not isinstance(whole, list):
        return OPEN
    found = [_equal(one, item) for one in cast("list[Any]", whole)]
    if True in found or (isinstance(item, OneOf) and item.texts.issubset(map(str, cast("list[Any]", whole)))):
        return True
    return False if all(one is False for one in found) else OPEN


def _contains_any(whole: Any, items: Any) -> Any:
    if [] in (whole, items):
        return False
    if not isinstance(items, list):
        return OPEN
    found = [_contains(whole, item) for item in cast("list[Any]", items)]
    return True if True in found else False if all(one is False for one in found) else OPEN


def _contains_all(whole: Any, items: Any) -> Any:
    if not isinstance(items, list):
        return OPEN
    found = [_contains(whole, item) for item in cast("list[Any]", items)]
    return False if False in found else True if all(one is True for one in found) else OPEN


def _in(entity: Any, above: Any) -> Any:
    """Of what has nothing above it: resources and actions. Roles are of whoever starts the run."""
    if not _is_entity(entity):
        return OPEN
    return _contains(above if isinstance(above, list) else [above], entity) if _plain(above) else OPEN


_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": _equal,
    "!=": _unequal,
    "<": _less,
    "<=": _at_most,
    ">": lambda left, right: _less(right, left),
    ">=": lambda left, right: _at_most(right, left),
    "contains": _contains,
    "containsAny": _contains_any,
    "containsAll": _contains_all,
    "in": _in,
}

_FORMS: Mapping[str, Callable[[Any, Facts], Any]] = {
    "Value": _literal,
    "Var": _variable,
    ".": _selected,
    "has": _has,
    "&&": _and,
    "||": _or,
    "!": _not,
    "if-then-else": _chosen,
    "is": _is,
    "like": _like,
    "isEmpty": _is_empty,
    "Set": _set,
}
