"""What the analysis of data flow knows of a value: who could have chosen it, and how much its disclosure harms.

A value's trust is a set of *atoms*, one for each place outside of our control that had a part in it. No atoms: changing
untrusted input cannot change the value. An atom may be confined (the value lies in a known set), and may be endorsed by
a review, which only a step that requires that review can rely on. Joining is union (Denning, CACM 1976).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from signoff.core.labels import BOTTOM, DataClass, Labels, Trust
from signoff.core.values import value

MAX_HOPS = 40
"""Steps of a path that is told."""

MODEL = "model:"
"""What the source of an atom begins with that stands for a model's own freedom: it has no raw source to show."""


@value
class Hop:
    """One place on the path of a value.

    Attributes:
        at: what it is, such as `facts.cents`.
        how: what made it, such as `ai extract@^2`; empty where it is a source.
        line: of the step, from 1; 0 where there is none.
        file: of the workflow; empty for the one that is told of.
    """

    at: str
    how: str = ""
    line: int = 0
    file: str = ""


@value
class Atom:
    """One place outside of our control that had a part in a value.

    Attributes:
        source: where it came in, such as `input.ticket.text`.
        trust: UNTRUSTED; CONFINED, it can only choose within `domain`; TRUSTED, a check leaves it no choice at all.
        domain: what a confined one lies in, for people.
        owned: it chose one of the records of a trusted owner, and nothing else.
        ranged: the domain is a range, which confines numbers only.
        raw: the value is the source itself or a copy, so that showing it shows the source.
        record: the step whose record it chose, while nothing ties that record to an owner.
        review: a person decided on exactly this value, if the step that uses it requires this review.
        unreviewed: the value came through this review in the case that nobody had to look.
        path: how it got here; not part of what it is.
    """

    source: str
    trust: Trust = Trust.UNTRUSTED
    domain: str = ""
    owned: bool = False
    ranged: bool = False
    raw: bool = False
    record: str = ""
    review: str = ""
    unreviewed: str = ""
    path: tuple[Hop, ...] = field(default=(), compare=False)

    def through(self, hop: Hop) -> Atom:
        """The atom one place further."""
        if len(self.path) >= MAX_HOPS or (self.path and self.path[-1] == hop):
            return self
        return Atom(
            self.source,
            self.trust,
            self.domain,
            self.owned,
            self.ranged,
            self.raw,
            self.record,
            self.review,
            self.unreviewed,
            (*self.path, hop),
        )


@value
class Flow:
    """What had a part in one value, or in a decision.

    Attributes:
        atoms: see above.
        data_class: the highest of what was read, control included.
        residency: the regions that it is bound to.
        varies: the loops whose iterations it differs between.
        class_path: where the highest class came from; not part of what it is.
    """

    atoms: frozenset[Atom] = frozenset()
    data_class: DataClass = DataClass.PUBLIC
    residency: frozenset[str] = frozenset()
    varies: frozenset[str] = frozenset()
    class_path: tuple[Hop, ...] = field(default=(), compare=False)

    def join(self, other: Flow) -> Flow:
        """The least flow that is at least both."""
        # Most are joined with nothing, or with what is in them already: comparing is cheaper than making.
        if other is self or (other.atoms <= self.atoms and self._secret_as(other)):
            return self
        if self.atoms <= other.atoms and other._secret_as(self):
            return other
        higher = other if other.data_class > self.data_class else self
        return Flow(
            self.atoms | other.atoms,
            higher.data_class,
            self.residency | other.residency,
            self.varies | other.varies,
            higher.class_path,
        )

    def _secret_as(self, other: Flow) -> bool:
        return self.data_class >= other.data_class and self.residency >= other.residency and self.varies >= other.varies

    @property
    def trust(self) -> Trust:
        """The lowest trust of its atoms, reviews apart."""
        return max((atom.trust for atom in self.atoms), default=Trust.TRUSTED)

    def secrecy(self) -> Flow:
        """Its class and residency alone."""
        if not self.atoms and not self.varies:
            return self
        return Flow(data_class=self.data_class, residency=self.residency, class_path=self.class_path)

    def computed(self) -> Flow:
        """Of what was computed from it: the result lies no more where a check has put it, and nobody has seen it."""
        if all(_is_computed(atom) for atom in self.atoms):
            return self
        atoms = frozenset(_computed(atom) for atom in self.atoms)
        return Flow(atoms, self.data_class, self.residency, self.varies, self.class_path)

    def through(self, hop: Hop) -> Flow:
        """The flow one place further."""
        path = self.class_path
        if self.data_class > DataClass.INTERNAL and len(path) < MAX_HOPS and (not path or path[-1] != hop):
            path = (*path, hop)
        if not self.atoms and path is self.class_path:
            return self
        atoms = frozenset(atom.through(hop) for atom in self.atoms)
        return Flow(atoms, self.data_class, self.residency, self.varies, path)

    def labels(self) -> Labels:
        """The label as a run carries it, which knows of no checks: whatever an atom had a part in is untrusted."""
        sources = frozenset(atom.source for atom in self.atoms)
        return Labels(self.data_class, Trust.UNTRUSTED if self.atoms else Trust.TRUSTED, self.residency, sources)


def _is_computed(atom: Atom) -> bool:
    """Whether `_computed` would leave an atom as it is, as it does with most."""
    if atom.raw or atom.review:
        return False
    return (
        atom.trust is Trust.TRUSTED
        or atom.owned
        or (atom.trust is Trust.UNTRUSTED and not atom.domain and not atom.ranged)
    )


def _computed(atom: Atom) -> Atom:
    if _is_computed(atom):
        return atom
    free = atom.trust is not Trust.TRUSTED and not atom.owned
    return Atom(
        atom.source,
        Trust.UNTRUSTED if free else atom.trust,
        "" if free else atom.domain,
        atom.owned,
        atom.ranged and not free,
        raw=False,
        record=atom.record,
        review="",
        unreviewed=atom.unreviewed,
        path=atom.path,
    )


NOTHING = Flow()


def join_flows(flows: Iterable[Flow]) -> Flow:
    """The join of any number of flows."""
    result = NOTHING
    for flow in flows:
        result = result.join(flow)
    return result


def flow_of_labels(labels: Labels, source: str, line: int = 0) -> Flow:
    """The flow of a source: what a schema says of it."""
    hop = Hop(source, line=line)
    atoms = frozenset[Atom]()
    if labels.trust is Trust.UNTRUSTED:
        atoms = frozenset((Atom(source, raw=True, path=(hop,)),))
    elif labels.trust is Trust.CONFINED:
        atoms = frozenset((Atom(source, Trust.CONFINED, "what its schema says", raw=True, path=(hop,)),))
    return Flow(atoms, labels.data_class, labels.residency, class_path=(hop,))


@value
class Value:
    """What is known of a value, field by field.

    Attributes:
        flow: of the value as such: that it is there, its shape, and every field that is not listed.
        fields: of an object.
        items: of a list; none where its items are as the list.
    """

    flow: Flow = NOTHING
    fields: Mapping[str, Value] = field(default_factory=dict[str, "Value"])
    items: Value | None = None

    def select(self, path: Iterable[str]) -> Value:
        """What stands at a path; `*` is any item of a list."""
        found = self
        for name in path:
            if name == "*":
                found = found.item()
            elif found.fields or found.items is not None:
                found = found.fields.get(name) or Value(found.flow)
            # Of what is known as a whole only, a field is known as that.
        return found

    def item(self) -> Value:
        """Any item of a list."""
        if self.items is not None:
            return self.items
        return Value(self.flow) if self.fields else self

    def whole(self) -> Flow:
        """The join of all that is in it."""
        flow = NOTHING.join(self.flow)
        for inner in self.fields.values():
            flow = flow.join(inner.whole())
        return flow if self.items is None else flow.join(self.items.whole())

    def joined(self, flow: Flow) -> Value:
        """The value where all of it depends on something else as well."""
        if flow == NOTHING:
            return self
        return Value(
            self.flow.join(flow),
            {name: value.joined(flow) for name, value in self.fields.items()},
            None if self.items is None else self.items.joined(flow),
        )

    def join(self, other: Value) -> Value:
        """One or the other."""
        names = self.fields.keys() | other.fields.keys()
        fields = {name: self.select((name,)).join(other.select((name,))) for name in sorted(names)}
        items = None
        if self.items is not None or other.items is not None:
            items = self.item().join(other.item())
        return Value(self.flow.join(other.flow), fields, items)

    def through(self, hop: Hop) -> Value:
        """The value one place further; fields are told by name."""
        fields = {
            name: value.through(Hop(f"{hop.at}.{name}", hop.how, hop.line, hop.file))
            for name, value in self.fields.items()
        }
        items = None if self.items is None else self.items.through(hop)
        return Value(self.flow.through(hop), fields, items)

    def outside(self, loop: str) -> Value:
        """The value as it is seen behind a loop: it differs no more between its iterations."""
        flow = replace(self.flow, varies=self.flow.varies - {loop}) if loop in self.flow.varies else self.flow
        fields = {name: value.outside(loop) for name, value in self.fields.items()}
        return Value(flow, fields, None if self.items is None else self.items.outside(loop))


KNOWN = Value()
"""A constant."""


def value_of_labels(labelled: Mapping[tuple[str, ...], Labels], default: Labels, name: str) -> Value:
    """A value whose schema labels its fields by path (`*` is the items of a list)."""
    tree: dict[str, dict[str, object]] = {}
    for path in sorted(labelled):
        node: dict[str, object] = tree  # pyright: ignore[reportAssignmentType]  (a tree of dicts)
        for key in path:
            node = node.setdefault(key, {})  # pyright: ignore[reportAssignmentType]  (the same)
    return _labelled(labelled, labelled.get((), default), (), tree, name)


def _labelled(
    labelled: Mapping[tuple[str, ...], Labels],
    above: Labels,
    path: tuple[str, ...],
    tree: Mapping[str, object],
    name: str,
) -> Value:
    own = labelled.get(path, above)
    fields = {
        key: _labelled(labelled, own, (*path, key), inner, name)  # pyright: ignore[reportArgumentType]  (the same)
        for key, inner in tree.items()
    }
    items = fields.pop("*", None)
    return Value(flow_of_labels(own, ".".join((name, *path))), fields, items)


UNVOUCHED = replace(BOTTOM, data_class=DataClass.INTERNAL, trust=Trust.UNTRUSTED)
"""The labels of what nobody vouches for."""
