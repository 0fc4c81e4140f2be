"""Compiles what a `wait` waits for: some time, a moment, or an event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from signoff.core.durations import parse_duration_s
from signoff.workflows.documents import Node
from signoff.workflows.header import compile_duration
from signoff.workflows.model import Expression
from signoff.workflows.report import Report
from signoff.workflows.shapes import shape_of_value
from signoff.workflows.templates import Constant
from signoff.workflows.values import ValueCompiler, shape_of

MAX_MATCHED = 10
"""Fields of an event that `match` may name."""

EVENT_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
"""How the type of an event is written."""

EVENT_HINT = "Write words with dots between, such as support.refund.completed.v1."
_WHAT = 'A wait is for some time (2h), a moment ("${input.due_at}", RFC 3339) or an event ({event: …, match: …}).'

WaitKind = Literal["pause", "moment", "event"]


def wait_kind(node: Node) -> WaitKind | None:
    """What the value of `wait` is; none where it is nothing of it."""
    if node.kind == "mapping":
        return "event"
    if node.text is None:
        return None
    if "${" in node.text or _is_moment(node.text):
        return "moment"
    try:
        parse_duration_s(node.text)
    except ValueError:
        return None
    return "pause"


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def wait_arguments(report: Report, values: ValueCompiler, node: Node) -> dict[str, Expression]:
    """The data of a `wait`: `until` of a moment, `match` of an event."""
    kind = wait_kind(node)
    if kind == "moment":
        until = values.template(node)
        if not shape_of(until).may_be(("string",)):
            detail = f"A moment is a text as of RFC 3339, and this is {shape_of(until)}."
            report.add(node, detail, code="type")
        return {"until": until}
    if kind != "event":
        return {}
    match = node.entries.get("match")
    if match is None:
        return {"match": Constant({}, "{}", shape_of_value({}))}
    if report.mapping(match, "'match'") and len(match.entries) > MAX_MATCHED:
        report.add(match, f"'match' names at most {MAX_MATCHED} fields.", code="limit")
    template = values.template(match)
    scalars = ("null", "boolean", "integer", "number", "string")
    for name, item in match.entries.items():
        shape = shape_of(template).get(name)
        if shape is not None and not shape.may_be(scalars):
            detail = f"A field is matched with a text, number or boolean, and this is {shape}."
            report.add(item, detail, code="type")
    return {"match": template}


def wait_target(report: Report, node: Node) -> str:
    """The type of the event that is waited for; empty of a pause or a moment. Reports what is wrong with the value."""
    kind = wait_kind(node)
    if kind is None:
        report.add(node, _WHAT, code="value")
    if kind != "event":
        return ""
    report.unknown_keys(node, ("event", "match"), "'wait'")
    event = node.entries.get("event")
    if event is None:
        report.add(node, "'event' is missing: what is waited for?", code="missing-key")
        return ""
    name = report.text(event, "An event's type")
    if name and not EVENT_TYPE.fullmatch(name):
        report.add(event, f"'{name[:80]}' cannot be an event's type.", suggestion=EVENT_HINT, code="name")
    return name


def wait_settings(report: Report, node: Node, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a `wait`, from those of its own keys: of a pause `duration_s`; only an event can time out."""
    value = node.entries["wait"]
    kind = wait_kind(value)
    if kind == "event" and "on_timeout" in node.entries and "timeout" not in node.entries:
        hint = "Add 'timeout', or leave 'on_timeout' out."
        report.add_key(node, "on_timeout", "Without 'timeout' it never times out.", suggestion=hint, code="value")
    for key in ("timeout", "on_timeout"):
        if kind in ("pause", "moment") and key in node.entries:
            detail = f"'{key}' is for events: a pause is over when its time has come."
            report.add_key(node, key, detail, suggestion="Leave it out.", code="unknown-key")
    if kind == "event":
        return dict(settings)
    return {"duration_s": compile_duration(report, value)} if kind == "pause" else {}
