"""Compiles what a document says of the whole workflow: version, risk, goals, limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast, get_args

from signoff.core.durations import parse_duration_s
from signoff.core.errors import did_you_mean
from signoff.core.money import Cost
from signoff.workflows.documents import Node
from signoff.workflows.model import Limits, Risk
from signoff.workflows.report import Report

MAX_DURATION_S = 10 * 365 * 86400.0
"""The longest duration that a document may name, in seconds: ten years."""

LEAST_EVENTS = 100
"""The least that `limits.events` may say: a few steps with their decisions have dozens."""

MOST_EVENTS = 1_000_000
"""The most that `limits.events` may say; the deployment's own limit holds as well."""

_VERSION = re.compile(
    r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(-[0-9A-Za-z.-]{1,60})?(\+[0-9A-Za-z.-]{1,60})?"
)
_MONEY = re.compile(r"(\d{1,9}(?:\.\d{1,6})?) USD")


def compile_version(report: Report, node: Node | None) -> str:
    """A semantic version (https://semver.org)."""
    if node is None:
        return ""
    version = node.raw if isinstance(node.value, (int, float)) and not isinstance(node.value, bool) else node.text or ""
    if not _VERSION.fullmatch(version):
        report.add(node, "A version has three numbers.", suggestion="Write it as 1.2.0.", code="version")
    return version


def compile_risk(report: Report, node: Node | None) -> Risk:
    """The risk class; medium where nothing is said."""
    if node is None:
        return "medium"
    known = get_args(Risk)
    if node.value not in known:
        hint = did_you_mean(str(node.value), known)
        report.add(node, f"A risk is one of {', '.join(known)}.", suggestion=hint, code="value")
        return "medium"
    return cast("Risk", node.value)


def compile_goals(report: Report, node: Node | None) -> Mapping[str, Any]:
    """What the workflow is for, as numbers by name. Kept as written; evaluation reads them."""
    if node is None or not report.mapping(node, "'goals'"):
        return {}
    return cast("dict[str, Any]", node.plain())


def compile_limits(report: Report, node: Node | None) -> Limits:
    """What one run may cost and how long it may take."""
    if node is None or not report.mapping(node, "'limits'"):
        return Limits()
    report.unknown_keys(node, ("cost", "time", "events"), "limits")
    cost, time, events = (node.entries.get(key) for key in ("cost", "time", "events"))
    return Limits(
        cost=None if cost is None else compile_cost(report, cost),
        time_s=None if time is None else compile_duration(report, time),
        events=None if events is None else _events(report, events),
    )


def _events(report: Report, node: Node) -> int | None:
    value = node.value
    if not isinstance(value, int) or isinstance(value, bool) or not LEAST_EVENTS <= value <= MOST_EVENTS:
        detail = f"The events of a run's journal are a whole number from {LEAST_EVENTS} to {MOST_EVENTS}."
        report.add(node, detail, code="value")
        return None
    return value


def compile_cost(report: Report, node: Node) -> Cost | None:
    """An amount such as `0.25 USD`."""
    match = _MONEY.fullmatch(node.text or "")
    if match is None:
        report.add(node, "A cost is an amount in US dollars.", suggestion="Write it as 0.25 USD.", code="value")
        return None
    return Cost.from_usd(Decimal(match[1]))


def compile_duration(report: Report, node: Node) -> float | None:
    """A duration such as `30s`, in seconds."""
    try:
        seconds = parse_duration_s(node.text or str(node.plain()))
    except ValueError as error:
        report.add(node, f"{str(error)[:200].rstrip('.')}.", code="value")
        return None
    if not 0 < seconds <= MAX_DURATION_S:
        report.add(node, "A duration is longer than nothing and at most ten years.", code="value")
        return None
    return seconds
