"""Reviews: what a person saw, and which values they therefore endorse.

A review endorses the values that it proposes verbatim, where it shows the raw source of each beside it. In the case
that nobody had to look, the values are what they were, with what `needed` being false says of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

from signoff.core.values import value
from signoff.workflows.flow.expressions import Selection, selected, value_of, whole_of
from signoff.workflows.flow.model import KNOWN, MODEL, Atom, Flow, Value
from signoff.workflows.flow.places import Place
from signoff.workflows.model import Expression, Step
from signoff.workflows.templates import ListTemplate, MappingTemplate, ShowTemplate


@value
class Presented:
    """What a review shows.

    Attributes:
        review: the step's name.
        sources: the raw sources that it shows.
        needed: what decides whether a person has to look; none where always.
        conditional: it has a condition of its own, and where that is false nobody looks.
        shown: the values that it shows, or proposes for nobody to change, by what they are a copy of.
    """

    review: str
    sources: frozenset[str]
    needed: Flow | None
    conditional: bool
    shown: frozenset[Selection] = frozenset()

    def covers(self, atom: Atom) -> bool:
        """Whether it shows where an atom comes from; a model's own freedom is seen in the value itself."""
        if atom.source.startswith(MODEL):
            return True
        parts = atom.source.split(".")
        return any(".".join(parts[:length]) in self.sources for length in range(1, len(parts) + 1))


def presented(step: Step, place: Place) -> Presented:
    """What a review shows at its place."""
    shown = step.arguments.get("show")
    sources: set[str] = set()
    for expression in shown.reading if isinstance(shown, ShowTemplate) else ():
        sources |= _shown(expression, place)
    needed = None if step.needed is None else whole_of(step.needed, place)
    proposal = step.arguments.get("propose")
    editable = step.settings.get("editable") or ()
    displayed = (*(shown.reading if isinstance(shown, ShowTemplate) else ()), *_proposed(proposal, editable))
    copies = frozenset(place.canonical(one) for part in displayed if (one := selected(part)) is not None)
    return Presented(step.name, frozenset(sources), needed, step.when is not None, copies)


def _proposed(proposal: Expression | None, editable: Collection[str] = ()) -> Iterator[Expression]:
    """The values that a review proposes and nobody may change, those in objects and lists too.

    Of what a person may change, only what they decided is approved.
    """
    match proposal:
        case MappingTemplate():
            for name, part in proposal.parts.items():
                if name not in editable:
                    yield from _proposed(part)
        case ListTemplate():
            for part in proposal.items:
                yield from _proposed(part)
        case None:
            return
        case _:
            yield proposal


def _shown(expression: Expression, place: Place) -> set[str]:
    selection = selected(expression)
    if selection is None:
        return set()
    found = {atom.source for atom in value_of(expression, place).whole().atoms if atom.raw}
    return {*found, ".".join((selection[0], *selection[1]))}


def decided(step: Step, place: Place, shown: Presented) -> Value:
    """What a review gives: as a person decided, or, where nobody had to look, as it was proposed."""
    proposal = step.arguments.get("propose")
    proposed = value_of(proposal, place)
    value = _endorsed(proposed, shown)
    if step.needed is not None:
        unseen = value_of(proposal, place.knowing(step.needed, truth=False))
        value = value.join(_unreviewed(unseen, step.name))
    by_whom = {"comment": KNOWN, "decided_by": KNOWN}
    return Value(value.flow, {**value.fields, **by_whom}, value.items)


def _endorsed(value: Value, shown: Presented) -> Value:
    def endorse(atom: Atom) -> Atom:
        return replace(atom, review=shown.review) if shown.covers(atom) else replace(atom, review="")

    return _each(value, endorse)


def _unreviewed(value: Value, review: str) -> Value:
    return _each(value, lambda atom: replace(atom, review="", unreviewed=review))


def _each(value: Value, change: Callable[[Atom], Atom]) -> Value:
    atoms = frozenset(change(atom) for atom in value.flow.atoms)
    fields = {name: _each(inner, change) for name, inner in value.fields.items()}
    items = None if value.items is None else _each(value.items, change)
    return Value(replace(value.flow, atoms=atoms), fields, items)
