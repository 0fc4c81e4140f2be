"""What is asked of records, and what comes back."""

from __future__ import annotations

from dataclasses import field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from signoff.core.values import value


@value
class CallFilter:
    """Which calls; what is empty leaves open."""

    run_id: UUID | None = None
    team: str = ""
    workflow: str = ""
    model: str = ""
    outcome: str = ""
    project: str = ""
    environment: str = ""


@value
class CallSummary:
    """One call as it is kept. It holds no content.

    Attributes:
        call_id: a UUIDv7.
        cost_micro_usd: of all tries, in millionths of a US dollar.
        details: who was `considered`, every try (`tried`), the vendor's report (`tokens`), `signals` of detectors.
    """

    call_id: UUID
    began_at: datetime
    project: str
    environment: str
    release: str
    principal: str
    team: str
    key_id: str | None
    workflow: str
    run_id: UUID | None
    step: str
    task: str
    prompt: str
    kind: str
    outcome: str
    finish_reason: str
    model: str
    cached: bool
    model_calls: int
    input_tokens: int
    output_tokens: int
    cost_micro_usd: int
    first_token_s: float | None
    latency_s: float
    details: dict[str, Any] = field(default_factory=dict[str, Any])


@value
class CostFilter:
    """Which days' sums; what is empty leaves open. Both days are included."""

    first: date
    last: date
    project: str = ""
    environment: str = ""
    team: str = ""
    workflow: str = ""
    model: str = ""


@value
class CostLine:
    """What calls came to that have the same `by`.

    Attributes:
        by: values of what it is summed up by, in that order, as text.
        calls: to the gateway; `tries` are calls to models.
        failed_calls, cached_calls: of the calls.
    """

    by: tuple[str, ...]
    calls: int
    failed_calls: int
    cached_calls: int
    tries: int
    input_tokens: int
    output_tokens: int
    cost_micro_usd: int


@value
class Difference:
    """What a model's calls of a day were estimated at, what its vendor reported, and what was counted.

    Attributes:
        unreported_calls: whose vendor said nothing: they are counted by estimate.
        input_tokens, output_tokens, cost_micro_usd: as counted, by which budgets went.
    """

    day: date
    model: str
    provider: str
    price_version: str
    tries: int
    unreported_calls: int
    estimated_input_tokens: int
    reported_input_tokens: int
    input_tokens: int
    reported_output_tokens: int
    output_tokens: int
    estimated_cost_micro_usd: int
    cost_micro_usd: int
