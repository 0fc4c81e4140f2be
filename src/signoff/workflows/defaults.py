"""What steps say where they say nothing: `defaults` of a workflow and of its project, and those of its risk.

A later layer wins over an earlier one, key by key and never in part: the risk's, the project's, the workflow's, the
step's own. What a layer says for a verb wins over what it says for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from signoff.workflows.declared import Defaults
from signoff.workflows.documents import Node
from signoff.workflows.failures import compile_retry
from signoff.workflows.header import compile_duration, compile_limits
from signoff.workflows.model import Risk, Verb
from signoff.workflows.report import Report
from signoff.workflows.settings import check_setting
from signoff.workflows.verbs import VERBS

GENERAL = ("timeout", "retry", "on_error")
"""Keys that a layer may say for all steps which ask something outside the engine: those that may be tried again."""

OF_VERBS: Mapping[Verb, tuple[str, ...]] = {
    "ai": GENERAL,
    "model": GENERAL,
    "tool": GENERAL,
    "retrieve": (*GENERAL, "top"),
    "emit": GENERAL,
    "agent": ("max_turns", "max_calls", "max_errors", *GENERAL),
    "plan": ("max_steps", *GENERAL),
    "review": ("by", "expire", "escalate", "on_error"),
    "call": ("on_cancel", "priority", "on_error"),
    "for": ("at_once", "max", "failures", "timeout", "on_error"),
    "repeat": ("max", "every", "timeout", "on_error"),
}
"""Keys that a layer may say for the steps of one verb."""

RISK_DEFAULTS: Mapping[Risk, Mapping[str, Any]] = {
    "low": {},
    "medium": {},
    "high": {"limits": {"cost": "5 USD", "time": "30d"}, "review": {"expire": "7d"}},
}
"""What a workflow's risk class sets: a high one never runs without bounds, and its reviews close in time."""


def defaults_of(risk: Risk, *layers: Defaults) -> Defaults:
    """The risk's defaults with layers over them, each over the one before."""
    merged = read_defaults(Report(""), node_of(RISK_DEFAULTS[risk]))
    for layer in layers:
        merged = merged.then(layer)
    return merged


def read_defaults(report: Report, node: Node | None) -> Defaults:
    """One layer; what is wrong with it is reported."""
    if node is None or not report.mapping(node, "'defaults'"):
        return Defaults()
    report.unknown_keys(node, (*GENERAL, *OF_VERBS, "limits"), "'defaults'")
    general = {key: node.entries[key] for key in GENERAL if key in node.entries}
    for key, value in general.items():
        _check(report, "tool", key, value)
    steps: dict[str, dict[str, Node]] = {}
    for verb, keys in OF_VERBS.items():
        own = node.entries.get(verb)
        steps[verb] = {key: value for key, value in general.items() if "retry" in keys}
        if own is None or not report.mapping(own, f"'{verb}'"):
            continue
        report.unknown_keys(own, keys, f"the defaults of '{verb}'")
        for key in keys:
            if key in own.entries:
                _check(report, verb, key, own.entries[key])
                steps[verb][key] = own.entries[key]
    limits = node.entries.get("limits")
    if limits is not None:
        compile_limits(report, limits)
    return Defaults(steps, {} if limits is None else limits.entries)


def _check(report: Report, verb: Verb, key: str, node: Node) -> None:
    if key == "retry":
        compile_retry(report, node)
    elif key == "timeout":
        compile_duration(report, node)
    elif key == "on_error":
        if node.value not in ("continue", "fail"):
            hint = "Another output, or steps, belong to one step: write them there."
            report.add(node, "A default of 'on_error' is 'continue' or 'fail'.", suggestion=hint, code="value")
    else:
        check_setting(report, node, key, (VERBS[verb].settings or {})[key])


def node_of(value: Any, line: int = 1, column: int = 1) -> Node:
    """Plain data as a document would hold it."""
    if isinstance(value, Mapping):
        entries = {key: node_of(item) for key, item in cast("Mapping[str, Any]", value).items()}
        return Node("mapping", (), line, column, entries=entries, keys=dict.fromkeys(entries, (line, column)))
    if isinstance(value, (list, tuple)):
        return Node("list", (), line, column, items=tuple(node_of(item) for item in cast("list[Any]", value)))
    return Node("scalar", (), line, column, value=value)
