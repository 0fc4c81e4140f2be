"""Gaps and overlaps of a decision table, exactly, each with a row of values that shows it.

The constants of a column's cells cut its domain into parts in which no cell can tell two values apart: the constants
themselves, what lies between two neighbours, what an `enum` lists, null. One value stands for each part, so asking the
cells about it is exact. All combinations of parts are walked column by column, joining those that hit the same rows
(Hewett and Leuchner, Restructuring decision tables, 2003, have the idea); what cannot be known before (CEL cells,
computed columns, schemas that say more than a domain) makes a finding one that is only told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, cast

from signoff.catalog.decisions import DecisionTable
from signoff.core.schemas import validate
from signoff.core.values import value
from signoff.workflows.unary import Anything, Test, family

MAX_VISITED = 200_000
"""Combinations of rows and columns that are looked at; a table that needs more is told to be too large for it."""

MAX_SHOWN_TEXT = 40
"""Characters of a text in an example."""

FindingKind = Literal["gap", "overlap", "never", "too-large"]


@value
class Finding:
    """What is wrong with a table as a whole.

    Attributes:
        kind: gap: no row is hit; overlap: several are; never: a row that is never hit; too-large: nobody knows.
        rows: the ids of the rows that it is about.
        example: a value for each column.
        certain: whether it is so, or might be.
    """

    kind: FindingKind
    rows: tuple[str, ...] = ()
    example: Mapping[str, Any] | None = None
    certain: bool = True

    def shown(self) -> str:
        """The example as people read it."""
        return ", ".join(f"{name} = {_shown(value)}" for name, value in (self.example or {}).items())


def examine(table: DecisionTable) -> list[Finding]:
    """Everything that is wrong with a table: its first gap, overlaps by pairs of rows, rows that are never hit."""
    return _Walk(table).findings()


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f"'{value[:MAX_SHOWN_TEXT]}'"
    return {None: "null", True: "true", False: "false"}.get(
        value, f"{value:g}" if isinstance(value, float) else str(value)
    )


@value
class _Domain:
    """A column's parts, each by a value that stands for it, and whether they are all and only what can come."""

    values: tuple[Any, ...]
    exact: bool


class _Walk:
    def __init__(self, table: DecisionTable) -> None:
        self._table = table
        self._parts: list[list[tuple[int, Any]]] = []
        self._exact = True
        self._all = (1 << len(table.rows)) - 1
        self._plain = sum(1 << at for at, row in enumerate(table.rows) if not row.conditions)
        for column in table.columns:
            tests = [row.tests.get(column.name, _ANYTHING) for row in table.rows]
            domain = _domain(table.input_schema, column.path, column.expression is None, tests)
            masks: dict[int, Any] = {}
            for tried in domain.values:
                mask = sum(1 << at for at, test in enumerate(tests) if test.matches(tried))
                masks.setdefault(mask, tried)
            self._parts.append(list(masks.items()))
            if any(not isinstance(test, Anything) for test in tests):
                self._exact = self._exact and domain.exact
        self._visited: set[tuple[int, int]] = set()
        self._leaves: dict[int, dict[str, Any]] = {}
        self._gap: dict[str, Any] | None = None

    def findings(self) -> list[Finding]:
        """What the walk through all combinations shows."""
        try:
            self._walk(0, self._all, ())
        except _TooLargeError:
            return [Finding("too-large", certain=False)]
        return [*self._gaps(), *self._overlaps(), *self._never()]

    def _walk(self, at: int, mask: int, chosen: tuple[Any, ...]) -> None:
        if (at, mask) in self._visited:
            return
        self._visited.add((at, mask))
        if len(self._visited) > MAX_VISITED:
            raise _TooLargeError
        if not mask or at == len(self._parts):
            # Below a gap nothing more can be hit: the other columns may be anything.
            rest = tuple(parts[0][1] for parts in self._parts[at:])
            names = [column.name for column in self._table.columns]
            self._leaves.setdefault(mask, dict(zip(names, (*chosen, *rest), strict=True)))
            return
        for part, tried in self._parts[at]:
            self._walk(at + 1, mask & part, (*chosen, tried))

    def _gaps(self) -> Iterator[Finding]:
        if self._table.hit == "collect" or self._table.otherwise is not None:
            return
        for mask, example in self._leaves.items():
            if not mask:
                yield Finding("gap", (), example, self._exact)
                return
        for mask, example in self._leaves.items():
            if not mask & self._plain:
                yield Finding("gap", self._ids(mask), example, certain=False)
                return

    def _overlaps(self) -> Iterator[Finding]:
        if self._table.hit != "unique":
            return
        told: set[tuple[str, ...]] = set()
        for mask, example in self._leaves.items():
            ids = self._ids(mask & self._plain)[:2]
            if len(ids) == 2 and ids not in told:  # noqa: PLR2004  (a pair)
                told.add(ids)
                yield Finding("overlap", ids, example, self._exact)

    def _never(self) -> Iterator[Finding]:
        hit = 0
        for mask in self._leaves:
            if self._table.hit != "first":
                hit |= mask
                continue
            first = mask & self._plain
            # In front of the first row that is certain to be hit, those with conditions may be.
            hit |= mask if not first else (first & -first) | (mask & ((first & -first) - 1))
        for at, row in enumerate(self._table.rows):
            if not hit >> at & 1:
                yield Finding("never", (row.id,))

    def _ids(self, mask: int) -> tuple[str, ...]:
        return tuple(row.id for at, row in enumerate(self._table.rows) if mask >> at & 1)


class _TooLargeError(Exception):
    """More combinations than are looked at."""


_ANYTHING = Anything()
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_WORDS_ABOUT = ("title", "description", "x-signoff", "examples", "default", "$comment", "deprecated")
_KNOWN_KEYS = frozenset(("type", "enum", "const", *_BOUNDS, *_WORDS_ABOUT))


def _domain(schema: Mapping[str, Any], path: Sequence[str], is_field: bool, tests: Sequence[Test]) -> _Domain:
    constants: list[Any] = [constant for test in tests for constant in test.constants()]
    found, optional = _part(schema, path)
    part: Mapping[str, Any] = found if is_field else dict[str, Any]()
    exact = bool(part) and set(part) <= _KNOWN_KEYS
    listed = [part["const"]] if "const" in part else part.get("enum")
    if isinstance(listed, list):
        values = [value for value in cast("list[Any]", listed) if family(value) != "other"]
        exact = exact and len(values) == len(cast("list[Any]", listed))
    else:
        named = part.get("type")
        kinds = {named} if isinstance(named, str) else set(cast("list[str]", named or []))
        bounds = [value for name in _BOUNDS if family(value := part.get(name)) == "number"]
        values = [*_numbers(kinds, [*constants, *bounds]), *_texts(kinds, constants), *_others(kinds)]
    if optional:
        values.append(None)
    checked = [value for value in values if value is None or not part or not validate(part, value)] if exact else values
    distinct: dict[tuple[str, Any], Any] = {(family(value), value): value for value in checked}
    return _Domain(tuple(distinct.values()) or (None,), exact)


def _part(schema: Mapping[str, Any], path: Sequence[str]) -> tuple[Mapping[str, Any], bool]:
    """The schema of a field, where that is plain to see, and whether the field may be missing."""
    part: Any = schema
    optional = False
    for name in path:
        entries = _mapping(part)
        optional = optional or name not in cast("list[Any]", entries.get("required") or [])
        part = _mapping(entries.get("properties")).get(name)
    return _mapping(part), optional


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _numbers(kinds: set[str], constants: list[Any]) -> list[Any]:
    if kinds and not kinds & {"integer", "number"}:
        return []
    found = sorted({value for value in constants if family(value) == "number"})
    whole = "integer" in kinds and "number" not in kinds
    if whole:
        floors = sorted({int(value // 1) for value in found})
        # The neighbours of each constant stand for what lies between.
        return sorted({near for value in floors for near in (value - 1, value, value + 1, value + 2)} or {0})
    between = [(low + high) / 2 for low, high in pairwise(found)]
    outside = [found[0] - 1, found[-1] + 1] if found else [0]
    return sorted({*found, *between, *outside})


def _texts(kinds: set[str], constants: list[Any]) -> list[str]:
    if kinds and "string" not in kinds:
        return []
    found = sorted({value for value in constants if isinstance(value, str)})
    # Texts have a next one: with a NUL behind it. What stands directly behind a constant stands for all up to the next.
    behind = [value + end for value in found for end in (" ", "\0") if not _between(value, value + end, found)]
    return ["other", "", *found, *behind]


def _between(low: str, high: str, found: Sequence[str]) -> bool:
    return any(low < value <= high for value in found)


def _others(kinds: set[str]) -> list[Any]:
    found: list[Any] = [True, False] if not kinds or "boolean" in kinds else []
    return [*found, None] if not kinds or "null" in kinds else found
