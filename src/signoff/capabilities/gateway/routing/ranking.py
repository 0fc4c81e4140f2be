"""In which order the models of a route are asked. Pure: the same standings and the same draw give the same order."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from signoff.capabilities.gateway.resilience.health import Measured
from signoff.catalog.models import Route
from signoff.core.money import Cost
from signoff.core.values import value

FEW_CALLS = 5
"""Fewer calls than this say nothing of a model's health."""
FAILING = 0.5
"""A model that fails a larger share of its calls ranks behind all that do not."""


@value
class Standing:
    """What is known of one candidate when it is ranked.

    Attributes:
        model: its name.
        cost: what the call may cost; none where nobody knows.
        measured: how it has been doing.
        quality: at the task, from 0 to 1; none where nobody says.
    """

    model: str
    cost: Cost | None
    measured: Measured
    quality: float | None = None

    @property
    def failing(self) -> bool:
        """Whether it fails most of its calls."""
        return self.measured.calls >= FEW_CALLS and self.measured.error_rate > FAILING


def ranked(
    standings: Sequence[Standing], route: Route, *, risk: str, latency_s: float | None, key: str
) -> list[Standing]:
    """The candidates, best first.

    Those that fail most of their calls come last, and those that miss the latency objective behind those that meet it.
    Then a draw by weight names the first. Then, where the risk is high, quality decides before anything else; then what
    the route prefers; then the route's own order. What is not known ranks last, except latency: who was not measured
    ranks first, so that it is.

    Args:
        standings: the candidates in the route's order.
        route: with its preference and weights.
        risk: the workflow's risk class.
        latency_s: how soon the first token is wanted, in seconds; none is no objective.
        key: what the draw is by; calls with the same key draw the same.
    """
    slow = {one.model for one in standings if latency_s is not None and (one.measured.latency_s or 0.0) > latency_s}
    able = [one for one in standings if not one.failing and one.model not in slow] or list(standings)
    first = drawn(able, route, key)

    def place(indexed: tuple[int, Standing]) -> tuple[float, ...]:
        at, one = indexed
        quality = math.inf if one.quality is None else -one.quality
        preferred = {
            "order": 0.0,
            "price": math.inf if one.cost is None else float(one.cost.micro_usd),
            "latency": one.measured.latency_s or 0.0,
            "quality": quality,
        }[route.prefer]
        careful = quality if risk == "high" else 0.0
        return (one.failing, one.model in slow, one.model != first, careful, preferred, at)

    return [one for _, one in sorted(enumerate(standings), key=place)]


def drawn(standings: Sequence[Standing], route: Route, key: str) -> str | None:
    """Which model the weights name as the first; none where no candidate has a weight.

    Weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted Distributed Hash Tables", SPAA 2005): models get
    their share of keys, and a key changes its model only when its own comes or goes.
    """
    weighed = [(route.weights[one.model], one.model) for one in standings if one.model in route.weights]
    if not weighed:
        return None
    return max((-weight / math.log(share(key, model)), model) for weight, model in weighed)[1]


def share(key: str, salt: str) -> float:
    """A number between 0 and 1, neither included, that looks random and is always the same for the same texts."""
    number = int.from_bytes(hashlib.sha256(f"{key}\0{salt}".encode(errors="replace")).digest()[:6])
    return (number + 1) / (2**48 + 2)


def why(one: Standing, route: Route) -> dict[str, float | str]:
    """What a rank is made of, for explanations."""
    found: dict[str, float | str] = {}
    if one.cost is not None:
        found["cost_usd"] = float(one.cost.usd)
    if one.measured.calls:
        found["calls"] = one.measured.calls
        found["error_rate"] = round(one.measured.error_rate, 4)
    if one.measured.latency_s is not None:
        found["latency_s"] = round(one.measured.latency_s, 4)
    if one.quality is not None:
        found["quality"] = one.quality
    if one.model in route.weights:
        found["weight"] = route.weights[one.model]
    if route.canary is not None and one.model == route.canary.model:
        found["canary"] = route.canary.share
    if one.failing:
        found["health"] = "fails most of its calls"
    return found
