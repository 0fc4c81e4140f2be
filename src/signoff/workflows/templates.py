"""Templates: plain data with `${…}` in its texts. What is not inside `${…}` costs nothing at run time.

`"${expr}"` alone gives the expression's own type; with text around it, or several, it gives a text. `$${` is a literal
`${`. A null cannot be put into a text: where one may come, the document says what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from signoff.core.labels import BOTTOM, Labels
from signoff.core.values import value
from signoff.workflows.errors import Blocked, ExpressionError
from signoff.workflows.model import Expression, Read, Scope
from signoff.workflows.shapes import ANY, STRING, Shape

MAX_KEY_LENGTH = 500
"""Characters of an idempotency key."""


@value
class Constant:
    """A value without expressions. Evaluated without CEL."""

    value: Any
    source: str
    shape: Shape = ANY
    reads: tuple[Read, ...] = ()

    @property
    def parts(self) -> Mapping[str, Expression]:
        """None: constants have the lowest labels."""
        return {}

    def evaluate(self, scope: Scope) -> Any:  # noqa: ARG002  (it is an Expression)
        """The constant."""
        return self.value

    def labels(self, scope: Scope) -> Labels:  # noqa: ARG002  (the protocol has it)
        """Nothing was read."""
        return BOTTOM


class _Joined:
    """What the compound templates share: reads and labels are those of their parts."""

    __slots__ = ("_reading", "definite", "parts", "reads", "shape", "source")

    def __init__(self, source: str, parts: Sequence[Expression], shape: Shape) -> None:
        self.source = source
        self.shape = shape
        self.parts: Mapping[str, Expression] = {}
        self._reading = tuple(part for part in parts if part.reads)
        self.definite = tuple(dict.fromkeys(root for part in self._reading for root in getattr(part, "definite", ())))
        self.reads: tuple[Read, ...] = tuple(dict.fromkeys(read for part in parts for read in part.reads))

    @property
    def reading(self) -> tuple[Expression, ...]:
        """Its parts that read something, in order."""
        return self._reading

    def labels(self, scope: Scope) -> Labels:
        """The join of the labels of everything it reads."""
        found = BOTTOM
        for part in self._reading:
            found = found.join(part.labels(scope))
        return found


class TextTemplate(_Joined):
    """Text with expressions in it.

    Attributes:
        pieces: constant words and expressions, in their order.
        key: it makes an idempotency key: it must not be empty, nor longer than `MAX_KEY_LENGTH`.
    """

    __slots__ = ("key", "pieces")

    def __init__(self, source: str, pieces: Sequence[str | Expression], *, key: bool = False) -> None:
        super().__init__(source, [piece for piece in pieces if not isinstance(piece, str)], STRING)
        self.pieces = tuple(pieces)
        self.key = key

    def evaluate(self, scope: Scope) -> Any:
        """The text; a null in it is an ExpressionError."""
        text = "".join(
            piece if isinstance(piece, str) else _as_text(piece, piece.evaluate(scope)) for piece in self.pieces
        )
        if self.key and not 0 < len(text.strip()) <= MAX_KEY_LENGTH:
            raise ExpressionError(
                f"`{self.source}` failed: a key has 1 to {MAX_KEY_LENGTH} characters, not {len(text)}"
            )
        return text


class MappingTemplate(_Joined):
    """An object of templates."""

    __slots__ = ()

    def __init__(self, source: str, entries: Mapping[str, Expression], shape: Shape) -> None:
        super().__init__(source, list(entries.values()), shape)
        self.parts = dict(entries)

    def evaluate(self, scope: Scope) -> Any:
        """The object."""
        return {key: entry.evaluate(scope) for key, entry in self.parts.items()}


class ListTemplate(_Joined):
    """A list of templates."""

    __slots__ = ("items",)

    def __init__(self, source: str, items: Sequence[Expression], shape: Shape) -> None:
        super().__init__(source, items, shape)
        self.items = tuple(items)

    def evaluate(self, scope: Scope) -> Any:
        """The list."""
        return [item.evaluate(scope) for item in self.items]


class ShowTemplate(_Joined):
    """What a review shows: source text to value. What is not there shows as null and does not block the review."""

    __slots__ = ("_shown",)

    def __init__(self, source: str, shown: Sequence[Expression]) -> None:
        super().__init__(source, shown, ANY)
        self.definite = ()
        self._shown = tuple(shown)

    def evaluate(self, scope: Scope) -> Any:
        """The values by what the document names them."""
        return {item.source: _or_none(item, scope) for item in self._shown}


@value
class Piece:
    """A part of a text: literal text, or the source of an expression.

    Attributes:
        text: the literal text, or the source between the braces.
        expression: which of both.
        offset: where the part's text begins in the whole.
    """

    text: str
    expression: bool
    offset: int


def split_text(text: str) -> Iterator[Piece]:
    """The parts of a text with `${…}`. Braces and quotes inside an expression are CEL's.

    Raises:
        ValueError: a `${` has no end; its second argument is the offset.
    """
    at, literal = 0, ""
    while True:
        start = text.find("${", at)
        if start < 0:
            break
        if start and text[start - 1] == "$":
            literal += text[at : start - 1] + "${"
            at = start + 2
            continue
        literal += text[at:start]
        if literal:
            yield Piece(literal, expression=False, offset=at)
        literal = ""
        end = _end(text, start + 2)
        yield Piece(text[start + 2 : end], expression=True, offset=start + 2)
        at = end + 1
    literal += text[at:]
    if literal:
        yield Piece(literal, expression=False, offset=at)


def _end(text: str, at: int) -> int:
    depth, start = 0, at
    while at < len(text):
        character = text[at]
        if character in "\"'":
            quote = text[at : at + 3] if text[at : at + 3] == character * 3 else character
            at = _after_quote(text, at + len(quote), quote)
            continue
        if character == "}" and depth == 0:
            return at
        depth += {"{": 1, "}": -1}.get(character, 0)
        at += 1
    raise ValueError("A '${' has no '}'.", max(start - 2, 0))


def _after_quote(text: str, at: int, quote: str) -> int:
    while at < len(text) and not text.startswith(quote, at):
        at += 2 if text[at] == "\\" else 1
    return at + len(quote)


def _as_text(piece: Expression, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise ExpressionError(f"`{piece.source}` failed: it is null, and a text cannot hold it")
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError):
        if isinstance(value, int):  # past 64 bits
            return str(value)
        raise ExpressionError(f"`{piece.source}` failed: its value cannot be written as text") from None


def _or_none(item: Expression, scope: Scope) -> Any:
    try:
        return item.evaluate(scope)
    except Blocked:
        return None
