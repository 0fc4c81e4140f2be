"""What the gateway is asked, what it answers, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, Protocol
from uuid import UUID

from signoff.capabilities.gateway.budget import Budget
from signoff.catalog.answer_contracts import DEFAULT_REPAIRS
from signoff.catalog.prompts import Example, ExtractionHint, PromptMessage
from signoff.core.errors import Problem, StepError
from signoff.core.labels import BOTTOM, Labels
from signoff.core.money import NO_USAGE, Usage
from signoff.core.values import value

TaskKind = Literal["classify", "extract", "generate", "rerank", "ocr", "transcribe", "forecast", "detect", "optimise"]
FinishReason = Literal["stop", "length", "refusal", "content_filter"]

AnswerCheck = Callable[[Mapping[str, Any]], Sequence[Problem]]
"""What is wrong with an answer that meets its schema; nothing where it is good."""

MAX_CANDIDATES = 8
"""How many models of one route are tried at most."""
MAX_ANSWER_CHARACTERS = 200_000
"""Longer answers break the contract unread: a model that loops must not fill the journal."""


@value
class ModelTask:
    """One bounded piece of work for a model: a rendered prompt and the contract of its answer.

    Attributes:
        task: what kind of work it is.
        prompt: which prompt it was rendered from, without version; routes may ask for it.
        prompt_version: its version, for accounting.
        messages: the rendered messages.
        output_schema: JSON Schema (2020-12) of the answer; none lets a `generate` task answer `{"text": …}`.
        variables: the prompt's variables, for providers that are no language models.
        labels: of a classification: each label with its description.
        examples: inputs with the outputs that are right for them.
        hints: of an extraction: what each field looks like.
        max_output_tokens: how long one answer may be, in tokens.
        timeout_s: how long one call may take, in seconds.
        data_labels: the labels of what is in the messages; policy decides on them.
        untrusted: the variables that nobody vouches for; none leaves that to `data_labels`.
        checks: asked of an answer that meets the schema, in order; what they find is repaired like what breaks it.
        repairs: how often each model that can be talked to may correct an answer that breaks its contract.
        repair_budget: what all repairs of the task may cost together; none is no limit beside the run's.
        cached: whether an answer that was given before to the same task may be given again.
        likelihood: whether the model is asked how likely it found its words.
        stop: texts before which a free text ends.
    """

    task: TaskKind
    prompt: str
    messages: Sequence[PromptMessage]
    output_schema: Mapping[str, Any] | None = None
    prompt_version: str = ""
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    examples: Sequence[Example] = ()
    hints: Mapping[str, ExtractionHint] = field(default_factory=dict[str, ExtractionHint])
    max_output_tokens: int = 512
    timeout_s: float = 60.0
    data_labels: Labels = BOTTOM
    untrusted: frozenset[str] | None = None
    checks: Sequence[AnswerCheck] = ()
    repairs: int = DEFAULT_REPAIRS
    repair_budget: Budget | None = None
    cached: bool = False
    stop: Sequence[str] = ()
    likelihood: bool = False


@value
class Attempt:
    """One call to one model, failed or not: what accounting and the journal keep of it. It holds no content.

    Attributes:
        model: the name in `models.yaml`.
        provider: the provider kind.
        outcome: `ok`, or the kind of failure (`contract`, `timeout`, `rate_limited`, `unavailable`, …).
        usage: what it used; a failed call may have used tokens too.
        latency_s: how long it took, in seconds.
        repair: which repair of that model's answer it was; 0 is the first answer.
        broken: codes of what the answer broke.
    """

    model: str
    provider: str
    outcome: str
    usage: Usage = NO_USAGE
    latency_s: float = 0.0
    repair: int = 0
    broken: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The attempt for JSON."""
        found: dict[str, Any] = {
            "model": self.model,
            "provider": self.provider,
            "outcome": self.outcome,
            "usage": self.usage.as_dict(),
            "latency_s": round(self.latency_s, 6),
        }
        if self.repair:
            found["repair"] = self.repair
        if self.broken:
            found["broken"] = list(self.broken)
        return found


@value
class ModelResult:
    """An answer that meets its contract.

    Attributes:
        output: the answer, validated.
        model: the model that gave it, by its name in `models.yaml`.
        provider: its provider kind.
        usage: what all attempts together used.
        attempts: every call, in order; the last one succeeded.
        finish_reason: why the model stopped.
        latency_s: from the first call to the answer, in seconds.
        cached: whether it was given before.
        likelihood: how likely the model found its words, from 0 to 1; none where it was not asked or does not say.
    """

    output: Mapping[str, Any]
    model: str
    provider: str
    usage: Usage
    attempts: tuple[Attempt, ...]
    finish_reason: FinishReason
    latency_s: float
    cached: bool = False
    likelihood: float | None = None


@value
class Embeddings:
    """Vectors of texts, in their order, each of Euclidean length 1.

    Attributes:
        vectors: one per text.
        model: the model's name in `models.yaml`.
        usage: what the call used.
        call_id: under which the call's record is found, where it is kept.
    """

    vectors: tuple[tuple[float, ...], ...]
    model: str
    usage: Usage
    call_id: UUID | None = None


class ObligationLike(Protocol):
    """What the gateway needs of an obligation (`signoff.governance.policy.Obligation`)."""

    @property
    def kind(self) -> str:
        """The annotation's name, such as `redact`."""
        ...

    @property
    def value(self) -> str:
        """Its argument."""
        ...


class DecisionLike(Protocol):
    """What the gateway needs of a policy decision (`signoff.governance.policy.Decision`)."""

    @property
    def permit(self) -> bool:
        """Whether the call is permitted."""
        ...

    @property
    def policies(self) -> tuple[str, ...]:
        """The ids of the policies that decided."""
        ...

    @property
    def obligations(self) -> Sequence[ObligationLike]:
        """What must be done for the permit to hold. One that the gateway does not carry out makes it a deny."""
        ...


class Decide(Protocol):
    """The policy's answer on one model: called before each candidate, fallbacks included."""

    def __call__(self, model: str, attributes: Mapping[str, Any], /) -> DecisionLike:
        """Decide on `model.call` with that model, whose attributes are `provider`, `local`, `task` and `prompt`."""
        ...


class GatewayError(StepError):
    """A model task failed.

    Its kind is `model_contract`, `model_unavailable`, `model_refused`, `budget` or `forbidden`.

    Attributes:
        attempts: every call that was made: failed ones may have cost money.
        reason: the kind of the failure that says most, such as `rate_limited` or `rejected`; finer than `kind`.
        at_limit: what the project declared for this case; of kinds `quota` and `budget`.
    """

    code = "model"
    title = "Model task failed"

    def __init__(
        self,
        detail: str,
        *,
        kind: str,
        retryable: bool = False,
        retry_after_s: float | None = None,
        problems: Sequence[Problem] = (),
        attempts: Sequence[Attempt] = (),
        reason: str = "",
        at_limit: str = "",
    ) -> None:
        super().__init__(detail, kind=kind, retryable=retryable, retry_after_s=retry_after_s, problems=problems)
        self.attempts = tuple(attempts)
        self.reason = reason or kind
        self.at_limit = at_limit

    @property
    def usage(self) -> Usage:
        """What all attempts together used."""
        return total_usage(self.attempts)


def total_usage(attempts: Sequence[Attempt]) -> Usage:
    """The sum over attempts."""
    result = NO_USAGE
    for attempt in attempts:
        result = result + attempt.usage
    return result
