"""Prompts: `prompts/*.md` of a project. A template with a contract: what goes in, what must come out, how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, cast

from signoff.catalog.answer_contracts import AnswerContract
from signoff.catalog.variants import Alternative, Dimension, choose
from signoff.core.errors import InvalidError, Problem
from signoff.core.labels import DataClass
from signoff.core.schemas import validate
from signoff.core.values import value
from signoff.workflows.model import Contract, Expression

Task = Literal["classify", "extract", "generate"]
Role = Literal["system", "user", "assistant"]
HintKind = Literal["amount", "identifier", "date", "email"]

DEFAULT_MAX_OUTPUT_TOKENS = 512
"""How long a model's answer may be where the prompt does not say, in tokens."""
DEFAULT_TIMEOUT_S = 60.0
"""How long one model call may take where the prompt does not say, in seconds."""


@value
class PromptMessage:
    """One rendered message of a prompt."""

    role: Role
    content: str


@value
class Example:
    """An input and the output that is right for it: shown to models and used by classifiers."""

    input: Mapping[str, Any]
    output: Mapping[str, Any]


@value
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


@value
class ModelNeeds:
    """What a model must be to answer a prompt; `signoff check` holds it against the prompt's routes.

    Attributes:
        local: it runs inside the deployment.
        region: it says this region.
        context_tokens: it takes in at least so many tokens.
    """

    local: bool = False
    region: str | None = None
    context_tokens: int | None = None


@value
class PromptTest:
    """One of a prompt's own test cases.

    Attributes:
        name: unique in the prompt.
        input: the variables.
        expect: fields of the answer that must be equal; others may be anything.
        asserts: CEL over the answer's fields, each with its source; all must be true.
        answer: what a scripted model answers, so that the case also runs without a model.
        line: its line in the file, from 1.
    """

    name: str
    input: Mapping[str, Any]
    expect: Mapping[str, Any] = field(default_factory=dict[str, Any])
    asserts: tuple[Expression, ...] = ()
    answer: Mapping[str, Any] | None = None
    line: int = 0


@value
class Threshold:
    """What a version's score must reach: at least, or at most, a value."""

    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float) -> bool:
        """Whether a score is good enough."""
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    def as_dict(self) -> dict[str, float]:
        """The bounds that are set, for JSON."""
        bounds = {"at_least": self.at_least, "at_most": self.at_most}
        return {name: value for name, value in bounds.items() if value is not None}


@value
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
        cache: whether an answer that was given before to exactly the same may be given again.
        file: its file in the project.
        digest: SHA-256 of that file, hexadecimal.
        owners: who answers for it: `user/ana`, `role/support-lead`, `team/support`.
        needs: what a model must be to answer it.
        tests: its own test cases.
        quality: by metric, what a version's score must reach.
        dimensions: how its sections vary, what counts most first.
        alternatives: of each section, in the order of `sections`: its texts for some values.
        answer: what is demanded of an answer beside its schema.
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
    cache: bool = False
    file: str = ""
    digest: str = ""
    owners: tuple[str, ...] = ()
    needs: ModelNeeds = ModelNeeds()
    tests: tuple[PromptTest, ...] = ()
    quality: Mapping[str, Threshold] = field(default_factory=dict[str, Threshold])
    dimensions: tuple[Dimension, ...] = ()
    alternatives: tuple[tuple[Alternative, ...], ...] = ()
    answer: AnswerContract = field(default_factory=AnswerContract)

    @property
    def contract(self) -> Contract:
        """The part that the language must know."""
        return Contract(self.input_schema, self.answer.step_schema(self.output_schema))

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
        messages = render_sections(self.chosen_sections(values), values, authored)
        return tuple(PromptMessage(cast("Role", role), content) for role, content in messages)

    def chosen_sections(self, values: Mapping[str, Any]) -> tuple[tuple[Role, str], ...]:
        """Role and template of each section, in the variant that fits these variables best."""
        if not self.dimensions:
            return self.sections
        return tuple(
            (role, choose(source, alternatives, self.dimensions, values))
            for (role, source), alternatives in zip(self.sections, self.alternatives, strict=True)
        )
