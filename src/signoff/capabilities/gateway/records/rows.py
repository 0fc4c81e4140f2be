"""A call's record as rows: itself, and what it adds to the sums of its day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from signoff.capabilities.gateway.asking import CallRecord, Considered, Tried
from signoff.capabilities.gateway.chat import ChatUsage
from signoff.capabilities.gateway.pricing import LOCAL

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


class DaySums:
    """What calls add to the sums of their days, added up: a batch has hundreds of calls, and a handful of rows."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, ...], dict[str, int]] = {}

    def add(self, record: CallRecord) -> None:
        """One call, and each of its tries."""
        caller = record.asked.caller
        place = (
            str(caller.org_id),
            record.at.astimezone(UTC).date().isoformat(),
            caller.project,
            caller.environment,
            caller.team,
            caller.workflow,
            caller.principal,
        )
        answered = record.tried[-1] if record.tried and record.model == record.tried[-1].model else None
        for one in record.tried:
            sums = self._of((*place, one.model, one.provider, one.price_version))
            _add_try(sums, one, one.tokens or (record.tokens if one is answered else None))
        by = ("", "") if answered is None else (answered.provider, answered.price_version)
        sums = self._of((*place, record.model, *by))
        sums["calls"] += 1
        sums["failed_calls"] += record.outcome not in GOOD
        sums["cached_calls"] += record.cached

    def add_lost(self, org_id: UUID, at: datetime, about: Mapping[str, Any]) -> None:
        """A call that nobody settled."""
        place = (str(about[name]) for name in ("project", "environment", "team", "workflow", "principal"))
        day = at.astimezone(UTC).date().isoformat()
        sums = self._of((str(org_id), day, *place, about["model"], about["provider"], ""))
        lost = _lost(about)
        for name, number in (
            *((name, 1) for name in ("calls", "failed_calls", "tries", "unreported_calls")),
            *((name, lost["input_tokens"]) for name in ("input_tokens", "estimated_input_tokens")),
            *((name, lost["cost_micro_usd"]) for name in ("cost_micro_usd", "estimated_cost_micro_usd")),
            ("output_tokens", lost["output_tokens"]),
        ):
            sums[name] += number

    def rows(self) -> list[dict[str, Any]]:
        """Rows to be added to `model_cost_day`, in one order, so that two processes do not wait for each other."""
        return [dict(zip(_OF_DAY, key, strict=True)) | sums for key, sums in sorted(self._found.items())]

    def _of(self, key: tuple[str, ...]) -> dict[str, int]:
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = dict.fromkeys(_SUMS, 0)
        return found


_OF_DAY = (
    *("org_id", "day", "project", "environment", "team", "workflow", "principal"),
    *("model", "provider", "price_version"),
)
_SUMS = (
    *("calls", "failed_calls", "cached_calls", "tries", "input_tokens", "output_tokens", "cost_micro_usd"),
    *("estimated_input_tokens", "estimated_cost_micro_usd", "unreported_calls"),
    *("reported_input_tokens", "reported_output_tokens"),
)


def _add_try(sums: dict[str, int], one: Tried, tokens: ChatUsage | None) -> None:
    usage, estimated = one.usage, one.estimate
    sums["tries"] += 1
    sums["input_tokens"] += usage.input_tokens
    sums["output_tokens"] += usage.output_tokens
    sums["cost_micro_usd"] += usage.cost.micro_usd
    if estimated is not None:
        sums["estimated_input_tokens"] += estimated.input_tokens
        sums["estimated_cost_micro_usd"] += 0 if estimated.cost is None else estimated.cost.micro_usd
    if tokens is not None and tokens.reported:
        sums["reported_input_tokens"] += tokens.input_tokens
        sums["reported_output_tokens"] += tokens.output_tokens
    elif one.price_version != LOCAL:  # a local model has no vendor that could report
        sums["unreported_calls"] += 1


def lost_row(org_id: UUID, call_id: UUID, at: datetime, about: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a call that nobody settled: what was set aside for it may have been spent, and counts as spent."""
    return {
        **{name: about[name] for name in ("project", "environment", "principal", "team", "workflow")},
        **_lost(about),
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
        "model_calls": about.get("calls", 1),
        "first_token_s": None,
        "latency_s": 0.0,
        "details": {"tried": [], "considered": []},
    }


def _lost(about: Mapping[str, Any]) -> dict[str, int]:
    """What may have been spent: by one call, or by as many as its process had taken room for at once."""
    calls = about.get("calls", 1)
    return {name: (about[name] or 0) * calls for name in ("input_tokens", "output_tokens", "cost_micro_usd")}


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
