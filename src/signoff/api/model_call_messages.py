"""Calls to models and their costs, as the API tells them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class ModelCallOut(BaseModel):
    """One call to the gateway. It holds no content."""

    model_config = ConfigDict(from_attributes=True)

    call_id: UUID
    began_at: datetime
    project: str
    environment: str
    release: str
    principal: str = Field(description="On whose behalf, as `kind/id`.")
    team: str
    key_id: str | None
    workflow: str
    run_id: UUID | None
    step: str
    task: str
    prompt: str
    kind: str = Field(description="`chat`, `stream`, `task`, `embed`, …")
    outcome: str = Field(description="`ok`, `incomplete`, `lost` (its process died), or the kind of failure.")
    finish_reason: str
    model: str = Field(description="Who answered; empty where nobody did.")
    cached: bool = Field(description="Whether the answer was given before, and cost nothing.")
    model_calls: int = Field(description="Tries: calls to models.")
    input_tokens: int
    output_tokens: int
    cost_micro_usd: int = Field(description="Of all tries, in millionths of a US dollar.")
    first_token_s: float | None
    latency_s: float
    details: dict[str, Any] = Field(
        description="`considered`: the route's explanation; `tried`: every try with its cost and by which price;"
        " `tokens`: the vendor's report; `signals`: what detectors found."
    )


class ModelCallPage(BaseModel):
    """Part of the calls, newest first."""

    items: list[ModelCallOut]
    next: str | None


class CostOut(BaseModel):
    """What calls came to that have the same `by`."""

    model_config = ConfigDict(from_attributes=True)

    by: dict[str, str] = Field(description="What it is summed up by, and the value of each.")
    calls: int = Field(description="Calls to the gateway.")
    failed_calls: int
    cached_calls: int
    tries: int = Field(description="Calls to models.")
    input_tokens: int
    output_tokens: int
    cost_micro_usd: int = Field(description="In millionths of a US dollar.")


class CostPage(BaseModel):
    """Part of the sums, in the order of `by`."""

    items: list[CostOut]
    next: str | None


class LimitUseOut(BaseModel):
    """What is used of one limit."""

    model_config = ConfigDict(from_attributes=True)

    of: str = Field(description="`project`, `team`, `workflow`, `key` or `model`.")
    holder: str = Field(description="Whose it is; of a key its name where the limit names it, else its id.")
    unit: str = Field(description="`requests`, `tokens` or `micro_usd`.")
    every: str = Field(description="Its window: a length, such as `1m`, or `day`, `month`, ….")
    used: int = Field(description="In the window now, with what is set aside for calls under way.")
    most: int = Field(description="How much there is, as its last call knew it.")


class LimitUsePage(BaseModel):
    """Part of the limits that are asked for, by what they are of and whose they are."""

    items: list[LimitUseOut]
    next: str | None


class DifferenceOut(BaseModel):
    """What a model's calls of a day were estimated at, what its vendor reported, and what was counted."""

    model_config = ConfigDict(from_attributes=True)

    day: date
    model: str
    provider: str
    price_version: str = Field(description="By which prices the calls were paid.")
    tries: int
    unreported_calls: int = Field(description="Whose vendor reported no tokens: they are counted by estimate.")
    estimated_input_tokens: int
    reported_input_tokens: int
    input_tokens: int = Field(description="As counted, by which limits and costs go.")
    reported_output_tokens: int
    output_tokens: int
    estimated_cost_micro_usd: int = Field(description="What was set aside before the calls.")
    cost_micro_usd: int


class DifferencePage(BaseModel):
    """Part of the differences, by day and model."""

    items: list[DifferenceOut]
    next: str | None
