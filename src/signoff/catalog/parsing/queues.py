"""`queues:` and `calendars:` of `signoff.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from signoff.catalog.parsing.fields import Fields
from signoff.core.durations import parse_duration_s
from signoff.runtime.queues import Bounds, Queue, Rate

MOST_SLOTS = 10_000
"""The most runs of one queue, team or key that may be under way at once where that is bounded."""
MOST_TOKENS = 1_000_000
LONGEST_PERIOD_S = 86_400.0
"""The longest time that a rate may be over: a day."""
MOST_QUEUED = 1_000_000
DEFAULT_QUEUED = 100_000
MOST_DATES = 5_000
"""Dates in one calendar."""

_NAME = re.compile(r"^[a-z][a-z0-9-]{0,62}\Z")
_RATE = re.compile(r"^(?P<count>[0-9]{1,9})\s*/\s*(?P<period>\S+)\Z")


def parse_queues(fields: Fields) -> dict[str, Queue]:
    """The queues by name; what is wrong with them is reported."""
    found: dict[str, Queue] = {}
    for name, member in fields.members():
        _check_name(fields, name, "a queue's name")
        member.only("concurrency", "rate", "per_team", "per_key", "workflows", "release_while_waiting", "max_queued")
        found[name] = Queue(
            name,
            whole=_bounds(member),
            per_team=_inner_bounds(member, "per_team"),
            per_key=_inner_bounds(member, "per_key"),
            workflows=member.texts("workflows"),
            release_while_waiting=member.boolean("release_while_waiting", default=False),
            max_queued=member.integer("max_queued", DEFAULT_QUEUED, lowest=1, highest=MOST_QUEUED),
        )
    by_workflow: dict[str, str] = {}
    for queue in found.values():
        for workflow in queue.workflows:
            first = by_workflow.setdefault(workflow, queue.name)
            if first != queue.name:
                detail = f"'{workflow}' is in queue '{first}' already."
                fields.problem(queue.name, detail, suggestion="Name it in one of them.", code="duplicate")
    return found


def parse_calendars(fields: Fields) -> dict[str, frozenset[date]]:
    """Dates by the calendar's name; what is wrong with them is reported."""
    found: dict[str, frozenset[date]] = {}
    for name in fields.data:
        _check_name(fields, name, "a calendar's name")
        texts = fields.texts(name)
        if len(texts) > MOST_DATES:
            fields.problem(name, f"'{name}' has more than {MOST_DATES} dates.", code="limit")
        found[name] = frozenset(day for text in texts if (day := parse_date(fields, name, text)) is not None)
    return found


def parse_date(fields: Fields, key: str, text: str) -> date | None:
    """A date such as 2026-12-24; reported where it is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        fields.problem(key, f"'{text}' is not a date.", suggestion="Write it as 2026-12-24.", code="pattern")
        return None


def _check_name(fields: Fields, name: str, what: str) -> None:
    if not _NAME.match(name):
        suggestion = "Use lower-case letters, digits and '-', such as refunds."
        fields.problem(name, f"'{name}' is not {what}.", suggestion=suggestion)


def _inner_bounds(fields: Fields, name: str) -> Bounds:
    inner = fields.mapping(name)
    inner.only("concurrency", "rate")
    return _bounds(inner)


def _bounds(fields: Fields) -> Bounds:
    concurrency = None
    if fields.data.get("concurrency") is not None:
        concurrency = fields.integer("concurrency", 1, lowest=1, highest=MOST_SLOTS)
    return Bounds(concurrency, _rate(fields))


def _rate(fields: Fields) -> Rate | None:
    value: Any = fields.data.get("rate")
    if value is None:
        return None
    burst = None
    if isinstance(value, Mapping):
        inner = fields.mapping("rate")
        inner.only("limit", "burst")
        text = inner.text("limit")
        if "burst" in inner.data:
            burst = inner.integer("burst", 1, lowest=1, highest=MOST_TOKENS)
    else:
        text = fields.text("rate")
    match = _RATE.match(text)
    try:
        period_s = parse_duration_s(match["period"]) if match else 0.0
    except ValueError:
        period_s = 0.0
    count = int(match["count"]) if match else 0
    if not 0 < period_s <= LONGEST_PERIOD_S or not 0 < count <= MOST_TOKENS:
        detail = "'rate' must be a number and a time of at most a day."
        fields.problem("rate", detail, suggestion="Write it as 100/1m.", code="pattern")
        return None
    return Rate(count, period_s, min(burst or count, count))
