"""Which counters a call is counted by, how much of each it needs, and who shares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any
from uuid import UUID

from signoff.capabilities.gateway.asking import Asked, AtLimit, Caller, Estimate, LimitReached
from signoff.catalog.model_limits import ModelLimit, Unit
from signoff.core.money import Cost, Usage
from signoff.core.values import value

_FREE = Cost()
UNENDING = -1
"""The length of a part in milliseconds that says that the window never ends."""


@value
class Counter:
    """One row of counts.

    Attributes:
        org_id, id: which row.
        slots: into how many parts its window is cut.
        slot_ms: how long a part is; 0 for calendar months, `UNENDING` for no window.
        about: for people who read it.
    """

    org_id: UUID
    id: str
    slots: int
    slot_ms: int
    about: Mapping[str, Any] = field(default_factory=dict[str, Any], compare=False)


@value
class Share:
    """What one call needs of one counter.

    Attributes:
        sharer: who, of those that share it.
        told: the limit in words.
    """

    counter: Counter
    unit: Unit
    most: int
    amount: int
    sharer: str
    told: str
    at_limit: AtLimit


@value
class Counted:
    """One limit that counts a caller's calls to a model.

    Attributes:
        counter: what counts them.
        sharer: who they are, of those that share it.
        told: the limit in words.
    """

    limit: ModelLimit
    counter: Counter
    sharer: str
    told: str


def counted_by(limits: Sequence[ModelLimit], caller: Caller, model: str) -> tuple[Counted, ...]:
    """What counts the caller's calls to a model, whatever they need."""
    found: list[Counted] = []
    for limit in limits:
        holder = _holder(limit, caller, model)
        if holder is not None:
            counter = Counter(
                caller.org_id,
                limit.counter(caller.project, caller.environment, holder),
                limit.every.slots,
                _slot_ms(limit),
                {
                    "project": caller.project,
                    "environment": caller.environment,
                    "of": limit.of,
                    "holder": holder,
                    "unit": limit.unit,
                    "every": limit.every.name,
                },
            )
            found.append(Counted(limit, counter, _sharer(limit, caller), limit.told(holder)))
    return tuple(found)


def amounts_of(counted: Sequence[Counted], model: str, estimate: Estimate) -> list[int]:
    """What a call needs of each limit that counts it.

    Raises:
        LimitReached: money is limited, and nobody knows what the call costs.
    """
    found: list[int] = []
    for one in counted:
        unit = one.limit.unit
        if unit == "micro_usd" and estimate.cost is None:
            why = f"nobody knows the price of '{model}', and {one.told} is the limit: set its `price` in models.yaml"
            raise LimitReached("budget", why, "cheaper")
        found.append(amount(unit, 1, estimate.input_tokens + estimate.output_tokens, estimate.cost or _FREE))
    return found


def shares_of(counted: Sequence[Counted], amounts: Sequence[int]) -> list[Share]:
    """What a call needs of each limit that counts it, with what is told of it."""
    return [
        Share(one.counter, one.limit.unit, one.limit.most, needs, one.sharer, one.told, one.limit.at_limit)
        for one, needs in zip(counted, amounts, strict=True)
    ]


def shares_of_runs(asked: Asked, estimate: Estimate) -> list[Share]:
    """What a call needs of the limits that its run shares with those that called it and those that it calls.

    What costs nothing needs nothing of them. Where nobody knows the price, the run's own budget says so.
    """
    if estimate.cost is None or not estimate.cost.micro_usd:
        return []
    caller, found = asked.caller, list[Share]()
    for run_id, most in asked.ceilings:
        about = {"project": caller.project, "environment": caller.environment, "of": "run", "holder": str(run_id)}
        counter = Counter(caller.org_id, run_id.hex, 1, UNENDING, {**about, "unit": "micro_usd", "every": "run"})
        told = f"{most} of run {run_id} and all that it calls"
        found.append(Share(counter, "micro_usd", most.micro_usd, estimate.cost.micro_usd, "", told, "refuse"))
    return found


def amount(unit: Unit, requests: int, tokens: int, cost: Cost) -> int:
    """How much of a unit a call is."""
    if unit == "requests":
        return requests
    return tokens if unit == "tokens" else cost.micro_usd


def used_of(unit: Unit, usage: Usage) -> int:
    """How much of a unit was used."""
    return amount(unit, usage.model_calls, usage.input_tokens + usage.output_tokens, usage.cost)


def _holder(limit: ModelLimit, caller: Caller, model: str) -> str | None:
    """Whose count it is; none where the limit does not count the call."""
    if limit.of == "project":
        return ""
    if limit.of == "key":
        return _key(limit, caller)
    holder = {"team": caller.team, "workflow": caller.workflow, "model": model}[limit.of]
    return holder if holder and limit.name in ("", holder) else None


def _key(limit: ModelLimit, caller: Caller) -> str | None:
    """All keys of the name that a limit has are counted together: one that replaces another goes on with its count."""
    if caller.key is None:
        return None
    name = limit.name.removeprefix("key/")
    if name and caller.principal == f"key/{name}":
        return name
    return caller.key if name in ("", caller.key) else None


def _sharer(limit: ModelLimit, caller: Caller) -> str:
    """Who shares a limit: teams a project's and a model's, keys and workflows a team's, principals a workflow's."""
    if limit.of == "key":
        return ""
    if limit.of in ("project", "model"):
        return f"team/{caller.team}" if caller.team else caller.principal
    if limit.of == "team":
        return f"workflow/{caller.workflow}" if caller.workflow else f"key/{caller.key or caller.principal}"
    return caller.principal


def _slot_ms(limit: ModelLimit) -> int:
    if limit.every.calendar is None:
        return round(limit.every.slot_s * 1000)
    return {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000, "month": 0}[limit.every.calendar]
