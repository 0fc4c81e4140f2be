"""Labels: what travels with every value in a run.

They form a join-semilattice (Denning, "A Lattice Model of Secure Information Flow", CACM 1976): the label of what is
computed is the join of the labels of what was read, so a label can only rise as data flows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any

KNOWN_LABELS = 4096
"""How many labels are kept to be found again: a worker meets the same few with every step."""


class DataClass(IntEnum):
    """How much harm disclosure does; higher is worse."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    REGULATED = 3


class Trust(IntEnum):
    """Who could have chosen the value; higher is less trusted.

    CONFINED is untrusted by origin, but checked against constants or trusted values, so it lies in a known set.
    """

    TRUSTED = 0
    CONFINED = 1
    UNTRUSTED = 2


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of one value.

    Attributes:
        data_class: the highest class of what was read.
        trust: the lowest trust of what was read.
        residency: the regions that its sources bind it to; empty means anywhere. More sources bind more.
        sources: where it came from, for explanations (`input.ticket.text`, `step:triage`).
    """

    data_class: DataClass = DataClass.PUBLIC
    trust: Trust = Trust.TRUSTED
    residency: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    _known: Mapping[str, Any] | None = field(default=None, init=False, repr=False, compare=False)

    def __hash__(self) -> int:
        # Sums, as the hash of a member of an enumeration is that of its name, by a function of its own.
        return hash((self.data_class + 0, self.trust + 0, self.residency, self.sources))

    def join(self, other: Labels) -> Labels:
        """The least label that is at least both: associative, commutative, idempotent, with `Labels()` as unit."""
        # Most joins are with the same label again, or with none: no new object then, which makes the next join short.
        if other is self or other is BOTTOM:
            return self
        if self is BOTTOM:
            return other
        if self.covers(other):
            return self
        if other.covers(self):
            return other
        return Labels(
            data_class=max(self.data_class, other.data_class),
            trust=max(self.trust, other.trust),
            residency=self.residency | other.residency,
            sources=self.sources | other.sources,
        )

    def covers(self, other: Labels) -> bool:
        """Whether this label is at least as high as the other in every part: the order of the lattice."""
        return (
            self.data_class >= other.data_class
            and self.trust >= other.trust
            and self.sources >= other.sources
            and self.residency >= other.residency
        )

    def as_dict(self) -> dict[str, Any]:
        """The label for JSON, in a fixed order."""
        known = self._known
        if known is None:
            known = {
                "class": _CLASSES[self.data_class],
                "trust": _TRUSTS[self.trust],
                "residency": sorted(self.residency),
                "sources": sorted(self.sources),
            }
            object.__setattr__(self, "_known", known)  # with the object: it is written with every step that it is of
        return {**known}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Labels:
        """The label that `as_dict` wrote.

        Raises:
            KeyError: for a class or trust that does not exist.
        """
        return _read(
            data.get("class", "public"),
            data.get("trust", "trusted"),
            tuple(data.get("residency", ())),
            tuple(data.get("sources", ())),
        )


@lru_cache(maxsize=KNOWN_LABELS)
def _read(data_class: str, trust: str, residency: tuple[str, ...], sources: tuple[str, ...]) -> Labels:
    """One object for equal labels, so that joining them is a comparison of identities."""
    return Labels(
        data_class=DataClass[data_class.upper()],
        trust=Trust[trust.upper()],
        residency=frozenset(residency),
        sources=frozenset(sources),
    )


BOTTOM = Labels()

Fields = Mapping[tuple[str, ...], Labels]
"""Labels of single fields of a value, by path; a field without one has that of the nearest around it that has."""

NO_FIELDS: Fields = MappingProxyType({})


def no_fields() -> Fields:
    """None, the same each time: a default."""
    return NO_FIELDS


def written_fields(whole: Labels, fields: Fields) -> dict[str, str]:
    """The labels of fields for JSON, in short: class and trust. Nothing where they say no more than the whole."""
    if not any(one.data_class < whole.data_class or one.trust < whole.trust for one in fields.values()):
        return {}
    return {_written_path(path): f"{_CLASSES[one.data_class]} {_TRUSTS[one.trust]}" for path, one in fields.items()}


# By place: asking a member for its name takes a function call of the enumeration's own.
_CLASSES = tuple(member.name.lower() for member in DataClass)
_TRUSTS = tuple(member.name.lower() for member in Trust)


@lru_cache(maxsize=KNOWN_LABELS)
def _written_path(path: tuple[str, ...]) -> str:
    return "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)


def read_fields(whole: Labels, written: Mapping[str, str]) -> Fields:
    """The labels that `written_fields` wrote; residency and sources are those of the whole.

    Raises:
        KeyError: for a class or trust that does not exist.
    """
    found: dict[tuple[str, ...], Labels] = {}
    for name, text in written.items():
        data_class, _, trust = text.partition(" ")
        path = tuple(part.replace("~1", "/").replace("~0", "~") for part in name.split("/"))
        found[path] = Labels(DataClass[data_class.upper()], Trust[trust.upper()], whole.residency, whole.sources)
    return found


def labels_in(whole: Labels, fields: Fields, path: tuple[str, ...]) -> Labels:
    """The labels of what stands at a path: of the nearest labelled field there or around it, and of all in it."""
    above = (path[:length] for length in range(len(path), 0, -1))
    own = next((fields[one] for one in above if one in fields), whole)
    size = len(path)
    return join_all((own, *(one for other, one in fields.items() if len(other) > size and other[:size] == path)))


def join_all(labels: Iterable[Labels]) -> Labels:
    """The join of any number of labels; `Labels()` for none."""
    result = BOTTOM
    for label in labels:
        result = result.join(label)
    return result
