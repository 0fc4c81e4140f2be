"""Compiles the values of a document: conditions (bare CEL) and templates (`${…}` in plain data)."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from signoff.workflows.documents import Node
from signoff.workflows.expressions import CelExpression, ExpressionCompiler, Faulty
from signoff.workflows.model import Expression
from signoff.workflows.report import Report
from signoff.workflows.shapes import ANY, Shape, list_shape, object_shape, shape_of_value
from signoff.workflows.templates import (
    Constant,
    ListTemplate,
    MappingTemplate,
    ShowTemplate,
    TextTemplate,
    split_text,
)

Shapes = Mapping[str, Callable[[], Shape]]


class ValueCompiler:
    """Compiles nodes of one document and reports what is wrong with them.

    Args:
        expressions: what compiles CEL.
        report: where problems go.
        shapes: shapes that hold instead of the document's, such as `result` in an undo.
    """

    def __init__(self, expressions: ExpressionCompiler, report: Report, shapes: Shapes | None = None) -> None:
        self._expressions = expressions
        self._report = report
        self._shapes = shapes

    @contextmanager
    def assuming(self, when: Node | None) -> Generator[None]:
        """Compile what is evaluated only where a condition holds: fields that it found are there."""
        text = None if when is None else when.text
        before = self._expressions.there
        found = text is not None and ("has(" in text or "hasValue" in text)
        self._expressions.there = self._expressions.found_by(text) if found and text else frozenset()
        try:
            yield
        finally:
            self._expressions.there = before

    def condition(self, node: Node) -> CelExpression | None:
        """A bare CEL expression that gives a boolean; none where it is wrong."""
        if isinstance(node.value, bool):
            return self._cel(node, "true" if node.value else "false", 0)
        source = self._report.text(node, "A condition")
        if not source:
            return None
        if source.lstrip().startswith("${"):
            hint = "Leave out '${' and '}'."
            self._report.add(node, "A condition is CEL by itself, without '${…}'.", suggestion=hint, code="syntax")
            return None
        compiled = self._cel(node, source, 0)
        if compiled is not None and not compiled.shape.may_be(("boolean",)):
            self._report.add(node, f"A condition gives a boolean, and this is {compiled.shape}.", code="type")
        return compiled

    def ends_asked_for(self, node: Node, ends: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
        """How steps must have ended for a condition to hold, as far as it says so."""
        text = node.text or ""
        return self._expressions.ends_asked_for(text, ends) if ".result" in text or ".done" in text else {}

    def expression(self, node: Node) -> CelExpression | None:
        """A bare CEL expression that gives anything; none where it is wrong."""
        source = self._report.text(node, "An expression")
        return self._cel(node, source, 0) if source else None

    def show(self, node: Node) -> Expression:
        """A list of bare expressions, shown under the texts they are written as."""
        nodes = node.items if node.kind == "list" else (node,)
        shown: list[Expression] = []
        for item in nodes:
            source = self._report.text(item, "What is shown")
            compiled = self._cel(item, source, 0) if source else None
            if compiled is not None:
                shown.append(compiled)
        return ShowTemplate(_written(node), shown)

    def key(self, node: Node) -> Expression | None:
        """A template for an idempotency key: always a text, never empty."""
        source = self._report.text(node, "An idempotency key")
        if not source:
            return None
        pieces = self._pieces(node, source)
        if pieces is not None and not any(isinstance(piece, CelExpression) for piece in pieces):
            hint = "Put in what makes it one of a kind, such as ${order.id}."
            self._report.add(node, "This key is the same in every run.", suggestion=hint, code="key")
        return None if pieces is None else TextTemplate(source, pieces, key=True)

    def template(self, node: Node) -> Expression:
        """Plain data with `${…}` in its texts; parts that are wrong count as null."""
        if node.kind == "mapping":
            entries = {key: self.template(item) for key, item in node.entries.items()}
            shape = object_shape({key: shape_of(entry) for key, entry in entries.items()})
            if all(isinstance(entry, Constant) for entry in entries.values()):
                return (
                    Constant(node.plain(), _written(node), shape)
                    if not entries
                    else self._mapping(node, entries, shape)
                )
            return self._mapping(node, entries, shape)
        if node.kind == "list":
            items = [self.template(item) for item in node.items]
            if all(isinstance(item, Constant) for item in items):
                value = [item.evaluate(_NOTHING) for item in items]
                return Constant(value, _written(node), shape_of_value(value))
            return ListTemplate(_written(node), items, list_shape(shape_of(item) for item in items))
        if node.text is None or "${" not in node.text:
            return Constant(node.value, _written(node), shape_of_value(node.value))
        return self._text(node, node.text)

    def _mapping(self, node: Node, entries: Mapping[str, Expression], shape: Shape) -> Expression:
        return MappingTemplate(_written(node), entries, shape)

    def _text(self, node: Node, text: str) -> Expression:
        pieces = self._pieces(node, text)
        if pieces is None:
            return Constant(None, text)
        if len(pieces) == 1:
            only = pieces[0]
            return Constant(only, text, shape_of_value(only)) if isinstance(only, str) else only
        return TextTemplate(text, pieces)

    def _pieces(self, node: Node, text: str) -> list[str | CelExpression] | None:
        pieces: list[str | CelExpression] = []
        try:
            for piece in split_text(text):
                if not piece.expression:
                    pieces.append(piece.text)
                    continue
                compiled = self._cel(node, piece.text, piece.offset)
                if compiled is None:
                    return None
                pieces.append(compiled)
        except ValueError as error:
            detail, offset = error.args
            self._report.add(node, detail, suggestion="Write '$${' for a literal '${'.", code="syntax", offset=offset)
            return None
        return pieces

    def _cel(self, node: Node, source: str, offset: int) -> CelExpression | None:
        compiled = self._expressions.compile(source, self._shapes)
        if isinstance(compiled, Faulty):
            for finding in compiled.findings:
                self._report.add(
                    node,
                    finding.detail,
                    suggestion=finding.suggestion,
                    code=f"expression-{finding.code}",
                    offset=offset + finding.offset,
                )
            return None
        return compiled


def shape_of(expression: Expression) -> Shape:
    """What is known of an expression's value."""
    shape = getattr(expression, "shape", ANY)
    return shape if isinstance(shape, Shape) else ANY


_as_json = json.JSONEncoder(ensure_ascii=False).encode


def _written(node: Node) -> str:
    return node.text if node.text is not None else _as_json(node.plain())


class _Nothing:
    """The scope of constants."""


_NOTHING: Any = _Nothing()
