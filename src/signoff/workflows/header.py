"""Compiles what a document says of the whole workflow: version, risk, goals, limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import cast, get_args

from signoff.core.durations import parse_duration_s
from signoff.core.errors import did_you_mean
from signoff.core.money import Cost
from signoff.workflows.documents import Node
from signoff.workflows.model import Goal, GoalUnit, Limits, Risk
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
MAX_GOALS = 50
"""Goals of one workflow."""

_GOAL_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_GOAL = re.compile(
    r"(?P<side><=|>=)?\s*(?:(?P<number>-?\d{1,15}(?:\.\d{1,9})?)\s*(?P<share>%)?"
    r"|(?P<money>\d{1,9}(?:\.\d{1,6})?) USD|(?P<duration>\d[\d.]*[a-z][\da-z.]*))"
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


def compile_goals(report: Report, node: Node | None) -> Mapping[str, Goal]:
    """What the workflow is for, by name: a number, a share, a duration or an amount, reached from one side."""
    if node is None or not report.mapping(node, "'goals'"):
        return {}
    if len(node.entries) > MAX_GOALS:
        report.add(node, f"A workflow has at most {MAX_GOALS} goals.", code="limit")
    found: dict[str, Goal] = {}
    for name, written in node.entries.items():
        if not _GOAL_NAME.fullmatch(name):
            report.add_key(node, name, f"'{name[:80]}' cannot be a goal's name.", code="name")
        goal = _goal(name, written)
        if goal is None:
            hint = "Write a number, 40%, 4h or 0.25 USD; '<=' or '>=' in front says from which side."
            report.add(written, "This is no goal.", suggestion=hint, code="value")
        else:
            found[name] = goal
    return found


def _goal(name: str, node: Node) -> Goal | None:
    text = node.text if node.text is not None else node.raw or str(node.value)
    if node.kind != "scalar" or node.value is None or isinstance(node.value, bool):
        return None
    match = _GOAL.fullmatch(text.strip())
    if match is None:
        return None
    unit: GoalUnit = "number"
    value = 0.0
    if match["number"] is not None:
        unit, value = ("share", float(match["number"]) / 100) if match["share"] else ("number", float(match["number"]))
    elif match["money"] is not None:
        unit, value = "usd", float(match["money"])
    else:
        try:
            unit, value = "seconds", parse_duration_s(match["duration"])
        except ValueError:
            return None
    side = match["side"] or (">=" if unit == "share" else "<=")
    return Goal(name, value, unit, "at_least" if side == ">=" else "at_most")


def compile_limits(report: Report, node: Node | None, defaults: Mapping[str, Node] | None = None) -> Limits:
    """What one run may cost and how long it may take; what is not said is as the defaults say."""
    entries = dict(defaults or {})
    if node is not None and report.mapping(node, "'limits'"):
        report.unknown_keys(node, ("cost", "time", "events"), "limits")
        entries |= node.entries
    cost, time, events = (entries.get(key) for key in ("cost", "time", "events"))
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
