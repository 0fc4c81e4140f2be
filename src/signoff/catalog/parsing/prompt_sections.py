"""The body of a prompt: sections under `# system`, `# user` and `# assistant`, and their variants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from signoff.catalog.parsing.fields import Fields, Path
from signoff.catalog.prompts import Role
from signoff.catalog.templates import AUTHORED_VARIABLES, MAX_TEMPLATES_CHARACTERS, PromptTemplateError, variables_of
from signoff.catalog.variants import Alternative, Dimension
from signoff.core.errors import closest, did_you_mean

ROLES: tuple[Role, ...] = ("system", "user", "assistant")
MAX_DIMENSIONS = 4
"""In how many ways one prompt may vary."""
MAX_VALUES = 64
"""How many values one dimension may declare."""

_HEADING = re.compile(r"^#[ \t]+(?P<word>\S+)(?:[ \t]+\((?P<conditions>[^()]*)\))?[ \t]*\Z")
_VALUE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")


@dataclass
class Section:
    """One section as written: its lines, the line that they begin in, and what stands in for it."""

    role: Role
    lines: list[str]
    line: int
    conditions: dict[str, str] | None = None
    variants: list[Section] = field(default_factory=list["Section"])

    @property
    def source(self) -> str:
        """The template."""
        return "\n".join(self.lines)

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Its texts for some values."""
        return tuple(Alternative(variant.conditions or {}, variant.source) for variant in self.variants)


def parse_dimensions(fields: Fields, input_schema: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """What `variants` declares: `locale: {values: [en, de, de-AT], default: en, fallback: {de-AT: de}}`."""
    found: list[Dimension] = []
    properties = cast("Mapping[str, Any]", input_schema.get("properties") or {})
    for name, given in fields.mapping("variants").members():
        given.only("values", "default", "fallback")
        if name not in properties:
            suggestion = did_you_mean(name, tuple(properties)) or f"Add '{name}' to the properties of 'input'."
            given.problem(None, f"Sections vary by '{name}', which 'input' does not have.", suggestion=suggestion)
        values = given.texts("values") if given.required("values") else ()
        if len(values) > MAX_VALUES or len(set(values)) < len(values):
            given.problem("values", f"There are at most {MAX_VALUES} values, each once.", code="limit")
        for value in values:
            if not _VALUE.match(value):
                given.problem("values", f"'{value}' is no value of a variant.", suggestion="Write it like de-AT.")
        default = given.one_of("default", values) if values else ""
        found.append(Dimension(name, values, default, _fallback(given, values)))
    if len(found) > MAX_DIMENSIONS:
        fields.problem("variants", f"A prompt varies in at most {MAX_DIMENSIONS} ways.", code="limit")
    return tuple(found)


def _fallback(given: Fields, values: tuple[str, ...]) -> dict[str, str]:
    found = given.named_texts("fallback")
    for value, other in found.items():
        for name in (value, other):
            if name not in values:
                suggestion = did_you_mean(name, values) or f"There is: {', '.join(values) or 'none'}."
                detail = f"'{name}' is none of the values."
                given.problem("fallback", detail, suggestion=suggestion, code="unknown-value")
        seen, at = {value}, other
        while at in found and at not in seen:
            seen.add(at)
            at = found[at]
        if at in seen:
            given.problem("fallback", f"'{value}' falls back to itself.", code="cycle")
    return found


def parse_sections(
    fields: Fields, body: str, body_line: int, input_schema: Mapping[str, Any], dimensions: tuple[Dimension, ...]
) -> tuple[Section, ...]:
    """The sections of a body, each with its variants; what is wrong with them is reported."""
    sections = _split(fields, body, body_line, dimensions)
    if not any(section.role == "user" for section in sections):
        suggestion = "Add a line '# user' and the template under it."
        fields.problem(None, "The prompt has no user section.", suggestion=suggestion, code="missing-section")
    if len(body) > MAX_TEMPLATES_CHARACTERS:
        detail = f"The templates are longer than {MAX_TEMPLATES_CHARACTERS:,} characters together."
        fields.problem(None, detail, code="limit")
        return tuple(sections)
    used = {dimension.name for dimension in dimensions}
    properties = tuple(cast("Mapping[str, Any]", input_schema.get("properties") or {}))
    for section in sections:
        for text in (section, *section.variants):
            used |= _check_template(fields, text, properties)
    for name in properties:
        place: Path = (*fields.path, "input", "properties", name)
        if name in AUTHORED_VARIABLES:
            fields.report.add(place, f"'{name}' is taken: it is what the front matter says.", code="duplicate")
        elif sections and name not in used:
            detail = f"No section of the template uses '{name}'."
            suggestion = f"Write {{{{ {name} }}}} where the model should see it, or leave it out of 'input'."
            fields.report.add(place, detail, suggestion=suggestion, code="unused-variable")
    return tuple(sections)


def _check_template(fields: Fields, section: Section, properties: tuple[str, ...]) -> set[str]:
    """The variables that one template uses; all where that cannot be known, so that nothing is called unused."""
    try:
        names = variables_of(section.source)
    except PromptTemplateError as problem:
        fields.report.add_at(section.line + problem.line - 1, 1, str(problem), code="template")
        return set(properties)
    for name in sorted(names - set(properties)):
        suggestion = did_you_mean(name, properties) or f"Add '{name}' to the properties of 'input'."
        at_line, at_column = _find(section.source, name)
        detail = f"The template uses '{name}', which 'input' does not have."
        fields.report.add_at(section.line + at_line, at_column, detail, suggestion=suggestion, code="unknown-variable")
    return set(names)


def _split(fields: Fields, body: str, body_line: int, dimensions: tuple[Dimension, ...]) -> list[Section]:
    sections: list[Section] = []
    open_section: Section | None = None
    for number, line in enumerate(body.split("\n"), start=body_line):
        heading = _HEADING.match(line)
        word = heading["word"] if heading else ""
        if heading and word in ROLES:
            open_section = Section(word, [], number + 1)
            if heading["conditions"] is None:
                sections.append(open_section)
            else:
                open_section.conditions = _conditions(fields, number, heading["conditions"], dimensions)
                _attach(fields, number, sections, open_section)
        elif heading and heading["conditions"] is None and (near := closest(word.lower(), ROLES)) is not None:
            suggestion = f"Did you mean '# {near}'?"
            fields.report.add_at(number, 1, f"'{word}' is no role.", suggestion=suggestion, code="unknown-section")
        elif open_section is not None:
            open_section.lines.append(line)
        elif line.strip():
            suggestion = "Put it under '# system' or '# user'."
            fields.report.add_at(number, 1, "This stands in no section.", suggestion=suggestion, code="missing-section")
            open_section = Section("system", [line], number)
            sections.append(open_section)
    return sections


def _attach(fields: Fields, number: int, sections: list[Section], variant: Section) -> None:
    """Put a variant to the section that it stands in for: the last one, which has its role."""
    if not sections or sections[-1].role != variant.role:
        suggestion = f"Put it behind the '# {variant.role}' that it stands in for."
        detail = "A variant stands in for the section before it, of the same role."
        fields.report.add_at(number, 1, detail, suggestion=suggestion, code="unknown-section")
        return
    if any(other.conditions == variant.conditions for other in sections[-1].variants):
        fields.report.add_at(number, 1, "Another variant of this section has these conditions.", code="duplicate")
    sections[-1].variants.append(variant)


def _conditions(fields: Fields, number: int, text: str, dimensions: tuple[Dimension, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    known = {dimension.name: dimension.values for dimension in dimensions}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or name in found:
            suggestion = "Write '# user (locale=de)', or '# user (locale=de, product_line=home)'."
            fields.report.add_at(
                number, 1, f"'({text})' says no values.", suggestion=suggestion, code="unknown-section"
            )
        elif name not in known:
            suggestion = did_you_mean(name, tuple(known)) or f"Declare it: 'variants: {{{name}: {{values: […]}}}}'."
            fields.report.add_at(
                number, 1, f"Sections do not vary by '{name}'.", suggestion=suggestion, code="unknown-value"
            )
        elif value not in known[name]:
            suggestion = did_you_mean(value, known[name]) or f"There is: {', '.join(known[name])}."
            fields.report.add_at(
                number, 1, f"'{name}' has no value '{value}'.", suggestion=suggestion, code="unknown-value"
            )
        else:
            found[name] = value
    return found


def _find(source: str, name: str) -> tuple[int, int]:
    """Line, from 0, and column, from 1, of the first use of a variable in a template."""
    for number, line in enumerate(source.split("\n")):
        match = re.search(rf"\b{re.escape(name)}\b", line)
        if match and ("{{" in line or "{%" in line):
            return number, match.start() + 1
    return 0, 1
