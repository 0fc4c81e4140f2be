"""What a condition that is known to hold says of immutable values: the ground of confinement.

Only comparisons with constants and with trusted values (or with values of a record that belongs to a trusted owner) say
anything; so an attacker can never move the bounds. Free text is never confined by an order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol

from signoff.core.labels import Trust
from signoff.core.values import value
from signoff.workflows.flow.expressions import Selection, selection_of
from signoff.workflows.flow.model import Flow

FactKind = Literal["lower", "upper", "listed", "same"]

_FLIPPED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
_NEGATED = {"_<_": "_>=_", "_<=_": "_>_", "_>_": "_<=_", "_>=_": "_<_"}
_SIGNS = {"_<_": "<", "_<=_": "≤", "_>_": ">", "_>=_": "≥"}


@value
class Fact:
    """Something that holds of a value.

    Attributes:
        of: which: a root and fields.
        kind: bounded from below or above, one of a closed list, or the same as a trusted value.
        text: for people, such as `≤ order.refundable_cents`.
        values: of a closed list.
        number: of a bound that is a constant number.
        strict: of a bound: the value is not the bound itself.
        owned: the other side is of a record that an attacker may have picked among those of a trusted owner.
    """

    of: Selection
    kind: FactKind
    text: str
    values: frozenset[str | int | float | bool] = frozenset()
    number: float | None = None
    strict: bool = False
    owned: bool = False


class Knowing(Protocol):
    """Where a condition stands."""

    def flow_of(self, tree: Any) -> Flow:
        """Everything that had a part in the value of a tree."""
        ...

    def canonical(self, selection: Selection) -> Selection:
        """The value that a selection is a copy of."""
        ...

    def meaning(self, selection: Selection, *, truth: bool) -> Sequence[Fact]:
        """What it says besides that a boolean is true, or false: what it was made from."""
        ...


def learn(tree: Any, place: Knowing, *, truth: bool) -> list[Fact]:  # noqa: PLR0911  (one return per form)
    """Everything that a condition says when it is true, or false."""
    kind = tree.WhichOneof("kind")
    if kind != "call_expr":
        return _of_boolean(tree, place, truth=truth)
    name, arguments = tree.call_expr.function, list(tree.call_expr.args)
    if name == "!_":
        return learn(arguments[0], place, truth=not truth)
    if name in ("_&&_", "_||_"):
        first, second = (learn(argument, place, truth=truth) for argument in arguments)
        return [*first, *second] if (name == "_&&_") == truth else _either(first, second)
    if name in _FLIPPED:
        sign = name if truth else _NEGATED[name]
        left, right = arguments
        return [*_bound(left, sign, right, place), *_bound(right, _FLIPPED[sign], left, place)]
    if name in ("_==_", "_!=_") and (name == "_==_") == truth:
        left, right = arguments
        return [*_same(left, right, place), *_same(right, left, place)]
    if name == "@in" and truth:
        return _listed(arguments[0], arguments[1], place)
    return _of_boolean(tree, place, truth=truth)


def _of_boolean(tree: Any, place: Knowing, *, truth: bool) -> list[Fact]:
    selection = selection_of(tree)
    if selection is None:
        return []
    own = Fact(place.canonical(selection), "listed", f"= {str(truth).lower()}", frozenset((truth,)))
    return [own, *place.meaning(selection, truth=truth)]


def _either(first: Iterable[Fact], second: Iterable[Fact]) -> list[Fact]:
    """What holds if one of two sets of facts does."""
    others = {(fact.of, fact.kind): fact for fact in second}
    found: list[Fact] = []
    for fact in first:
        other = others.get((fact.of, fact.kind))
        if other is None:
            continue
        if fact.kind == "listed":
            values = fact.values | other.values
            found.append(replace(fact, values=values, text=listed_text(values)))
        elif fact.text == other.text:
            found.append(fact)
        elif fact.kind != "same":
            owned = fact.owned or other.owned
            found.append(Fact(fact.of, fact.kind, f"{fact.text} or {other.text}", owned=owned))
    return found


def _standing(tree: Any, place: Knowing) -> Flow | None:
    """The flow of the other side of a check, where an attacker cannot move it; else none."""
    flow = place.flow_of(tree)
    return None if any(atom.trust is not Trust.TRUSTED and not atom.owned for atom in flow.atoms) else flow


def _bound(tree: Any, sign: str, other: Any, place: Knowing) -> list[Fact]:
    selection, flow = selection_of(tree), _standing(other, place)
    constant = constant_of(other)
    if selection is None or flow is None or isinstance(constant, (str, bool)):
        return []
    kind: FactKind = "lower" if sign in ("_>_", "_>=_") else "upper"
    number = float(constant) if isinstance(constant, (int, float)) else None
    strict = sign in ("_<_", "_>_")
    owned = any(atom.owned for atom in flow.atoms)
    return [
        Fact(place.canonical(selection), kind, f"{_SIGNS[sign]} {written(other)}", frozenset(), number, strict, owned)
    ]


def _same(tree: Any, other: Any, place: Knowing) -> list[Fact]:
    selection = selection_of(tree)
    if selection is None:
        return []
    constant = constant_of(other)
    if constant is not None:
        return [Fact(place.canonical(selection), "listed", f"= {written(other)}", frozenset((constant,)))]
    flow = _standing(other, place)
    if flow is None or other.WhichOneof("kind") == "const_expr":
        return []
    owned = any(atom.owned for atom in flow.atoms)
    return [Fact(place.canonical(selection), "same", f"= {written(other)}", owned=owned)]


def _listed(tree: Any, other: Any, place: Knowing) -> list[Fact]:
    selection = selection_of(tree)
    if selection is None or other.WhichOneof("kind") != "list_expr":
        return []
    values = [constant_of(item) for item in other.list_expr.elements]
    known = frozenset(value for value in values if value is not None)
    if len(known) < len(set(values)) or not known:
        return []
    return [Fact(place.canonical(selection), "listed", listed_text(known), known)]


def listed_text(values: Iterable[str | int | float | bool]) -> str:
    """A closed list for people."""
    return f"one of {', '.join(sorted(map(str, values)))}"


def constant_of(tree: Any) -> str | int | float | bool | None:
    """The value of a tree that is a constant; none of others, and of null."""
    if tree.WhichOneof("kind") == "call_expr" and tree.call_expr.function == "-_":
        inner = constant_of(tree.call_expr.args[0])
        return None if inner is None or isinstance(inner, (str, bool)) else -inner
    if tree.WhichOneof("kind") != "const_expr":
        return None
    kind = tree.const_expr.WhichOneof("kind")
    known = ("bool_value", "int64_value", "uint64_value", "double_value", "string_value")
    return getattr(tree.const_expr, kind) if kind in known else None


def written(tree: Any) -> str:
    """A tree for people: constants and selections as they are written, anything else shortened."""
    selection, constant = selection_of(tree), constant_of(tree)
    if selection is not None:
        return ".".join((selection[0], *selection[1]))
    if constant is not None:
        return (
            f"'{constant}'"
            if isinstance(constant, str)
            else str(constant).lower()
            if constant in (True, False) and isinstance(constant, bool)
            else str(constant)
        )
    if tree.WhichOneof("kind") == "call_expr" and len(tree.call_expr.args) == 2:  # noqa: PLR2004  (an operator between two)
        left, right = (written(argument) for argument in tree.call_expr.args)
        return f"{left} {tree.call_expr.function.strip('_')} {right}"
    return "a trusted value"


class Facts:
    """What is known at one place, by value."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self._by_value: dict[Selection, list[Fact]] = {}
        for fact in facts:
            self._by_value.setdefault(fact.of, []).append(fact)

    def __iter__(self) -> Any:
        for facts in self._by_value.values():
            yield from facts

    def of(self, selection: Selection) -> Sequence[Fact]:
        """What is known of one value."""
        return self._by_value.get(selection, ())

    def also(self, facts: Iterable[Fact]) -> Facts:
        """These, and more."""
        more = list(facts)
        return Facts([*self, *more]) if more else self

    def contradiction(self) -> tuple[Fact, Fact] | None:
        """Two facts that cannot both hold; none where there are none."""
        for facts in self._by_value.values():
            for at, first in enumerate(facts):
                for second in facts[at + 1 :]:
                    if _clash(first, second):
                        return first, second
        return None

    def tied(self, owners: Mapping[str, str]) -> frozenset[str]:
        """The steps whose record is tied to a trusted owner, of those whose output names one (step to field)."""
        return frozenset(
            step
            for step, field in owners.items()
            if any(fact.kind in ("same", "listed") and len(fact.values) <= 1 for fact in self.of((step, (field,))))
        )


def _clash(first: Fact, second: Fact) -> bool:
    if first.kind == second.kind == "listed":
        return not first.values & second.values
    if {first.kind, second.kind} != {"lower", "upper"}:
        return False
    low, high = (first, second) if first.kind == "lower" else (second, first)
    if low.number is None or high.number is None:
        return False
    return low.number > high.number or (low.number == high.number and (low.strict or high.strict))


def confined(flow: Flow, facts: Sequence[Fact]) -> Flow:
    """A value's flow where facts hold of it."""
    if not facts or not flow.atoms:
        return flow
    best = _best(facts)
    if best is None:
        return flow
    trust, domain, owned, ranged = best
    return replace(
        flow,
        atoms=frozenset(
            replace(atom, trust=trust, domain=domain, owned=owned, ranged=ranged)
            if trust < atom.trust or (atom.trust >= trust and not atom.owned and not atom.domain)
            else atom
            for atom in flow.atoms
        ),
    )


def _best(facts: Sequence[Fact]) -> tuple[Trust, str, bool, bool] | None:
    """The trust that facts leave, the domain, whether it is a trusted owner's, whether it is a range of numbers."""
    for fact in facts:
        if (fact.kind == "same" and not fact.owned) or (fact.kind == "listed" and len(fact.values) == 1):
            return Trust.TRUSTED, fact.text, False, False
    for fact in facts:
        if fact.kind == "listed":
            return Trust.CONFINED, fact.text, False, False
        if fact.kind == "same":
            return Trust.CONFINED, fact.text, True, False
    lower = next((fact for fact in facts if fact.kind == "lower"), None)
    uppers = list(dict.fromkeys(fact.text for fact in facts if fact.kind == "upper"))
    if not uppers:
        return None
    if lower is None:
        # Half of a range: a tool whose own schema has a minimum adds the other half.
        return Trust.UNTRUSTED, " and ".join(uppers), False, True
    return Trust.CONFINED, " and ".join((lower.text, *uppers)), False, True
