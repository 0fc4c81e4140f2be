"""Compiles the constants of a step: who reviews, what may be edited, how long it stays open, how many passages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from signoff.core.errors import did_you_mean
from signoff.workflows.documents import Node
from signoff.workflows.header import compile_duration
from signoff.workflows.model import Expression
from signoff.workflows.report import Report
from signoff.workflows.values import shape_of
from signoff.workflows.verbs import DEFAULT_TOP, MAX_TOP, VerbKeys

_ROLE = re.compile(r"role/[a-z0-9][a-z0-9_-]{0,62}")


def compile_settings(report: Report, node: Node, keys: VerbKeys, arguments: Mapping[str, Expression]) -> dict[str, Any]:
    """The settings of a step, durations in seconds. A list of fields is a tuple."""
    settings: dict[str, Any] = {}
    for key, kind in (keys.settings or {}).items():
        value = node.entries.get(key)
        if value is None:
            if kind == "count":
                settings[key] = DEFAULT_TOP
            elif kind == "fields":
                settings[key] = ()
            continue
        if kind == "role":
            settings[key] = _role(report, value)
        elif kind == "duration":
            settings[key] = compile_duration(report, value)
        elif kind == "count":
            settings[key] = _count(report, value)
        elif kind == "fields":
            settings[key] = _fields(report, value, arguments)
        else:
            settings[key] = _escalate(report, value)
    expire, escalate = settings.get("expire"), settings.get("escalate")
    if expire and escalate and escalate.get("open_for") and escalate["open_for"] >= expire:
        detail = "It expires before it would be escalated."
        report.add(node.entries["escalate"], detail, suggestion="Make 'open_for' shorter than 'expire'.", code="value")
    return settings


def _role(report: Report, node: Node) -> str:
    text = report.text(node, "Who decides")
    if text and not _ROLE.fullmatch(text):
        report.add(node, f"'{text[:80]}' is no role.", suggestion="Write it as role/support-lead.", code="name")
    return text


def _count(report: Report, node: Node) -> int:
    value = node.value
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_TOP:
        report.add(node, f"This is a whole number from 1 to {MAX_TOP}.", code="value")
        return DEFAULT_TOP
    return value


def _fields(report: Report, node: Node, arguments: Mapping[str, Expression]) -> tuple[str, ...]:
    proposed = shape_of(arguments["propose"])
    names: list[str] = []
    for name, item in report.texts(node, "A field"):
        if proposed.get(name) is None:
            hint = did_you_mean(name, proposed.names)
            report.add(item, f"'{name}' is not proposed, so it cannot be edited.", suggestion=hint, code="unknown-name")
        elif name not in names:
            names.append(name)
    return tuple(names)


def _escalate(report: Report, node: Node) -> dict[str, Any]:
    if not report.mapping(node, "'escalate'"):
        return {}
    report.unknown_keys(node, ("open_for", "also"), "'escalate'")
    for key in ("open_for", "also"):
        if key not in node.entries:
            report.add(node, f"'{key}' is missing.", code="missing-key")
    found: dict[str, Any] = {}
    if "open_for" in node.entries:
        found["open_for"] = compile_duration(report, node.entries["open_for"])
    if "also" in node.entries:
        found["also"] = _role(report, node.entries["also"])
    return found
