"""Fragments: steps with parameters that several workflows use. A use is expanded when its workflow is compiled.

A fragment sees its parameters as `given`, its own steps, and nothing else: what it does cannot depend on names around a
use, so it is checked once where it stands, and a use only against its parameters. An expanded use is a `do` whose scope
is given the arguments; paths of its steps begin with the use's name, so that they stay unique.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from signoff.core.errors import DefinitionError, Problem
from signoff.core.schemas import check_schema, validate
from signoff.workflows.declared import Fragment
from signoff.workflows.documents import Node, load_document
from signoff.workflows.graph import find_cycle
from signoff.workflows.report import Report
from signoff.workflows.scopes import is_step_name

MAX_PARAMETERS = 50
"""Parameters of one fragment."""

_KEYS = ("fragment", "about", "parameters", "steps", "give")


def read_fragments(texts: Mapping[str, str], problems: list[Problem]) -> dict[str, Fragment]:
    """The fragments of those files, by name; their steps are not looked at yet.

    Args:
        texts: the documents by file.
        problems: gets everything that is wrong.
    """
    found: dict[str, Fragment] = {}
    for file in sorted(texts):
        try:
            fragment = _read(load_document(texts[file], file), file)
        except DefinitionError as error:
            problems += error.problems
            continue
        if fragment.name in found:
            detail = f"The fragment '{fragment.name}' is in {found[fragment.name].file} already."
            problems.append(Problem(detail, file, 1, 1, suggestion="Give one another name.", code="duplicate"))
        else:
            found[fragment.name] = fragment
    return _without_cycles(found, problems)


def _read(node: Node, file: str) -> Fragment:
    report = Report(file)
    if report.mapping(node, "A fragment"):
        report.unknown_keys(node, _KEYS, "a fragment")
        for key in ("fragment", "steps"):
            if key not in node.entries:
                report.add(node, f"'{key}' is missing.", code="missing-key")
    report.raise_if_any(f"{file} is not a valid fragment")
    name = report.text(node.entries["fragment"], "A fragment's name")
    if name and not is_step_name(name):
        report.add(node.entries["fragment"], f"'{name[:80]}' cannot be a fragment's name.", code="name")
    schema, defaults = _parameters(report, node.entries.get("parameters"))
    report.raise_if_any(f"{file} is not a valid fragment")
    return Fragment(name, file, node, schema, defaults)


def _parameters(report: Report, node: Node | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    properties: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    if node is not None and report.mapping(node, "'parameters'"):
        if len(node.entries) > MAX_PARAMETERS:
            report.add(node, f"A fragment has at most {MAX_PARAMETERS} parameters.", code="limit")
        for name, written in node.entries.items():
            if not is_step_name(name):
                report.add_key(node, name, f"'{name[:80]}' cannot be a parameter's name.", code="name")
            if not report.mapping(written, "A parameter's type"):
                continue
            schema = cast("dict[str, Any]", written.plain())
            for problem in check_schema(schema):
                report.add(written, f"This is not a sound JSON Schema: {problem.detail}", code="schema")
                schema = {}
            properties[name] = schema
            if "default" in schema:
                defaults[name] = schema["default"]
                for problem in validate(schema, schema["default"]):
                    report.add(written.entries["default"], f"The default is wrong: {problem.detail}", code="value")
    required = [name for name in properties if name not in defaults]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}, defaults


def _without_cycles(found: dict[str, Fragment], problems: list[Problem]) -> dict[str, Fragment]:
    """The fragments, those that use themselves marked as broken."""
    uses = {name: [used for used, _ in uses_in(fragment.node)] for name, fragment in found.items()}
    while (cycle := find_cycle(uses)) is not None:
        name = cycle[0]
        fragment, following = found[name], cycle[1] if len(cycle) > 1 else name
        place = next(node for used, node in uses_in(fragment.node) if used == following)
        path = " → ".join([*cycle, name])
        hint = "Take one of the uses out."
        problem = Problem(
            f"This uses itself: {path}.", fragment.file, place.line, place.column, place.pointer, hint, "cycle"
        )
        problems.append(problem)
        for member in cycle:
            found[member] = replace(found[member], broken=problem)
            uses[member] = []
    return found


def uses_in(node: Node) -> Iterator[tuple[str, Node]]:
    """What stands behind a `use` anywhere in a document; one that is data only costs a look."""
    for key, value in node.entries.items():
        if key == "use" and value.text:
            yield value.text, value
        yield from uses_in(value)
    for item in node.items:
        yield from uses_in(item)
