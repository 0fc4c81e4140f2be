"""Who asks a model for what, what room a call needs, and what is kept of it: what the gateway's parts share.

A call goes through them in this order: route (policy, requirements, health), cache, and then for each candidate until
one answers: protection, limits, breaker, the call itself, settlement. One record is kept of it all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from signoff.capabilities.gateway.budget import Budget
from signoff.capabilities.gateway.chat import ChatReply, ChatRequest, ChatUsage
from signoff.capabilities.gateway.model import Attempt, GatewayError
from signoff.capabilities.gateway.protection import TokenVault
from signoff.catalog.models import ModelSpec
from signoff.core.labels import BOTTOM, Labels
from signoff.core.money import Cost, Usage
from signoff.core.values import value

AtLimit = Literal["refuse", "cheaper", "ask", "park"]
"""What happens at a limit: the call fails; a cheaper candidate is tried; a person is asked; the run waits for room."""


@value
class Caller:
    """On whose account a call is made: what limits count by, and records are found by.

    Attributes:
        org_id: whose project it is.
        project, environment, release: whose models, routes and limits hold; the release by its digest.
        principal: who asks, such as `key/…`; of a run, whoever started it.
        team: the workflow's owner, or the key's team; empty where there is none.
        key: the API key's id; none for runs.
        workflow, run_id, step: of a run's call; empty or none else.
    """

    org_id: UUID
    project: str
    environment: str
    release: str
    principal: str
    team: str = ""
    key: str | None = None
    workflow: str = ""
    run_id: UUID | None = None
    step: str = ""


NOBODY = Caller(UUID(int=0), "", "", "", "")
"""Who asks where nobody says: of no organisation, so that nothing is counted or recorded."""


@dataclass(frozen=True, slots=True, eq=False)
class Purse:
    """What pays for a run's chats beside the project's limits, and who is told of each call.

    Attributes:
        budget: what the run may still spend; none is no limit.
        observe: told every call as it ends, also one that fails or is cancelled.
    """

    budget: Budget | None
    observe: Callable[[Attempt], None]


@value
class Asked:
    """What the caller wants of whichever model answers.

    Attributes:
        caller: on whose account.
        model: a model's name in `models.yaml`, a route's, or empty for whatever the task's route says.
        task: `chat`, or one of the tasks of `models.yaml`.
        prompt: which prompt it was rendered from; empty for none.
        data_labels: of what is in the request; policy decides on them.
        risk: the workflow's risk class, such as `low`; empty where there is none.
        latency_s: how soon the caller wants the first token, in seconds; none is no objective.
        region: where the answer must be computed, such as `eu`; empty for anywhere that policy permits.
        continues: whether an answer that broke off may be continued by another model.
        cached: whether an answer given before to the same question may be given again.
        sticky: calls with the same one get the same of weighted models and canaries; empty draws anew each time.
        over_limit: a person let this call go beyond the limits that ask at theirs.
        ceilings: limits of cost that several runs share, each with the run whose it is.
        trace: the caller's span, as W3C's `traceparent`; empty where it has none.
        purse: of a run's chat; none where no run pays.
        vault: where a run's step keeps what tokens stand for; none where there is no run.
        untrusted: texts in the request that nobody vouches for, beside what tools gave: looked at for injections.
    """

    caller: Caller
    model: str = ""
    task: str = "chat"
    prompt: str = ""
    data_labels: Labels = BOTTOM
    risk: str = ""
    latency_s: float | None = None
    region: str = ""
    continues: bool = False
    cached: bool = False
    over_limit: bool = False
    ceilings: tuple[tuple[UUID, Cost], ...] = ()
    sticky: str = ""
    trace: str = ""
    purse: Purse | None = field(default=None, compare=False, repr=False)
    untrusted: tuple[str, ...] = field(default=(), compare=False, repr=False)
    vault: TokenVault | None = field(default=None, compare=False, repr=False)


@value
class Estimate:
    """What a call may come to at most, before it is made.

    Attributes:
        input_tokens: from above, without a tokenizer.
        output_tokens: the most that may be written.
        cost: by the model's price; none where nobody knows it.
    """

    input_tokens: int
    output_tokens: int
    cost: Cost | None


class LimitReached(Exception):  # noqa: N818  (never leaves the gateway; it becomes an outcome of its kind)
    """A quota or a budget has no room for a call.

    Attributes:
        kind: `quota` or `budget`.
        limit: which one, for people, such as `60 requests a minute of team/support`.
        at_limit: what the project declared for this case.
        retry_after_s: when there is room again, in seconds; none where that is not a matter of time.
    """

    def __init__(
        self,
        kind: Literal["quota", "budget"],
        limit: str,
        at_limit: AtLimit = "refuse",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(limit)
        self.kind: Literal["quota", "budget"] = kind
        self.limit = limit
        self.at_limit: AtLimit = at_limit
        self.retry_after_s = retry_after_s

    @property
    def detail(self) -> str:
        """Why the call is not made, as a sentence."""
        return f"A limit lets it not pass: {self.limit}."


class Admission(Protocol):
    """Room that was set aside for one call.

    What nobody settles counts as spent, and is told as lost once its lease is over.
    """

    async def settle(self, usage: Usage) -> None:
        """Replace what was set aside by what was used. It may be called once; nothing used is settled as such.

        It does not wait for anything: what is to be written is written later.
        """
        ...


class Limits(Protocol):
    """Quotas and budgets of all callers, exact over all processes."""

    async def admit(self, asked: Asked, spec: ModelSpec, estimate: Estimate) -> Admission:
        """Set room aside in every limit that counts the call, or in none.

        Raises:
            LimitReached: one has no room.
        """
        ...


@value
class Considered:
    """One model that a route named, and what became of it.

    Attributes:
        model: its name in `models.yaml`.
        excluded: why it was not a candidate, in words; empty where it was one.
        by: the policies that excluded it.
        rank: its place among the candidates, from 1; 0 where it was excluded.
        why: what its rank is made of: price, latency, health, quality, weight.
    """

    model: str
    excluded: str = ""
    by: tuple[str, ...] = ()
    rank: int = 0
    why: Mapping[str, float | str] = field(default_factory=dict[str, "float | str"])


@value
class Tried:
    """One call to one model within a call to the gateway. It holds no content.

    Attributes:
        model, provider: by their names.
        outcome: `ok`, or the kind of failure.
        usage: what it used.
        first_token_s: from the request to the first token, in seconds; none where none came.
        latency_s: from the request to the end, in seconds.
        price_version: which price table its cost is by, as `pricing.priced` names it; empty where it has no price.
        estimate: what was set aside for it; none where nothing was.
        tokens: what the vendor reported of it; none where that is the record's, or nothing.
    """

    model: str
    provider: str
    outcome: str
    usage: Usage
    first_token_s: float | None
    latency_s: float
    price_version: str = ""
    estimate: Estimate | None = None
    tokens: ChatUsage | None = None


@value
class CallRecord:
    """What is kept of one call to the gateway. It holds no content and no secret.

    Attributes:
        id: a UUIDv7.
        at: when it began.
        asked: by whom and for what.
        kind: `chat`, `stream`, `task`, `embed` or another kind of work.
        outcome: `ok`, `incomplete`, or the kind of failure.
        finish_reason: why the answer ended; empty where there is none.
        model: who answered; empty where nobody did.
        considered: the route's explanation.
        tried: every attempt, in order.
        usage: of all attempts together.
        tokens: the vendor's report of the answer's tokens.
        first_token_s, latency_s: from the caller's view, in seconds.
        cached: whether the answer came from the cache.
        signals: what detectors found, such as `injection: 0.93`; no content.
    """

    id: UUID
    at: datetime
    asked: Asked
    kind: str
    outcome: str
    finish_reason: str
    model: str
    considered: Sequence[Considered]
    tried: Sequence[Tried]
    usage: Usage
    tokens: ChatUsage
    first_token_s: float | None
    latency_s: float
    cached: bool = False
    signals: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Recorder(Protocol):
    """Keeps records of calls. It must not delay the call: records are written in batches."""

    def record(self, record: CallRecord) -> None:
        """Keep it."""
        ...


@value
class Recorders:
    """Several that keep records of calls; each is told of all."""

    each: Sequence[Recorder]

    def record(self, record: CallRecord) -> None:
        """Tell each."""
        for one in self.each:
            one.record(record)


@value
class ChatResult:
    """An answer and how it was come by.

    Attributes:
        reply: the answer; its finish reason may be `refusal`, `content_filter`, `length` or `incomplete`.
        record: what is kept of the call.
    """

    reply: ChatReply
    record: CallRecord


class ChatError(GatewayError):
    """A chat that nobody answered.

    Attributes:
        record: what is kept of the call.
    """

    def __init__(self, error: GatewayError, record: CallRecord) -> None:
        super().__init__(
            error.detail,
            kind=error.kind,
            retryable=error.retryable,
            retry_after_s=error.retry_after_s,
            problems=error.problems,
            attempts=error.attempts,
            reason=error.reason,
            at_limit=error.at_limit,
        )
        self.record = record


@dataclass(slots=True)
class Question:
    """A question that may have been asked before.

    Attributes:
        kept: the answer that was given before; none where there is none.
        answer: set by whoever asks now; none keeps nothing.
    """

    kept: ChatReply | None = None
    answer: ChatReply | None = None


class AnswerCache(Protocol):
    """Answers given before. What they are found by is the cache's: release, labels and principal among it."""

    async def answered(
        self, asked: Asked, models: Sequence[str], request: ChatRequest, ask: Callable[[], Awaitable[ChatReply]]
    ) -> tuple[ChatReply, bool]:
        """The answer that is kept for this question, or that of `ask`, and whether it was kept.

        Of several that ask the same at once one calls `ask`, and the others wait for it. What `ask` raises is raised;
        only a reply whose finish reason is `stop` or `tool_calls` is kept.

        Args:
            asked: by whom, for what; asked for only where `asked.cached`.
            models: the candidates by their names, best first.
            request: what is asked, unprotected.
            ask: asks the models.
        """
        ...

    def asking(
        self, asked: Asked, models: Sequence[str], request: ChatRequest
    ) -> AbstractAsyncContextManager[Question]:
        """As `answered`, for answers that come in pieces: the block asks, and says the whole answer at its end."""
        ...
