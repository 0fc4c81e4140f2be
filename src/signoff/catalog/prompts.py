"""Prompts: `prompts/*.md` of a project. A template with a contract: what goes in, what must come out, how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from signoff.core.errors import InvalidError, Problem
from signoff.core.labels import DataClass
from signoff.core.schemas import validate
from signoff.workflows.model import Contract

Task = Literal["classify", "extract", "generate"]
Role = Literal["system", "user", "assistant"]
HintKind = Literal["amount", "identifier", "date", "email"]

DEFAULT_MAX_OUTPUT_TOKENS = 512
"""How long a model's answer may be where the prompt does not say, in tokens."""
DEFAULT_TIMEOUT_S = 60.0
"""How long one model call may take where the prompt does not say, in seconds."""


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One rendered message of a prompt."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """An input and the output that is right for it: shown to models and used by classifiers."""

    input: Mapping[str, Any]
    output: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExtractionHint:
    """What a field of an extraction looks like, for extractors that are no language models.

    Attributes:
        kind: what the field is.
        pattern: a regular expression that finds it; its first group, or all of it, is the value.
        unit: for amounts, the unit of the output, e.g. `cents`.
        currency: for amounts, ISO 4217.
    """

    kind: HintKind
    pattern: str | None = None
    unit: str | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """One version of a prompt.

    Attributes:
        name: as documents name it, e.g. `classify`.
        version: its semantic version.
        purpose: one sentence for people.
        task: what kind of model work it is.
        input_schema: JSON Schema of its variables, an object.
        output_schema: JSON Schema of the answer, an object. Of a classification: `label` and `confidence`.
        sections: role and template source, in order.
        labels: of a classification: each label with its description.
        examples: shown to models, used by classifiers.
        hints: of an extraction: by field of the output.
        max_output_tokens: how long the answer may be.
        timeout_s: how long one model call may take, in seconds.
        data_class: the highest class of data that may go into it.
        file: its file in the project.
        digest: SHA-256 of that file, hexadecimal.
    """

    name: str
    version: str
    purpose: str
    task: Task
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    sections: tuple[tuple[Role, str], ...]
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    examples: tuple[Example, ...] = ()
    hints: Mapping[str, ExtractionHint] = field(default_factory=dict[str, ExtractionHint])
    max_output_tokens: int = DEFAULT_MAX_OUTPUT_TOKENS
    timeout_s: float = DEFAULT_TIMEOUT_S
    data_class: DataClass = DataClass.INTERNAL
    file: str = ""
    digest: str = ""

    @property
    def contract(self) -> Contract:
        """The part that the language must know."""
        return Contract(self.input_schema, self.output_schema)

    def render(self, variables: Mapping[str, Any]) -> tuple[PromptMessage, ...]:
        """The messages for a model. Values are put in as delimited data, never as instructions.

        Raises:
            InvalidError: a variable is missing, unknown or breaks the input schema.
            LimitError: the rendered messages together are longer than `templates.MAX_RENDERED_SIZE_BYTES`.
        """
        from signoff.catalog.templates import render_sections  # noqa: PLC0415  (Jinja2 only where prompts are rendered)

        declared = cast("Mapping[str, Any]", self.input_schema.get("properties") or {})
        problems = validate(self.input_schema, dict(variables))
        problems += [Problem(f"'{name}' is no variable of it.") for name in variables if name not in declared]
        if problems:
            detail = f"Prompt {self.name}@{self.version} cannot be rendered: {problems[0].detail}"
            raise InvalidError(detail, problems=problems)
        # A variable that may be left out is null to the template, so that `{% if note %}` needs no `is defined`.
        values: dict[str, Any] = {**dict.fromkeys(declared), **variables}
        authored = {
            "labels": self.labels,
            "examples": [{"input": example.input, "output": example.output} for example in self.examples],
        }
        messages = render_sections(self.sections, values, authored)
        return tuple(PromptMessage(cast("Role", role), content) for role, content in messages)
