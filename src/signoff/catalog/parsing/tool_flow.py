"""What a tool's contract says of data flow: whose its records are, what may cause its effect, what may be spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from signoff.catalog.parsing.fields import Fields
from signoff.catalog.tools import Quota, Trigger
from signoff.core.durations import parse_duration_s
from signoff.core.errors import did_you_mean

TRIGGERS = ("trusted", "any")

MOST_SPENT = 10**15
"""The highest limit of a quota; sums of it stay far below 64 bits."""

LONGEST_WINDOW_S = 366 * 24 * 3600.0
"""The longest time that a quota counts over, in seconds."""


def parse_trigger(fields: Fields, *, effect: bool) -> Trigger:
    """Whether untrusted data may cause the effect; a tool without one has nothing to cause."""
    if "trigger" in fields and not effect:
        fields.problem("trigger", "A tool without effect causes nothing.", suggestion="Leave 'trigger' out.")
        return "trusted"
    return cast("Trigger", fields.one_of("trigger", TRIGGERS, "trusted"))


def parse_owner(fields: Fields, schema: Mapping[str, Any], output_schema: Mapping[str, Any]) -> str:
    """The argument, or the field of the output, that names whose the record is."""
    owner = fields.text("owner", "")
    known = [*_properties(schema), *_properties(output_schema)]
    if owner and owner not in known:
        suggestion = did_you_mean(owner, known) or "Name the argument that says whose record is looked up."
        fields.problem("owner", f"'{owner}' is no argument and no field of the output.", suggestion=suggestion)
        return ""
    if owner in _properties(schema) and _sink(schema, owner) != "trusted":
        suggestion = f"Write 'x-signoff: {{sink: trusted}}' at '{owner}' of 'input'."
        fields.problem("owner", f"Whoever chooses '{owner}' chooses the owner.", suggestion=suggestion, code="sink")
    return owner


def parse_quota(fields: Fields, schema: Mapping[str, Any], *, effect: bool) -> Quota | None:
    """What untrusted data may spend through the tool; none where nothing is written."""
    if "quota" not in fields:
        return None
    quota = fields.mapping("quota")
    quota.only("per", "spend", "most", "window")
    if not effect:
        fields.problem("quota", "A tool without effect spends nothing.", suggestion="Leave 'quota' out.")
    per, spend = quota.text("per"), quota.text("spend", "")
    most = quota.integer("most", 0, lowest=1, highest=MOST_SPENT) if quota.required("most") else 1
    for name, argument in (("per", per), ("spend", spend)):
        if argument and argument not in _properties(schema):
            suggestion = did_you_mean(argument, tuple(_properties(schema)))
            quota.problem(name, f"'{argument}' is not an argument.", suggestion=suggestion)
    if per in _properties(schema) and _sink(schema, per) != "trusted":
        suggestion = f"Write 'x-signoff: {{sink: trusted}}' at '{per}' of 'input'."
        quota.problem(
            "per", f"Whoever chooses '{per}' has a fresh quota each time.", suggestion=suggestion, code="sink"
        )
    if spend in _properties(schema):
        given = cast("Mapping[str, Any]", _properties(schema)[spend])
        if given.get("type") != "integer" or not any(key in given for key in ("minimum", "exclusiveMinimum")):
            suggestion = f"Write 'type: integer' and 'minimum: 0' at '{spend}' of 'input'."
            quota.problem("spend", "What is spent is a whole number that is never negative.", suggestion=suggestion)
    if per not in cast("list[str]", schema.get("required") or []) and per:
        quota.problem("per", f"'{per}' may be missing.", suggestion="Add it to 'required' of 'input'.")
    return Quota(per, spend, most, _window_s(quota))


def _window_s(quota: Fields) -> float:
    text = quota.text("window", "1d")
    try:
        window_s = parse_duration_s(text)
    except ValueError as error:
        quota.problem("window", f"{error}.", code="duration")
        return LONGEST_WINDOW_S
    if not 0 < window_s <= LONGEST_WINDOW_S:
        quota.problem("window", "A quota counts over more than nothing and at most a year.", code="duration")
    return window_s


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return cast("Mapping[str, Any]", properties) if isinstance(properties, Mapping) else {}


def _sink(schema: Mapping[str, Any], name: str) -> str:
    given = _properties(schema)[name]
    annotation: Any = cast("Mapping[str, Any]", given).get("x-signoff") if isinstance(given, Mapping) else None
    return str(cast("Mapping[str, Any]", annotation).get("sink", "")) if isinstance(annotation, Mapping) else ""
