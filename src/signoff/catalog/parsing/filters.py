"""`filters`: of a prompt's answers, of a tool's arguments, of events, and the project's own for all that leaves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from signoff.catalog.answer_contracts import (
    CONTENT_FILTERS,
    CONTENT_VERDICTS,
    FILTER_VERDICTS,
    HTML_FIELD,
    OUTGOING_VERDICTS,
    FilterName,
    FilterUse,
    FilterVerdict,
)
from signoff.catalog.parsing.fields import Fields
from signoff.core.errors import did_you_mean
from signoff.core.patterns import pattern_of
from signoff.workflows.waits import EVENT_HINT, EVENT_TYPE

MAX_FILTERS = 20
"""How many filters a prompt, a tool, an event or a project may have."""
MAX_EVENTS = 500
"""How many types of events a project may declare."""
MAX_WORDS = 1_000
"""How many words or patterns a filter may look for."""
MAX_PATTERN_LENGTH = 300
"""How long a filter's regular expression may be, in characters."""

_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "html": (),
    "secrets": (),
    "links": ("hosts",),
    "personal_data": ("allow",),
    "promises": ("words", "patterns"),
    "toxicity": ("words",),
}


def parse_filters(fields: Fields, outputs: Mapping[str, Any]) -> tuple[FilterUse, ...]:
    """Filters of a prompt's answers; a field `body_html` is sanitised whether they say so or not."""
    found = _uses(fields, FILTER_VERDICTS, outputs, of="The output")
    if HTML_FIELD in outputs and not any(
        use.name == "html" and use.output_field in (None, HTML_FIELD) for use in found
    ):
        found.append(FilterUse("html", "change", HTML_FIELD))
    # First of all: what the others read is what will be seen.
    return tuple(sorted(found, key=lambda use: use.name != "html"))


def parse_outgoing(fields: Fields, inputs: Mapping[str, Any] | None = None) -> tuple[FilterUse, ...]:
    """Filters of what a tool or an event sends.

    Args:
        fields: what has the key `filters`.
        inputs: the tool's arguments; not known of events, nor of the project's own filters.
    """
    found = _uses(fields, dict.fromkeys(FILTER_VERDICTS, OUTGOING_VERDICTS), inputs, of="The tool's input")
    for place, use in enumerate(found):
        if use.name == "html" and use.output_field is None:
            suggestion = "Add 'field: body_html': what is no HTML must not be read as such."
            path = (*fields.path, "filters", place)
            fields.report.add(path, "Which field holds HTML?", suggestion=suggestion, code="missing-key")
    return tuple(found)


def parse_content_filters(fields: Fields, key: str) -> tuple[FilterUse, ...]:
    """Filters of what models are shown (`in`), or of what they answer (`out`); each name at most once."""
    verdicts = dict.fromkeys(CONTENT_FILTERS, CONTENT_VERDICTS)
    found = _uses(fields, verdicts, None, of="A chat", key=key, whole=True)
    for place, use in enumerate(found):
        if any(other.name == use.name for other in found[:place]):
            path = (*fields.path, key, place)
            fields.report.add(path, f"'{use.name}' is listed twice.", suggestion="Leave one.", code="unknown-value")
    return tuple(found)


def parse_events(fields: Fields) -> dict[str, tuple[FilterUse, ...]]:
    """`events` of `signoff.yaml`: by type, what it is about and its filters."""
    found: dict[str, tuple[FilterUse, ...]] = {}
    for name, event in fields.mapping("events").members():
        event.only("about", "filters")
        event.text("about", "")
        if not EVENT_TYPE.fullmatch(name):
            event.problem(None, f"'{name}' is not a type of event.", suggestion=EVENT_HINT, code="name")
        found[name] = parse_outgoing(event)
    if len(found) > MAX_EVENTS:
        fields.problem("events", f"There are more than {MAX_EVENTS} types of events.", code="limit")
    return found


def _uses(
    fields: Fields,
    verdicts: Mapping[FilterName, Sequence[FilterVerdict]],
    known: Mapping[str, Any] | None,
    *,
    of: str,
    key: str = "filters",
    whole: bool = False,
) -> list[FilterUse]:
    found: list[FilterUse] = []
    for item in fields.items(key):
        name = cast("FilterName", item.one_of("filter", tuple(verdicts)))
        item.only("filter", *(() if whole else ("field",)), "verdict", *_SETTINGS[name])
        field = None if whole else item.text("field", "") or None
        if field is not None and known is not None and field not in known:
            suggestion = did_you_mean(field, tuple(known)) or f"It has: {', '.join(known)}."
            item.problem("field", f"{of} has no '{field}'.", suggestion=suggestion, code="unknown-value")
        allowed = verdicts[name]
        verdict = cast("FilterVerdict", item.one_of("verdict", allowed, allowed[0]))
        settings = {own: _words(item, own) for own in _SETTINGS[name] if own in item}
        if name == "promises" and not any(settings.values()):
            suggestion = "Add 'words: [guaranteed]' or 'patterns: [\"full refund\"]'."
            item.problem(None, "It has nothing to look for.", suggestion=suggestion, code="missing-key")
        found.append(FilterUse(name, verdict, field, settings))
    if len(found) > MAX_FILTERS:
        fields.problem(key, f"There are more than {MAX_FILTERS} filters.", code="limit")
    return found


def _words(item: Fields, key: str) -> tuple[str, ...]:
    words = item.texts(key)
    if len(words) > MAX_WORDS:
        item.problem(key, f"There are more than {MAX_WORDS}.", code="limit")
    for pattern in words if key == "patterns" else ():
        if len(pattern) > MAX_PATTERN_LENGTH:
            item.problem(key, f"A pattern is longer than {MAX_PATTERN_LENGTH} characters.", code="limit")
            continue
        try:
            re.compile(pattern)  # says best what is wrong
            pattern_of(pattern)
        except (re.error, ValueError, OverflowError, RecursionError) as error:
            item.problem(key, f"'{pattern}' is no regular expression: {error}.", code="pattern")
    return words
