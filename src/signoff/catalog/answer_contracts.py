"""What a prompt demands of an answer beside its schema: rules, repairs, citations, confidence, filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, cast

from signoff.core.money import Cost
from signoff.core.values import value
from signoff.workflows.model import Expression

RuleSeverity = Literal["block", "warn"]
ConfidenceKind = Literal["minimum", "product", "mean", "logistic"]
Signal = Literal["own", "likelihood", "agreement", "completeness", "rules", "support"]
FilterName = Literal["html", "secrets", "links", "personal_data", "promises", "toxicity"]
FilterVerdict = Literal["change", "review", "block", "warn"]

CONFIDENCE_KINDS: tuple[ConfidenceKind, ...] = ("minimum", "product", "mean", "logistic")
SIGNALS: tuple[Signal, ...] = ("own", "likelihood", "agreement", "completeness", "rules", "support")
FILTER_VERDICTS: Mapping[FilterName, tuple[FilterVerdict, ...]] = {
    "html": ("change",),
    "secrets": ("block", "change", "review", "warn"),
    "links": ("review", "block", "warn"),
    "personal_data": ("review", "change", "block", "warn"),
    "promises": ("review", "block", "warn"),
    "toxicity": ("block", "review", "warn"),
}
"""What each filter may do with what it finds; the first is what it does where a prompt does not say."""
OUTGOING_VERDICTS: tuple[FilterVerdict, ...] = ("block", "review", "warn")
"""What a filter may do with what a tool or an event is about to send; the first where nothing is said. None changes it:
policy and people decided on exactly these arguments."""
CONTENT_FILTERS: tuple[FilterName, ...] = ("secrets", "links", "personal_data", "promises", "toxicity")
"""Those that may stand before and after a call to a model; `html` judges no text, it makes another one."""
CONTENT_VERDICTS: tuple[FilterVerdict, ...] = ("block", "warn")
"""What such a filter may do with what it finds; the first where nothing is said."""

DEFAULT_REPAIRS = 2
"""How often a model may correct an answer that breaks its contract, where the prompt does not say."""
MAX_REPAIRS = 5
"""The most repairs that a prompt may ask for: a model that is told five times does not learn by the sixth."""
MAX_ANSWERS = 5
"""The most answers that agreement may compare."""

FILTERED_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "review": {"type": "boolean"},
        "changed": {"type": "boolean"},
        "reasons": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["review", "changed", "reasons"],
    "additionalProperties": False,
}
"""What a step says of its filters, as the field `filtered`: whether a person is asked for, and why; whether they
changed the text."""
CONFIDENCE_SCHEMA: Mapping[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}

MESSAGE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "subject": {"type": "string", "maxLength": 200},
        "body_html": {"type": "string", "maxLength": 20_000},
        "disclaimers": {"type": "array", "items": {"type": "string", "maxLength": 1_000}, "maxItems": 20},
        "citations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "quote": {"type": "string", "minLength": 1, "maxLength": 2_000},
                    "chunk_id": {"type": "string", "maxLength": 200},
                },
                "required": ["quote"],
                "additionalProperties": False,
            },
            "maxItems": 50,
        },
    },
    "required": ["subject", "body_html", "disclaimers", "citations"],
    "additionalProperties": False,
}
"""`output: message`: natural language that goes out, in its standard fields."""
HTML_FIELD = "body_html"
"""A field of this name is sanitised whether the prompt says so or not."""


@value
class AnswerRule:
    """A condition across the fields of an answer.

    Attributes:
        id: stable name, for journals.
        expression: compiled CEL over the answer's fields; true means met.
        message: what a model is told to do better, and people read.
        severity: `block`: the answer is repaired, or fails. `warn`: it only lowers the signal `rules`.
    """

    id: str
    expression: Expression
    message: str
    severity: RuleSeverity = "block"


@value
class RepairLimits:
    """How far a wrong answer is repaired.

    Attributes:
        attempts: repairs of each model that is asked.
        cost: what all repairs of one try of a step may cost together; none is no limit of their own.
    """

    attempts: int = DEFAULT_REPAIRS
    cost: Cost | None = None


@value
class CitationContract:
    """An answer must quote what was retrieved.

    Attributes:
        source: the input variable that carries the hits of a `retrieve` step.
        field: the answer's list of quotes: texts, or objects with `quote` and perhaps `chunk_id`.
        least: how many there must be.
    """

    source: str
    field: str = "citations"
    least: int = 1


@value
class Agreement:
    """More answers to compare with the first.

    Attributes:
        answers: how many in all, the first included.
        model: who gives the others; the prompt's own route where none is named.
        fields: what must be equal; every field but `confidence` where none is named.
    """

    answers: int = 2
    model: str | None = None
    fields: tuple[str, ...] = ()


@value
class ConfidenceContract:
    """How sure a step is of its answer, from several signals.

    Attributes:
        kind: the rule that joins them.
        signals: which; in order.
        calibration: the document in `calibrations/` that makes a probability of the score; none leaves it a score.
        agreement: where the signal `agreement` comes from.
    """

    kind: ConfidenceKind
    signals: tuple[Signal, ...]
    calibration: str | None = None
    agreement: Agreement = Agreement()

    @property
    def asks_likelihood(self) -> bool:
        """Whether models are asked how likely they found their words."""
        return "likelihood" in self.signals


@value
class FilterUse:
    """A filter on outgoing text.

    Attributes:
        name: which.
        verdict: what becomes of a text in which it finds something.
        output_field: the field that it reads, of the answer, the arguments or the event's data; every text of it where
            none is named.
        settings: its own: `hosts`, `allow`, `words`, `patterns`.
    """

    name: FilterName
    verdict: FilterVerdict
    output_field: str | None = None
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@value
class AnswerContract:
    """Everything that a prompt demands of an answer beside its schema. `filters` has those that need no asking, too."""

    rules: tuple[AnswerRule, ...] = ()
    repair: RepairLimits = RepairLimits()
    citations: CitationContract | None = None
    confidence: ConfidenceContract | None = None
    filters: tuple[FilterUse, ...] = ()

    @property
    def may_ask(self) -> bool:
        """Whether a filter can ask for a person, so that the step's output says whether one did."""
        return any(use.verdict == "review" for use in self.filters)

    def step_schema(self, answer_schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the step gives: the answer, with `confidence` and `filtered` where the contract makes them."""
        added: dict[str, Any] = {}
        if self.confidence is not None:
            added["confidence"] = CONFIDENCE_SCHEMA
        if self.may_ask:
            added["filtered"] = FILTERED_SCHEMA
        if not added:
            return answer_schema
        properties = cast("Mapping[str, Any]", answer_schema.get("properties") or {})
        required = [name for name in cast("list[str]", answer_schema.get("required") or []) if name not in added]
        return {**answer_schema, "properties": {**properties, **added}, "required": [*required, *added]}
