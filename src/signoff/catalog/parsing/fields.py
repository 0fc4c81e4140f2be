"""Reading the keys of a project's file by hand, so that every problem has a line, a column and a suggestion."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

from signoff.core.durations import parse_duration_s
from signoff.core.errors import Problem, closest, did_you_mean
from signoff.core.schemas import check_schema, validate
from signoff.workflows.documents import Node, Path

MAX_TIMEOUT_S = 3_600.0
"""The longest that a contract may let one call take, in seconds: longer work is started and waited for by event."""


class Report:
    """Where one file's problems go, each with its place."""

    def __init__(self, file: str, root: Node, problems: list[Problem]) -> None:
        self.file = file
        self._root = root
        self._problems = problems

    def add(self, path: Path, detail: str, *, suggestion: str | None = None, code: str = "invalid") -> None:
        """Report a problem at a path into the file."""
        _, (line, column) = self._find(path)
        self.add_at(line, column, detail, suggestion=suggestion, code=code)

    def add_inside(self, path: Path, offset: int, detail: str, *, suggestion: str | None = None, code: str) -> None:
        """Report a problem at a character of a text."""
        line, column = self._find(path)[0].place(offset)
        self.add_at(line, column, detail, suggestion=suggestion, code=code)

    def add_at(self, line: int, column: int, detail: str, *, suggestion: str | None = None, code: str) -> None:
        """Report a problem at a line and column, both from 1."""
        self._problems.append(
            Problem(detail, file=self.file, line=line, column=column, suggestion=suggestion, code=code)
        )

    @property
    def root(self) -> Node:
        """The whole file."""
        return self._root

    def line(self, path: Path) -> int:
        """The line of what is at a path, from 1."""
        return self._find(path)[1][0]

    def _find(self, path: Path) -> tuple[Node, tuple[int, int]]:
        """What is at a path and its place: a key's own for a member, the nearest there is for what is not there."""
        node, place = self._root, (self._root.line, self._root.column)
        for part in path:
            if node.kind == "mapping" and part in node.entries:
                place = node.keys[str(part)]
                node = node.entries[str(part)]
            elif node.kind == "list" and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
                place = (node.line, node.column)
            else:
                break
        return node, place


class Fields:
    """The members of one mapping in a file. Each getter reports what is wrong and gives a harmless value instead."""

    def __init__(self, report: Report, data: Mapping[str, Any], path: Path = ()) -> None:
        self.report = report
        self.data = data
        self.path = path

    def __contains__(self, name: str) -> bool:
        return name in self.data

    def problem(self, name: str | None, detail: str, *, suggestion: str | None = None, code: str = "invalid") -> None:
        """Report a problem at a member, or at the mapping itself."""
        self.report.add(self.path if name is None else (*self.path, name), detail, suggestion=suggestion, code=code)

    def only(self, *known: str) -> None:
        """Report every member that is none of those."""
        for name in self.data:
            if name not in known:
                suggestion = did_you_mean(name, known) or f"Known here: {', '.join(known)}."
                self.problem(name, f"'{name}' is not a known key.", suggestion=suggestion, code="unknown-key")

    def required(self, name: str) -> bool:
        """Whether the member is there; reports it where it is not."""
        if self.data.get(name) is not None:
            return True
        misspelt = closest(name, [key for key in self.data if isinstance(self.data[key], (str, dict))])
        self.problem(
            name if name in self.data else None,
            f"'{name}' is missing.",
            suggestion=f"Did you mean '{name}' by '{misspelt}'?" if misspelt else f"Add '{name}: …'.",
            code="missing-key",
        )
        return False

    def text(self, name: str, default: str | None = None) -> str:
        """A text; required where there is no default."""
        if default is None and not self.required(name):
            return ""
        value = self.data.get(name)
        if value is None:
            return default or ""
        if not isinstance(value, str):
            self.problem(name, f"'{name}' must be text.", suggestion="Put it in quotes.", code="wrong-type")
            return default or ""
        if not value.strip() and default is None:
            self.problem(name, f"'{name}' is empty.", code="missing-key")
        return value

    def one_of(self, name: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of some words; required where there is no default."""
        value = self.text(name, default)
        if value and value not in choices:
            suggestion = did_you_mean(value, choices) or f"Write one of: {', '.join(choices)}."
            self.problem(name, f"'{name}' cannot be '{value}'.", suggestion=suggestion, code="unknown-value")
            return default if default is not None else choices[0]
        return value or choices[0]

    def seconds(self, name: str, default: float) -> float:
        """A duration such as `5s`, in seconds."""
        value = self.data.get(name)
        if value is None:
            return default
        try:
            seconds = parse_duration_s(value) if isinstance(value, str) else 0.0
        except ValueError as error:
            self.problem(name, f"{error}.", code="duration")
            return default
        if not 0 < seconds <= MAX_TIMEOUT_S:
            detail = f"'{name}' must be a duration above zero, at most {MAX_TIMEOUT_S / 3600:g}h."
            self.problem(name, detail, suggestion="Write a number and its unit, such as 30s.", code="duration")
            return default
        return seconds

    def integer(self, name: str, default: int, *, lowest: int, highest: int) -> int:
        """A whole number in a range."""
        value = self.data.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            self.problem(name, f"'{name}' must be a whole number from {lowest} to {highest}.", code="wrong-type")
            return default
        return value

    def boolean(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.data.get(name, default)
        if not isinstance(value, bool):
            self.problem(name, f"'{name}' must be true or false.", code="wrong-type")
            return default
        return value

    def mapping(self, name: str) -> Fields:
        """A mapping; an empty one where it is not there."""
        value = self.data.get(name)
        if value is None:
            return Fields(self.report, {}, (*self.path, name))
        if not isinstance(value, Mapping):
            self.problem(name, f"'{name}' must be a mapping of keys to values.", code="wrong-type")
            return Fields(self.report, {}, (*self.path, name))
        return Fields(self.report, cast("Mapping[str, Any]", value), (*self.path, name))

    def members(self) -> Iterator[tuple[str, Fields]]:
        """Each member that is a mapping; reports those that are not."""
        for name, value in self.data.items():
            if value is None or isinstance(value, Mapping):
                yield name, self.mapping(name)
            else:
                self.problem(name, f"'{name}' must be a mapping of keys to values.", code="wrong-type")

    def items(self, name: str) -> Iterator[Fields]:
        """Each element of a list of mappings; reports what is none."""
        for place, value in enumerate(self._list(name)):
            if isinstance(value, Mapping):
                yield Fields(self.report, cast("Mapping[str, Any]", value), (*self.path, name, place))
            else:
                path = (*self.path, name, place)
                self.report.add(path, "This must be a mapping of keys to values.", code="wrong-type")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        found: list[str] = []
        for place, value in enumerate(self._list(name)):
            if isinstance(value, str) and value.strip():
                found.append(value)
            else:
                self.report.add((*self.path, name, place), "This must be text.", code="wrong-type")
        return tuple(found)

    def named_texts(self, name: str) -> dict[str, str]:
        """A mapping of names to texts."""
        fields = self.mapping(name)
        return {key: fields.text(key) for key in fields.data}

    def schema(self, name: str, default: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """A JSON Schema of an object; required where there is no default."""
        if default is None and not self.required(name):
            return {}
        if name not in self.data:
            return default or {}
        schema = self.mapping(name).data
        for problem in check_schema(schema):
            detail = f"'{name}' is not a sound JSON Schema: {problem.detail}"
            self.report.add((*self.path, name, *_into(schema, problem.pointer)), detail, code="schema")
        if schema and schema.get("type") != "object":
            self.problem(name, f"'{name}' must describe an object.", suggestion="Add 'type: object'.", code="schema")
        # What is unsound was told; whoever reads on takes these for what they must be.
        wrong = [key for key, kind in _SHAPES.items() if key in schema and not kind(schema[key])]
        return {key: value for key, value in schema.items() if key not in wrong} if wrong else schema

    def _list(self, name: str) -> list[Any]:
        value = self.data.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem(name, f"'{name}' must be a list.", code="wrong-type")
            return []
        return cast("list[Any]", value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in cast("list[Any]", value))


_SHAPES: Mapping[str, Callable[[Any], bool]] = {
    "properties": lambda value: isinstance(value, Mapping),
    "required": _are_texts,
}
"""What the members of a schema are that contracts are read from."""


def problems_with(schema: Mapping[str, Any], value: Any) -> list[str]:
    """How a value breaks a schema; nothing where the schema is unsound, which is told where it stands."""
    try:
        return [problem.detail for problem in validate(schema, value)]
    except ValueError:
        return []


def _into(value: Any, pointer: str | None) -> Path:
    """The path of a JSON Pointer (RFC 6901), with numbers for the places in lists."""
    path: list[str | int] = []
    for raw in (pointer or "").split("/")[1:]:
        part = raw.replace("~1", "/").replace("~0", "~")
        key: str | int = part
        if isinstance(value, list) and part.isdecimal() and int(part) < len(cast("list[Any]", value)):
            key = int(part)
            value = cast("list[Any]", value)[key]
        elif isinstance(value, Mapping) and part in value:
            value = cast("Mapping[str, Any]", value)[part]
        else:
            break
        path.append(key)
    return tuple(path)
