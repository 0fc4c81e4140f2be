"""`limits:` of `models.yaml` into limits."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import cast

from signoff.catalog.model_limits import AT_LIMIT, CALENDAR, OF, AtLimit, ModelLimit, Of, Unit, Window
from signoff.catalog.parsing.fields import Fields
from signoff.core.durations import parse_duration_s

MAX_LIMITS = 64
"""Limits of one project: each that counts a call costs it a little."""
MAX_AMOUNT = 10**15
SHORTEST_S, LONGEST_S = 1.0, 31 * 86_400.0
"""The shortest and the longest sliding window, in seconds."""

_UNITS = ("requests", "tokens", "cost_usd")


def parse_limits(fields: Fields) -> tuple[ModelLimit, ...]:
    """The limits that a file declares; what is wrong with them is reported."""
    found: list[ModelLimit] = []
    for limit in fields.items("limits"):
        limit.only("of", "name", *_UNITS, "every", "at_limit")
        of = cast("Of", limit.one_of("of", OF))
        name = limit.text("name", "")
        if name and of == "project":
            limit.problem("name", "A project's limit needs no name.", suggestion="Leave it out.", code="unknown-key")
        every = _window(limit)
        at_limit = cast("AtLimit", limit.one_of("at_limit", AT_LIMIT, "refuse"))
        amounts = list(_amounts(limit))
        if not any(unit in limit for unit in _UNITS):
            suggestion = "Add 'requests: 600', 'tokens: 1000000' or 'cost_usd: 50'."
            limit.problem(None, "A limit says how much.", suggestion=suggestion, code="missing-key")
        if every is not None:
            found += [ModelLimit(of, unit, most, every, at_limit, name) for unit, most in amounts]
    if len(found) > MAX_LIMITS:
        suggestion = "One limit without a 'name' holds for each team, workflow, key or model by itself."
        fields.problem("limits", f"There are more than {MAX_LIMITS} limits.", suggestion=suggestion, code="limit")
    return tuple(found[:MAX_LIMITS])


def _amounts(limit: Fields) -> Iterator[tuple[Unit, int]]:
    for name in ("requests", "tokens"):
        if name in limit:
            yield cast("Unit", name), limit.integer(name, 1, lowest=0, highest=MAX_AMOUNT)
    if "cost_usd" in limit:
        value = limit.data["cost_usd"]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value * 1_000_000 <= MAX_AMOUNT:
            suggestion = "Write a number, such as 'cost_usd: 50'."
            limit.problem("cost_usd", "'cost_usd' must be US dollars.", suggestion=suggestion, code="wrong-type")
        else:
            yield "micro_usd", int(Decimal(str(value)) * 1_000_000)


def _window(limit: Fields) -> Window | None:
    text = limit.text("every")
    if not text:
        return None
    if text in CALENDAR:
        return Window(calendar=text)
    try:
        seconds = parse_duration_s(text)
    except ValueError as error:
        suggestion = f"Write a duration such as 1m, or one of: {', '.join(CALENDAR)}."
        limit.problem("every", f"{error}.", suggestion=suggestion, code="duration")
        return None
    if not SHORTEST_S <= seconds <= LONGEST_S:
        suggestion = "Write 'every: month' for a calendar month in UTC."
        limit.problem("every", "'every' must be from 1s to 31d.", suggestion=suggestion, code="duration")
        return None
    return Window(length_s=seconds)
