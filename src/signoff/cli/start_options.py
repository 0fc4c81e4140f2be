"""The options of `signoff run` that say when and in which order a run gets its turn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

DelayOption = Annotated[str | None, typer.Option("--delay", help="Begin so much later, such as 15m.")]
StartAtOption = Annotated[
    str | None, typer.Option("--start-at", help="Do not begin before then: RFC 3339 with its offset.")
]
TeamOption = Annotated[str | None, typer.Option("--team", help="Whose run it is; teams take turns.")]
QueueOption = Annotated[str | None, typer.Option("--queue", help="A queue of the project; else the workflow's own.")]
QueueKeyOption = Annotated[str | None, typer.Option("--queue-key", help="What the queue's per_key bounds by.")]
DeduplicateOption = Annotated[
    tuple[str, str] | None,
    typer.Option("--deduplicate", metavar="KEY WINDOW", help="Within the window the same key gives the first run."),
]
DebounceOption = Annotated[
    tuple[str, str, str] | None,
    typer.Option(
        "--debounce", metavar="KEY QUIET MAX_WAIT", help="Start once the key was quiet, with the latest input."
    ),
]


AttributeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        "-a",
        metavar="NAME=VALUE",
        help="What the run is searched by: customer=c1, cents=1250, urgent=true; more than once for several.",
    ),
]


def attributes_of(given: list[str] | None) -> dict[str, Any]:
    """Attributes by name. A value that is a JSON number, boolean or text is that; any other is a text as it stands.

    Raises:
        typer.BadParameter: one has no name, or comes twice.
    """
    found: dict[str, Any] = {}
    for item in given or ():
        name, sign, text = item.partition("=")
        if not sign or not name or name in found:
            detail = f"'{name}' comes twice." if name in found else f"'{item}' is not NAME=VALUE."
            raise typer.BadParameter(detail, param_hint="--attribute")
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError):
            value = text
        found[name] = value if isinstance(value, (str, int, float, bool)) else text
    return found


def start_options(
    *,
    attributes: list[str] | None,
    delay: str | None,
    start_at: str | None,
    team: str | None,
    queue: str | None,
    queue_key: str | None,
    once: tuple[str, str] | None,
    quiet: tuple[str, str, str] | None,
) -> dict[str, Any]:
    """The members of the request; only those that were given."""
    given: dict[str, Any] = {
        "attributes": attributes_of(attributes) or None,
        "delay": delay,
        "start_at": start_at,
        "team": team,
        "queue": queue,
        "queue_key": queue_key,
        "deduplicate": None if once is None else dict(zip(("key", "window"), once, strict=True)),
        "debounce": None if quiet is None else dict(zip(("key", "quiet", "max_wait"), quiet, strict=True)),
    }
    return {name: value for name, value in given.items() if value is not None}


def known_by(body: Mapping[str, Any]) -> str:
    """Why a start made no run of its own."""
    if "debounce" in body:
        return "A start with this debounce key waits already: one run starts for both, with this input."
    if "deduplicate" in body:
        return "This deduplication key started the run before, within its window; this input is not used."
    return "This idempotency key started the run before."
