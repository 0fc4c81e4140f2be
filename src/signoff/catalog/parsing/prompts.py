"""`prompts/*.md` into prompts: YAML front matter between `---` lines, then sections under `# system` and `# user`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from signoff.catalog.answer_contracts import MESSAGE_SCHEMA
from signoff.catalog.parsing.annotations import CLASSES
from signoff.catalog.parsing.fields import Fields, problems_with
from signoff.catalog.parsing.prompt_answers import ANSWER_KEYS, parse_answer
from signoff.catalog.parsing.prompt_promises import parse_needs, parse_owners, parse_quality, parse_tests
from signoff.catalog.parsing.prompt_sections import parse_dimensions, parse_sections
from signoff.catalog.prompts import (
    DEFAULT_MAX_OUTPUT_TOKENS,
    DEFAULT_TIMEOUT_S,
    Example,
    ExtractionHint,
    HintKind,
    Prompt,
    Task,
)
from signoff.catalog.versions import parse_version
from signoff.core.labels import DataClass
from signoff.core.patterns import repeats_repeats

TASKS: tuple[Task, ...] = ("classify", "extract", "generate")
HINT_KINDS: tuple[HintKind, ...] = ("amount", "identifier", "date", "email")
HINT = "x-extract"
KEYS = (
    *("name", "version", "purpose", "task", "input", "output", "labels", "examples", "limits", "data_class"),
    "cache",
    *("owners", "needs", "tests", "quality", "variants"),
    *ANSWER_KEYS,
)
"""What front matter may say."""

MAX_OUTPUT_TOKENS = 32_000
"""The most that a prompt may let a model answer, in tokens."""
MAX_PATTERN_LENGTH = 500
"""How long an extraction pattern may be, in characters."""
MAX_EXAMPLES = 100
"""How many examples a prompt may have."""

_NAME = re.compile(r"^[a-z][a-z0-9_-]*(/[a-z0-9_-]+)*\Z")
_FEWEST_LABELS = 2


def split_front_matter(text: str) -> tuple[str, str, int] | None:
    """Front matter, body and the line that the body starts in; none where a file does not start with `---`.

    The front matter keeps an empty line where the first `---` stands, so that its lines are the file's.
    """
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return None
    for place, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            return "\n".join(["", *lines[1:place]]), "\n".join(lines[place + 1 :]), place + 2
    return None


def parse_prompt(fields: Fields, body: str, body_line: int, *, digest: str) -> Prompt:
    """The prompt that a file describes; what is wrong with it is reported.

    Args:
        fields: the front matter's members.
        body: what follows the front matter.
        body_line: the line that the body starts in, from 1.
        digest: SHA-256 of the file.
    """
    fields.only(*KEYS)
    name, version = fields.text("name"), fields.text("version")
    if name and not _NAME.match(name):
        fields.problem("name", f"'{name}' is not a prompt's name.", suggestion="Write it like classify-ticket.")
    try:
        parse_version(version)
    except ValueError as error:
        if version:
            fields.problem("version", f"{error}.", code="version")
        version = "0.0.0"
    task = cast("Task", fields.one_of("task", TASKS))
    input_schema = fields.schema("input")
    labels = _labels(fields, task)
    output_schema = _output(fields, task, labels)
    limits = fields.mapping("limits")
    limits.only("max_output_tokens", "timeout")
    data_class = DataClass[fields.one_of("data_class", CLASSES, "internal").upper()]
    dimensions = parse_dimensions(fields, input_schema)
    sections = parse_sections(fields, body, body_line, input_schema, dimensions)
    answer = parse_answer(fields, input_schema, output_schema)
    return Prompt(
        name=name,
        version=version,
        purpose=fields.text("purpose"),
        task=task,
        input_schema=input_schema,
        output_schema=output_schema,
        sections=tuple((section.role, section.source) for section in sections),
        labels=labels,
        examples=_examples(fields, task, input_schema, output_schema),
        hints=_hints(fields, task),
        max_output_tokens=limits.integer(
            "max_output_tokens", DEFAULT_MAX_OUTPUT_TOKENS, lowest=1, highest=MAX_OUTPUT_TOKENS
        ),
        timeout_s=limits.seconds("timeout", DEFAULT_TIMEOUT_S),
        data_class=data_class,
        cache=fields.boolean("cache", default=False),
        file=fields.report.file,
        digest=digest,
        owners=parse_owners(fields, data_class),
        needs=parse_needs(fields),
        tests=parse_tests(fields, input_schema, answer.step_schema(output_schema)),
        quality=parse_quality(fields),
        dimensions=dimensions,
        alternatives=tuple(section.alternatives for section in sections) if dimensions else (),
        answer=answer,
    )


def classification_schema(labels: tuple[str, ...]) -> dict[str, Any]:
    """The output of a classification: one of the labels, and how sure the model is, from 0 to 1."""
    return {
        "type": "object",
        "properties": {
            "label": {"type": "string", "enum": list(labels)},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["label", "confidence"],
        "additionalProperties": False,
    }


def _labels(fields: Fields, task: Task) -> dict[str, str]:
    if task != "classify":
        if "labels" in fields:
            fields.problem("labels", "Only a classification has labels.", suggestion="Write 'task: classify'?")
        return {}
    labels = fields.named_texts("labels") if fields.required("labels") else {}
    if labels and len(labels) < _FEWEST_LABELS:
        fields.problem("labels", f"A classification needs at least {_FEWEST_LABELS} labels.")
    return labels


def _output(fields: Fields, task: Task, labels: Mapping[str, str]) -> Mapping[str, Any]:
    if task == "generate" and fields.data.get("output") == "message":
        return MESSAGE_SCHEMA
    if task != "classify":
        schema = fields.schema("output")
        if task == "generate" and schema and not schema.get("properties"):
            suggestion = "Give its 'properties', or 'output: message': subject, body_html, disclaimers, citations."
            detail = "What a model writes is never free text: the output names no field."
            fields.problem("output", detail, suggestion=suggestion, code="free-text")
        return schema
    default = classification_schema(tuple(labels))
    given = fields.schema("output", default)
    properties = cast("Mapping[str, Any]", given.get("properties") or {})
    if "output" in fields and ("label" not in properties or "confidence" not in properties):
        suggestion = "Leave 'output' out: it follows from the labels."
        fields.problem("output", "A classification gives 'label' and 'confidence'.", suggestion=suggestion)
        return default
    listed = fields.mapping("output").mapping("properties").mapping("label").data.get("enum")
    if "output" in fields and listed is not None and set(cast("list[str]", listed)) != set(labels):
        place = (*fields.path, "output", "properties", "label", "enum")
        fields.report.add(place, "These are not the labels.", suggestion=f"Write: {', '.join(labels)}.")
    return given


def _examples(
    fields: Fields, task: Task, input_schema: Mapping[str, Any], output_schema: Mapping[str, Any]
) -> tuple[Example, ...]:
    found: list[Example] = []
    for item in fields.items("examples"):
        item.only("input", "output")
        example = Example(item.mapping("input").data, item.mapping("output").data)
        # An example says which label is right, not how sure somebody was of it.
        output = {"confidence": 1.0, **example.output} if task == "classify" else example.output
        for side, schema, value in (("input", input_schema, example.input), ("output", output_schema, output)):
            for problem in problems_with(schema, dict(value)):
                item.problem(side, f"The example's {side} breaks the prompt's schema: {problem}", code="example")
        found.append(example)
    if len(found) > MAX_EXAMPLES:
        fields.problem("examples", f"There are more than {MAX_EXAMPLES} examples.", code="limit")
    return tuple(found)


def _hints(fields: Fields, task: Task) -> dict[str, ExtractionHint]:
    found: dict[str, ExtractionHint] = {}
    if isinstance(fields.data.get("output"), str):
        return found  # a standard's name, or told already
    properties = fields.mapping("output").mapping("properties")
    for name in properties.data:
        if not isinstance(properties.data[name], Mapping) or HINT not in properties.data[name]:
            continue
        hint = properties.mapping(name).mapping(HINT)
        hint.only("kind", "pattern", "unit", "currency")
        if task != "extract":
            hint.problem(None, f"'{HINT}' belongs to a task 'extract'.")
        unit, currency = hint.text("unit", ""), hint.text("currency", "")
        if unit and unit != "cents":
            hint.problem("unit", f"'{unit}' is not a unit.", suggestion="Write 'cents', or leave it out.")
        if currency and not re.match(r"^[A-Z]{3}\Z", currency):
            hint.problem("currency", f"'{currency}' is no currency.", suggestion="Write its ISO 4217 code: USD.")
        kind = cast("HintKind", hint.one_of("kind", HINT_KINDS))
        found[name] = ExtractionHint(kind, _pattern(hint), unit or None, currency or None)
    return found


def _pattern(hint: Fields) -> str | None:
    pattern = hint.text("pattern", "")
    if len(pattern) > MAX_PATTERN_LENGTH:
        hint.problem("pattern", f"The pattern is longer than {MAX_PATTERN_LENGTH} characters.", code="limit")
        return None
    try:
        re.compile(pattern)
        for_ever = repeats_repeats(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        hint.problem("pattern", f"The pattern is no regular expression: {error}.", code="pattern")
        return None
    if for_ever:
        detail = "The pattern repeats a part that can be matched in several ways: some texts would take for ever."
        hint.problem("pattern", detail, suggestion="Write [A-Z-]+ for (?:[A-Z]+-?)+.", code="pattern")
        return None
    return pattern or None
