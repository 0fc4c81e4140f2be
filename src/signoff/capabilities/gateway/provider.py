"""The `Provider` protocol: how a vendor's API or a local model is attached.

A provider does one thing: it makes one call. Policy, routing, fallback, budgets, retries, validation, repair and
accounting are the gateway's, the same for all. To add a vendor, write a class with the members of `Provider`, a factory
`(ModelSpec) -> Provider`, and give it to `Gateway(factories={"my_vendor": factory, **default_factories()})`. The
conformance suite (`tests/conformance/test_providers_conformance.py`) says what must hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from typing import Any, Literal, Protocol, runtime_checkable

from signoff.capabilities.gateway.model import FinishReason, TaskKind
from signoff.capabilities.gateway.reported import ChatUsage
from signoff.catalog.models import ModelSpec
from signoff.catalog.prompts import Example, ExtractionHint, PromptMessage
from signoff.core.values import value

FailureKind = Literal[
    "timeout",
    "rate_limited",
    "unavailable",
    "setup",
    "rejected",
    "cannot",
    "context_overflow",
    "content_filter",
    "quota",
    "contract",
]


@value
class ProviderRequest:
    """One call to one model.

    Attributes:
        task: the kind of work.
        messages: what to send, in order; a repair adds the earlier answer and its problems at the end.
        output_schema: JSON Schema of the answer; none means free text.
        variables, labels, examples, hints: as in `ModelTask`.
        likelihood: whether it is asked how likely it found its words.
        stop: texts at which the model may end; the gateway cuts the answer there in any case.
        max_output_tokens: how long the answer may be, in tokens.
        timeout_s: the gateway cuts the call off after so many seconds; a provider may stop its own work then.
    """

    task: TaskKind
    messages: Sequence[PromptMessage]
    output_schema: Mapping[str, Any] | None
    max_output_tokens: int
    timeout_s: float
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    examples: Sequence[Example] = ()
    hints: Mapping[str, ExtractionHint] = field(default_factory=dict[str, ExtractionHint])
    likelihood: bool = False
    stop: Sequence[str] = ()


@value
class ProviderReply:
    """What came back, unjudged: the gateway parses and validates it.

    Attributes:
        text: the answer; JSON where a schema was given.
        input_tokens: as the vendor counts and charges them.
        output_tokens: likewise.
        finish_reason: `stop`; `length` where the answer was cut; `refusal` where the model declined; `content_filter`
            where a filter of the vendor's withheld the answer, or refused the input.
        likelihood: how likely the model found its words, from 0 to 1; none where it does not say.
        usage: the vendor's report, by whose parts the call is paid; none where it reports nothing, and of local models.
    """

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    finish_reason: FinishReason = "stop"
    likelihood: float | None = None
    usage: ChatUsage | None = None


class ProviderError(Exception):
    """A call that gave no answer.

    Attributes:
        kind: `timeout`, `rate_limited` and `unavailable` may pass; `setup` (key, URL, missing model file) and
            `rejected` (the vendor finds the request wrong) do not by themselves; `cannot` means that the provider does
            not do this kind of task; `context_overflow`: the input is longer than the model reads; `content_filter`:
            the vendor's filter refused the input; `quota`: the account at the vendor has no money or allowance left.
        detail: for people, without keys, headers or content.
        retry_after_s: how long the vendor asked to wait, in seconds.
    """

    def __init__(self, kind: FailureKind, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.kind: FailureKind = kind
        self.detail = detail
        self.retry_after_s = retry_after_s

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.kind in ("timeout", "rate_limited", "unavailable")


class Provider(Protocol):
    """One configured model behind a vendor's API or in this process."""

    @property
    def name(self) -> str:
        """The provider kind, as `models.yaml` names it."""
        ...

    @property
    def tasks(self) -> frozenset[str]:
        """Which of `classify`, `extract`, `generate`, `embed` it does."""
        ...

    @property
    def local(self) -> bool:
        """Whether data stays in this process, and calls cost nothing."""
        ...

    @property
    def repairable(self) -> bool:
        """Whether telling it what was wrong can change its answer; a rule or a classifier cannot be told."""
        ...

    async def complete(self, request: ProviderRequest) -> ProviderReply:
        """One call. It must not block the event loop, must not retry by itself and must bear cancellation.

        Raises:
            ProviderError: there is no answer.
        """
        ...

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A vector of length 1 per text.

        Raises:
            ProviderError: there is no answer, or the provider does not embed.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections. A shared local model stays loaded."""
        ...


ProviderFactory = Callable[[ModelSpec], Provider]
"""Makes the provider of one configured model, whose `${env.NAME}` settings are resolved. Must not touch the network."""


@runtime_checkable
class TakesTurns(Protocol):
    """A provider that answers few calls at once: whoever waits for its turn is not timed out meanwhile."""

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Entered when the provider can take a call."""
        ...
