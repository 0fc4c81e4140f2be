"""`decisions/*.csv` (RFC 4180): a decision table as a spreadsheet writes it, read into the document that YAML would be.

    unique,  in cents: integer 0..100000,  in country: de|fr|us,  out action: auto|review, about
    small,   < 5000,                       "'de','fr'",           auto,

The head's first cell is the hit policy and names the column of the rules' ids; `in` and `out` cells have a name and a
type; a last column may be `about`. Cells below `in` are unary tests. Cells below `out` are the values themselves: text
needs no quotes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from signoff.catalog.decisions import HIT_POLICIES, OTHERWISE
from signoff.core.errors import DefinitionError, Problem, did_you_mean
from signoff.core.values import value
from signoff.workflows.documents import MAX_DOCUMENT_BYTES, MAX_DOCUMENT_VALUES, Node, Path

_HEAD = re.compile(
    r"(?P<side>in|out)\s+(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*(?P<optional>\?)?\s*:\s*(?P<type>.+)", re.DOTALL
)
_RANGE = re.compile(r"(?P<kind>integer|number)\s+(?P<low>-?\d+(?:\.\d+)?)?\s*\.\.\s*(?P<high>-?\d+(?:\.\d+)?)?")
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")
_HINT = "Write 'in cents: integer', 'in country: de|fr', 'out limit: number 0..100', or 'about'."
_TYPES = {"text": "string", "integer": "integer", "number": "number", "boolean": "boolean"}
MOST_DIGITS = 18


@value
class _Cell:
    text: str
    line: int
    column: int

    def node(self, path: Path, value: Any = ..., raw: str | None = None) -> Node:
        """The cell as a value of a document."""
        found = self.text if value is ... else value
        return Node("scalar", path, self.line, self.column, value=found, raw=self.text if raw is None else raw)


@value
class _Head:
    side: str
    name: str
    schema: Mapping[str, Any]
    optional: bool
    cell: _Cell


def load_sheet(text: str, file: str) -> Node:
    """The document of a sheet; the decision's name is the file's.

    Raises:
        DefinitionError: it is no such sheet; the problem has line and column.
    """
    return _Sheet(text, file).read()


class _Sheet:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file

    def read(self) -> Node:
        if len(self._text.encode("utf-8", "replace")) > MAX_DOCUMENT_BYTES:
            self._fail(_Cell("", 1, 1), f"The sheet is larger than {MAX_DOCUMENT_BYTES} bytes.", "Split it.")
        rows = list(self._rows())
        if not rows:
            self._fail(_Cell("", 1, 1), "The sheet is empty.", _HINT)
        first, *others = rows[0]
        if first.text.strip() not in HIT_POLICIES:
            hint = did_you_mean(first.text.strip(), HIT_POLICIES) or f"Write one of {', '.join(HIT_POLICIES)}."
            self._fail(first, "The first cell is the hit policy.", hint)
        heads = [self._head(cell) for cell in others]
        for at, head in enumerate(heads):
            if head.name in {other.name for other in heads[:at] if other.side == head.side}:
                self._fail(head.cell, f"There are two columns '{head.side} {head.name}'.", "Give one another name.")
        name = self._file.rpartition("/")[2].removesuffix(".csv")
        rules: list[Node] = []
        entries = {
            "decision": _Cell(name, 1, 1).node(("decision",)),
            "hit": first.node(("hit",), first.text.strip()),
            "input": _node(_schema(heads, "in"), ("input",), first),
            "output": _node(_schema(heads, "out"), ("output",), first),
        }
        for row in rows[1:]:
            given = {
                head.name: self._value(head, cell)
                for head, cell in zip(heads, row[1:], strict=True)
                if head.side == "out"
            }
            if row[0].text.strip() == OTHERWISE:
                if OTHERWISE in entries:
                    self._fail(row[0], "There are two rows 'otherwise'.", "Take one out.")
                entries[OTHERWISE] = _mapping((OTHERWISE,), row[0], given)
            else:
                rules.append(_rule(("rules", len(rules)), row, heads, given))
        entries["rules"] = Node("list", ("rules",), first.line, first.column, items=tuple(rules))
        return _mapping((), first, entries)

    def _rows(self) -> Iterator[list[_Cell]]:
        """Rows of cells with their places; empty rows are left out, all others are as wide as the first."""
        reader = csv.reader(io.StringIO(self._text, newline=""), strict=True, skipinitialspace=True)
        lines = self._text.split("\n")
        width, count, line = 0, 0, 1
        try:
            for record in reader:
                places = _columns("\n".join(lines[line - 1 : reader.line_num]))
                cells = [_Cell(text, line, places[at] if at < len(places) else 1) for at, text in enumerate(record)]
                line = reader.line_num + 1
                if not any(cell.text.strip() for cell in cells):
                    continue
                count += len(cells)
                if count > MAX_DOCUMENT_VALUES:
                    self._fail(cells[0], f"The sheet has more than {MAX_DOCUMENT_VALUES} cells.", "Split it.")
                width = width or len(cells)
                if len(cells) != width:
                    self._fail(
                        cells[0],
                        f"This row has {len(cells)} cells, and the head has {width}.",
                        "Quote cells with commas.",
                    )
                yield cells
        except csv.Error as error:
            self._fail(
                _Cell("", line, 1), f"This is not CSV: {error}.", 'Quote a cell with "…", and quotes in it twice.'
            )

    def _head(self, cell: _Cell) -> _Head:
        if cell.text.strip() == "about":
            return _Head("about", "about", {}, optional=True, cell=cell)
        match = _HEAD.fullmatch(cell.text.strip())
        if match is None:
            self._fail(cell, f"'{cell.text[:80]}' is no head of a column.", _HINT)
        schema = self._type(cell, match["type"].strip())
        return _Head(match["side"], match["name"], schema, optional=match["optional"] is not None, cell=cell)

    def _type(self, cell: _Cell, text: str) -> Mapping[str, Any]:
        if text in _TYPES:
            return {"type": _TYPES[text]}
        bounds = _RANGE.fullmatch(text)
        if bounds is not None:
            ends = {"minimum": bounds["low"], "maximum": bounds["high"]}
            return {"type": bounds["kind"], **{key: _number(end) for key, end in ends.items() if end is not None}}
        words = [word.strip() for word in text.split("|")]
        if len(words) > 1 and all(words):
            return {"type": "string", "enum": list(dict.fromkeys(words))}
        hint = did_you_mean(text, tuple(_TYPES)) or _HINT
        raise self._wrong(cell, f"'{text[:80]}' is no type.", hint)

    def _value(self, head: _Head, cell: _Cell) -> Node:
        """What a cell below `out` gives: an expression, or the value itself, of the column's type."""
        path, text, kind = (head.name,), cell.text.strip(), head.schema.get("type")
        if text.startswith("${") or kind == "string":
            return cell.node(path, text, raw=text)
        if kind == "boolean" and text.lower() in ("true", "false"):
            return cell.node(path, text.lower() == "true")
        if kind in ("integer", "number") and _NUMBER.fullmatch(text) and len(text) <= MOST_DIGITS:
            return cell.node(path, _number(text))
        detail = f"'{text[:80]}' is no {kind}, as '{head.name}' is."
        raise self._wrong(cell, detail, "Write a value, or ${an expression}.")

    def _fail(self, cell: _Cell, detail: str, suggestion: str) -> NoReturn:
        raise self._wrong(cell, detail, suggestion)

    def _wrong(self, cell: _Cell, detail: str, suggestion: str) -> DefinitionError:
        problem = Problem(detail, self._file, cell.line, cell.column, None, suggestion, "csv")
        return DefinitionError(f"{self._file} is not a valid decision table", problems=[problem])


def _rule(path: Path, row: Sequence[_Cell], heads: Sequence[_Head], given: Mapping[str, Node]) -> Node:
    when: dict[str, Node] = {}
    entries: dict[str, Node] = {}
    if row[0].text.strip():
        entries["id"] = row[0].node((*path, "id"), row[0].text.strip())
    for head, cell in zip(heads, row[1:], strict=True):
        if head.side == "in" and cell.text.strip() not in ("", "-"):
            when[head.name] = cell.node((*path, "when", head.name))
        elif head.side == "about" and cell.text.strip():
            entries["about"] = cell.node((*path, "about"))
    entries["when"] = _mapping((*path, "when"), row[0], when)
    entries["give"] = _mapping((*path, "give"), row[0], given)
    return _mapping(path, row[0], entries)


def _schema(heads: Sequence[_Head], side: str) -> dict[str, Any]:
    mine = [head for head in heads if head.side == side]
    required = [head.name for head in mine if not head.optional]
    properties = {head.name: dict(head.schema) for head in mine}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _node(value: Any, path: Path, at: _Cell) -> Node:
    if isinstance(value, dict):
        return _mapping(path, at, {key: _node(item, (*path, key), at) for key, item in value.items()})  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  (JSON)
    if isinstance(value, list):
        items = tuple(_node(item, (*path, number), at) for number, item in enumerate(value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  (JSON)
        return Node("list", path, at.line, at.column, items=items)
    return at.node(path, value)


def _mapping(path: Path, at: _Cell, entries: Mapping[str, Node]) -> Node:
    keys = {key: (node.line, node.column) for key, node in entries.items()}
    return Node("mapping", path, at.line, at.column, entries=dict(entries), keys=keys)


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _columns(record: str) -> list[int]:
    """Where each cell of a record's first line begins, from 1."""
    found, quoted = [1], False
    for at, character in enumerate(record):
        if character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            found.append(at + 2)
    return found
