"""Strict YAML 1.2 with the place of every value: what all of a project's YAML files are read with.

A document is a tree that a reviewer can read from top to bottom: no anchors, no tags, no duplicate keys, bounded in
size. Scalars mean what YAML 1.2's core schema says (https://yaml.org/spec/1.2.2/#103-core-schema): `on` is a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from signoff.core.errors import DefinitionError, Problem
from signoff.core.schemas import pointer
from signoff.core.values import value
from signoff.workflows.positions import raw_offsets

if TYPE_CHECKING:
    from ruamel.yaml.error import YAMLError

MAX_DOCUMENT_BYTES = 1024 * 1024
"""Size of one document as UTF-8."""

MAX_DOCUMENT_VALUES = 20_000
"""Values in one document; reading stops there, so that a dense document costs seconds at most."""

MAX_DOCUMENT_NESTING = 32
"""Mappings and lists inside each other."""

Path = tuple[str | int, ...]

_INTEGER = re.compile(r"[-+]?[0-9]{1,100}|0o[0-7]{1,100}|0x[0-9a-fA-F]{1,100}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NUMERIC = frozenset("+-.0123456789")
"""What the two begin with: most texts are told apart by their first character."""
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@value
class Node:
    """A value of a document and where it stands.

    Attributes:
        kind: which of `entries`, `items` and `value` counts.
        path: keys and indexes from the top.
        line: from 1.
        column: from 1.
        value: of a scalar: None, bool, int, float or str.
        entries: of a mapping, in document order.
        keys: line and column of each key.
        items: of a list.
        raw: of a text: how it is written, quotes and indentation included.
    """

    kind: Literal["mapping", "list", "scalar"]
    path: Path
    line: int
    column: int
    value: Any = None
    entries: Mapping[str, Node] = field(default_factory=dict[str, "Node"])
    keys: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    items: tuple[Node, ...] = ()
    raw: str = ""

    @property
    def pointer(self) -> str:
        """The JSON Pointer (RFC 6901) of this value."""
        return pointer(self.path)

    @property
    def text(self) -> str | None:
        """The value of a text, or none where it is something else."""
        return self.value if isinstance(self.value, str) else None

    def plain(self) -> Any:
        """The value without places, for JSON."""
        if self.kind == "mapping":
            return {key: node.plain() for key, node in self.entries.items()}
        return [node.plain() for node in self.items] if self.kind == "list" else self.value

    def place(self, offset: int = 0) -> tuple[int, int]:
        """Line and column of a character of a text, however it is quoted, folded or indented."""
        offsets = raw_offsets(self.raw, self.value) if offset and isinstance(self.value, str) else None
        at = offsets[min(offset, len(offsets) - 1)] if offsets else 0
        before = self.raw[:at]
        lines = before.count("\n")
        return self.line + lines, len(before) - before.rfind("\n") if lines else self.column + at


# Plain ones, as nodes are sent between processes; the type checker keeps them empty.
_NO_ENTRIES: Mapping[str, Node] = {}
_NO_KEYS: Mapping[str, tuple[int, int]] = {}


def load_document(text: str, file: str) -> Node:
    """Read a YAML document into a tree of nodes.

    Raises:
        DefinitionError: it is no YAML 1.2, or uses what documents may not (anchors, tags, duplicate keys, several
            documents, more than the limits above). The problem has file, line and column.
    """
    quick = load_quickly(text, file)
    return load_carefully(text, file) if quick is None else quick


def load_carefully(text: str, file: str) -> Node:
    """The tree of a document by the reader that knows YAML 1.2; see `load_document`."""
    return _Reader(text, file).read()


def load_quickly(text: str, file: str) -> Node | None:
    """The tree of a document by libyaml, in a seventh of the time; none of one that both readers might not read alike.

    So it is for plain documents: whatever is unusual, and every problem, is for the careful reader.
    """
    if len(text) > MAX_DOCUMENT_BYTES or not _PLAIN.fullmatch(text) or _ODD.search(text):
        return None
    import yaml  # noqa: PLC0415  (loaded with the first document)

    make: Any = getattr(yaml, "CLoader", None)
    if make is None:
        return None
    try:
        loader = make(text)
        # Its events themselves: `yaml.parse` asks twice for each.
        return _Reader(text, file, certain=True).read_events(iter(loader.get_event, None))
    except (yaml.YAMLError, DefinitionError, _UncertainError, ValueError, StopIteration):
        return None


class _UncertainError(Exception):
    """What the two readers place differently."""


_PLAIN = re.compile(r"[\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*")
# Characters that both versions of YAML read alike: no tabs, no other line ends, nothing invisible.
_ODD = re.compile(r"^%|[|>][-+0-9]*#|(?:^|[\s\[\]{},])[?]", re.MULTILINE)


def _meaning(text: str) -> Any:
    """What a scalar without quotes is."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    # What JSON cannot say (infinities, `.nan`) stays a text.
    return float(text) if _FLOAT.fullmatch(text) and isfinite(float(text)) else text


class _Reader:
    """Composes the parser's events: the library's own composer keeps no key places and expands aliases."""

    def __init__(self, text: str, file: str, *, certain: bool = False) -> None:
        self._text = text
        self._file = file
        self._certain = certain
        self._count = 0
        self._duplicates: list[Problem] = []

    def read(self) -> Node:
        if len(self._text.encode("utf-8", "replace")) > MAX_DOCUMENT_BYTES:
            self._fail(f"The document is larger than {MAX_DOCUMENT_BYTES} bytes.", "Split it.")
        # Imported here, as most documents are plain and never need these 50 ms.
        from ruamel.yaml import YAML  # noqa: PLC0415  (loaded with the first document that is not plain)
        from ruamel.yaml.error import YAMLError  # noqa: PLC0415  (the same)

        try:
            node = self._document(iter(YAML(typ="safe", pure=True).parse(self._text)))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  (untyped library)
        except YAMLError as error:
            self._fail_syntax(error)
        except (ValueError, OverflowError, IndexError, AttributeError, TypeError, AssertionError) as error:
            # The parser meets some broken escapes and directives with whatever Python raises.
            self._fail(f"This is not YAML 1.2: {error}.")
        if self._duplicates:
            raise DefinitionError(f"{self._file} is not a valid document", problems=self._duplicates)
        return node

    def read_events(self, events: Iterator[Any]) -> Node:
        """The tree of a parser's events."""
        node = self._document(events)
        if self._duplicates:
            raise DefinitionError(f"{self._file} is not a valid document", problems=self._duplicates)
        return node

    def _document(self, events: Iterator[Any]) -> Node:
        opening = ("StreamStartEvent", "DocumentStartEvent")
        first = next((event for event in events if type(event).__name__ not in opening), None)
        if first is None or type(first).__name__ == "StreamEndEvent":
            self._fail("The document is empty.")
        node = self._node(first, events, ())
        for event in events:
            if type(event).__name__ == "DocumentStartEvent":
                self._fail("There are several documents in one file.", "Put each into a file of its own.", event)
        return node

    def _node(self, event: Any, events: Iterator[Any], path: Path) -> Node:
        self._count += 1
        if event.anchor or event.tag or self._count > MAX_DOCUMENT_VALUES or len(path) > MAX_DOCUMENT_NESTING:
            self._refuse(event, path)
        name = type(event).__name__
        start = event.start_mark
        if name == "ScalarEvent":
            raw = self._text[start.index : event.end_mark.index]
            # All fields are given: making empty mappings for each of ten thousand scalars takes as long as the rest.
            value = self._value(event)
            return Node("scalar", path, start.line + 1, start.column + 1, value, _NO_ENTRIES, _NO_KEYS, (), raw)
        if name == "MappingStartEvent":
            return self._mapping(events, path, start.line + 1, start.column + 1)
        items: list[Node] = []
        for item in events:
            if type(item).__name__ == "SequenceEndEvent":
                break
            items.append(self._node(item, events, (*path, len(items))))
        return Node("list", path, start.line + 1, start.column + 1, None, _NO_ENTRIES, _NO_KEYS, tuple(items))

    def _refuse(self, event: Any, path: Path) -> NoReturn:
        """Say what is wrong with a value or a key that documents may not have."""
        if self._count > MAX_DOCUMENT_VALUES:
            self._fail(f"The document has more than {MAX_DOCUMENT_VALUES} values.", "Split it.", event)
        if len(path) > MAX_DOCUMENT_NESTING:
            self._fail(f"Values are nested more than {MAX_DOCUMENT_NESTING} deep.", None, event)
        if event.anchor:
            self._fail("Anchors and aliases are not allowed.", "Write the value out where it is used.", event)
        self._fail("Tags are not allowed.", "Quote a text; everything else needs none.", event)

    def _value(self, event: Any) -> Any:
        """What a scalar means."""
        value: Any = event.value
        if event.style:
            return value
        if self._certain and value == "":
            raise _UncertainError
        return _meaning(value)

    def _mapping(self, events: Iterator[Any], path: Path, line: int, column: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, tuple[int, int]] = {}
        for event in events:
            if type(event).__name__ == "MappingEndEvent":
                break
            self._count += 1
            if event.anchor or event.tag or self._count > MAX_DOCUMENT_VALUES or len(path) > MAX_DOCUMENT_NESTING:
                self._refuse(event, path)
            meaning = self._value(event) if type(event).__name__ == "ScalarEvent" else None
            if meaning is None or isinstance(meaning, bool):
                self._fail("A key is a text.", "Quote it.", event)
            start = event.start_mark
            if start.index > 0 and self._text[start.index - 1] == "?":
                # YAML 1.2 has it as part of the key here, the library takes it as the mark of a key that follows.
                self._fail("A key that begins with '?' is not clear.", "Quote it.", event)
            key_text: str = event.value
            value = self._node(next(events), events, (*path, key_text))
            place = start.line + 1, start.column + 1
            if key_text in entries:
                first = keys[key_text][0]
                detail = f"The key '{key_text}' occurs twice; first in line {first}."
                pointed = pointer((*path, key_text))
                self._duplicates.append(Problem(detail, self._file, *place, pointed, code="duplicate-key"))
                continue
            entries[key_text] = value
            keys[key_text] = place
        return Node("mapping", path, line, column, None, entries, keys)

    def _fail(self, detail: str, suggestion: str | None = None, event: Any = None) -> NoReturn:
        line, column = (event.start_mark.line + 1, event.start_mark.column + 1) if event is not None else (1, 1)
        problem = Problem(detail, self._file, line, column, suggestion=suggestion, code="yaml")
        raise DefinitionError(f"{self._file} is not a valid document", problems=[problem, *self._duplicates])

    def _fail_syntax(self, error: YAMLError) -> NoReturn:
        mark: Any = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        detail = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read")
        suggestion = "Indent with spaces." if "'\\t'" in detail else None
        problem = Problem(f"This is not YAML 1.2: {detail}.", self._file, line, column, None, suggestion, "yaml")
        raise DefinitionError(f"{self._file} is not a valid document", problems=[problem])
