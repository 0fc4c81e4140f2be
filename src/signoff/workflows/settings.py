"""Compiles the constants of a step: who reviews, what may be edited, how long it stays open, how many passages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from signoff.core.errors import did_you_mean
from signoff.workflows.documents import Node
from signoff.workflows.header import compile_duration
from signoff.workflows.kinds import read_labels
from signoff.workflows.model import Expression
from signoff.workflows.report import Report
from signoff.workflows.values import shape_of
from signoff.workflows.verbs import Choice, Count, Flag, SettingKind, VerbKeys

DEFAULT_ITEM_NAME = "item"
"""What a `for` calls its item where `as` is not written."""

_ROLE = re.compile(r"role/[a-z0-9][a-z0-9_-]{0,62}")


def compile_settings(report: Report, node: Node, keys: VerbKeys, arguments: Mapping[str, Expression]) -> dict[str, Any]:
    """The settings of a step, durations in seconds. A list of fields is a tuple; what has no default may be missing."""
    settings: dict[str, Any] = {}
    for key, kind in (keys.settings or {}).items():
        value = node.entries.get(key)
        found = _default(kind) if value is None else _setting(report, value, key, kind, arguments)
        if value is not None or found is not None:
            settings[key] = found
    expire, escalate = settings.get("expire"), settings.get("escalate")
    if expire and escalate and escalate.get("open_for") and escalate["open_for"] >= expire:
        detail = "It expires before it would be escalated."
        report.add(node.entries["escalate"], detail, suggestion="Make 'open_for' shorter than 'expire'.", code="value")
    if settings.get("detach") and "on_cancel" in node.entries:
        detail = "A run that is detached goes on by itself, whatever becomes of this one."
        report.add_key(node, "on_cancel", detail, suggestion="Leave out 'on_cancel' or 'detach'.", code="value")
    if settings.get("detach") and "timeout" in node.entries:
        detail = "A run that is detached is not waited for, so there is nothing to take too long."
        report.add_key(node, "timeout", detail, suggestion="Leave out 'timeout' or 'detach'.", code="value")
    return settings


def _default(kind: SettingKind) -> Any:
    match kind:
        case Count():
            return kind.default
        case Choice():
            return kind.options[0]
        case Flag():
            return False
        case "fields":
            return ()
        case "name":
            return DEFAULT_ITEM_NAME
        case _:
            return None


def _setting(report: Report, node: Node, key: str, kind: SettingKind, arguments: Mapping[str, Expression]) -> Any:  # noqa: PLR0911  (one return per kind)
    match kind:
        case Count():
            return compile_count(report, node, kind)
        case Choice():
            return _choice(report, node, key, kind)
        case Flag():
            if not isinstance(node.value, bool):
                report.add(node, f"'{key}' is true or false.", code="type")
            return node.value is True
        case "role":
            return _role(report, node)
        case "duration":
            return compile_duration(report, node)
        case "fields":
            return _fields(report, node, arguments)
        case "name":
            return report.text(node, f"'{key}'") or DEFAULT_ITEM_NAME
        case "labels":
            return read_labels(report, node)
        case "escalate":
            return _escalate(report, node)


def check_setting(report: Report, node: Node, key: str, kind: SettingKind) -> None:
    """Report what is wrong with a setting that stands outside of a step, where a default does."""
    _setting(report, node, key, kind, {})


def _role(report: Report, node: Node) -> str:
    text = report.text(node, "Who decides")
    if text and not _ROLE.fullmatch(text):
        report.add(node, f"'{text[:80]}' is no role.", suggestion="Write it as role/support-lead.", code="name")
    return text


def compile_count(report: Report, node: Node, kind: Count) -> int:
    """A whole number; anything else is a problem and counts as the default."""
    value = node.value
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= kind.most:
        report.add(node, f"This is a whole number from 1 to {kind.most}.", code="value")
        return kind.default or 1
    return value


def _choice(report: Report, node: Node, key: str, kind: Choice) -> str:
    if node.value not in kind.options:
        hint = did_you_mean(str(node.value), kind.options)
        report.add(node, f"'{key}' is {' or '.join(kind.options)}.", suggestion=hint, code="value")
        return kind.options[0]
    return str(node.value)


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
