"""A call's record as rows: itself, and what it adds to the sums of its day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from signoff.capabilities.gateway.asking import CallRecord, Considered, Tried
from signoff.capabilities.gateway.chat import ChatUsage

_TOKENS = tuple(one.name for one in fields(ChatUsage) if one.name != "vendor")
LOST = "lost"
"""The outcome of a call whose process died before its end."""
GOOD = ("ok", "incomplete")


def call_row(record: CallRecord) -> dict[str, Any]:
    """A row of `model_call`."""
    caller, asked, usage = record.asked.caller, record.asked, record.usage
    return {
        "org_id": str(caller.org_id),
        "call_id": str(record.id),
        "began_at": record.at.isoformat(),
        "project": caller.project,
        "environment": caller.environment,
        "release": caller.release,
        "principal": caller.principal,
        "team": caller.team,
        "key_id": None if caller.key is None else str(caller.key),
        "workflow": caller.workflow,
        "run_id": None if caller.run_id is None else str(caller.run_id),
        "step": caller.step,
        "task": asked.task,
        "prompt": asked.prompt,
        "kind": record.kind,
        "outcome": record.outcome,
        "finish_reason": record.finish_reason,
        "model": record.model,
        "cached": record.cached,
        "model_calls": usage.model_calls,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cost_micro_usd": usage.cost.micro_usd,
        "first_token_s": record.first_token_s,
        "latency_s": record.latency_s,
        "details": {
            "asked_model": asked.model,
            "data_class": asked.data_labels.data_class.name.lower(),
            "considered": [_considered(one) for one in record.considered],
            "tried": [_try(one) for one in record.tried],
            "tokens": _tokens(record.tokens),
            "signals": dict(record.signals),
        },
    }


def day_rows(record: CallRecord) -> list[dict[str, Any]]:
    """Rows to be added to `model_cost_day`: one for each try, and one for the call."""
    caller = record.asked.caller
    common = {
        "org_id": str(caller.org_id),
        "day": record.at.astimezone(UTC).date().isoformat(),
        "project": caller.project,
        "environment": caller.environment,
        "team": caller.team,
        "workflow": caller.workflow,
        "principal": caller.principal,
    }
    answered = record.tried[-1] if record.tried and record.model == record.tried[-1].model else None
    found = [{**common, **_sums(one, record.tokens if one is answered else None)} for one in record.tried]
    call = {
        **_NOTHING,
        "model": record.model,
        "provider": "" if answered is None else answered.provider,
        "price_version": "" if answered is None else answered.price_version,
        "calls": 1,
        "failed_calls": int(record.outcome not in GOOD),
        "cached_calls": int(record.cached),
    }
    return [*found, {**common, **call}]


_NOTHING: Mapping[str, Any] = dict.fromkeys(
    (
        "calls",
        "failed_calls",
        "cached_calls",
        "tries",
        "input_tokens",
        "output_tokens",
        "cost_micro_usd",
        "estimated_input_tokens",
        "estimated_cost_micro_usd",
        "unreported_calls",
        "reported_input_tokens",
        "reported_output_tokens",
    ),
    0,
)


def _sums(one: Tried, tokens: ChatUsage | None) -> dict[str, Any]:
    reported = tokens if tokens is not None and tokens.reported else None
    cost = None if one.estimate is None else one.estimate.cost
    return {
        **_NOTHING,
        "model": one.model,
        "provider": one.provider,
        "price_version": one.price_version,
        "tries": 1,
        "input_tokens": one.usage.input_tokens,
        "output_tokens": one.usage.output_tokens,
        "cost_micro_usd": one.usage.cost.micro_usd,
        "estimated_input_tokens": 0 if one.estimate is None else one.estimate.input_tokens,
        "estimated_cost_micro_usd": 0 if cost is None else cost.micro_usd,
        "unreported_calls": int(reported is None),
        "reported_input_tokens": 0 if reported is None else reported.input_tokens,
        "reported_output_tokens": 0 if reported is None else reported.output_tokens,
    }


def lost_rows(org_id: UUID, call_id: UUID, at: datetime, about: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The rows of a call that nobody settled: what was set aside for it may have been spent, and counts as spent."""
    cost = about["cost_micro_usd"] or 0
    usage = {
        "input_tokens": about["input_tokens"],
        "output_tokens": about["output_tokens"],
        "cost_micro_usd": cost,
    }
    place = {name: about[name] for name in ("project", "environment", "principal", "team", "workflow")}
    row: dict[str, Any] = {
        **place,
        **usage,
        "org_id": str(org_id),
        "call_id": str(call_id),
        "began_at": at.isoformat(),
        "release": about["release"],
        "key_id": about["key"],
        "run_id": about["run_id"],
        "step": about["step"],
        "task": about["task"],
        "prompt": about["prompt"],
        "kind": "chat",
        "outcome": LOST,
        "finish_reason": "",
        "model": about["model"],
        "cached": False,
        "model_calls": 1,
        "first_token_s": None,
        "latency_s": 0.0,
        "details": {"tried": [], "considered": []},
    }
    day: dict[str, Any] = {
        **_NOTHING,
        **place,
        **usage,
        "org_id": str(org_id),
        "day": at.astimezone(UTC).date().isoformat(),
        "model": about["model"],
        "provider": about["provider"],
        "price_version": "",
        "calls": 1,
        "failed_calls": 1,
        "tries": 1,
        "estimated_input_tokens": about["input_tokens"],
        "estimated_cost_micro_usd": cost,
        "unreported_calls": 1,
    }
    return row, day


def _try(one: Tried) -> dict[str, Any]:
    return {
        "model": one.model,
        "provider": one.provider,
        "outcome": one.outcome,
        **one.usage.as_dict(),
        "first_token_s": one.first_token_s,
        "latency_s": round(one.latency_s, 6),
        "price_version": one.price_version,
        "estimated_cost_micro_usd": None
        if one.estimate is None or one.estimate.cost is None
        else one.estimate.cost.micro_usd,
    }


def _considered(one: Considered) -> dict[str, Any]:
    return {"model": one.model, "excluded": one.excluded, "by": one.by, "rank": one.rank, "why": dict(one.why)}


def _tokens(tokens: ChatUsage) -> dict[str, Any]:
    """The vendor's report, as far as it is the same for all vendors."""
    return {name: getattr(tokens, name) for name in _TOKENS}
