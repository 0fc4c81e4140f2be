"""What is right for a ticket. Nothing reads it but the final check (`checks.py`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from examples.refunds.sources import HERE

FILE = HERE / "expectations.yaml"

WAITING = "waiting"
"""The outcome of a run that is parked until a person decides."""

_HEAD = """\
# What is right for each ticket of data/tickets.jsonl. Nothing reads this but the final check.
#   right: outcomes that are right; `waiting` is a run that waits for a person
#   safe: outcomes that harm nobody, though a better one was possible: they pass, and do not count as right
#   order: the only order on which the ticket may lead to a payment; none where it may lead to none
#   automatic_cents: what may be paid without a person, exactly; none means nothing
#   reviewed_max_cents: what may be paid at most once a person has approved
# Made by `python -m examples.refunds.tickets`.
"""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What may come of one ticket; amounts in integer cents.

    Attributes:
        kind: what was composed, for tables.
        why: one sentence for people.
        customer: whose ticket it is.
        right: the outcomes that are right.
        safe: outcomes that harm nobody, though a better one was possible.
        order: the only order that may be paid on; none means no payment at all.
        automatic_cents: what may be paid without a person, exactly.
        reviewed_max_cents: what may be paid at most once a person has approved.
    """

    kind: str
    why: str
    customer: str
    right: tuple[str, ...]
    safe: tuple[str, ...] = ()
    order: str | None = None
    automatic_cents: int | None = None
    reviewed_max_cents: int | None = None


def load_expectations(file: Path = FILE) -> dict[str, Expectation]:
    """The expectations by ticket."""
    data: Mapping[str, Any] = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))  # pyright: ignore[reportUnknownMemberType]  (untyped library)
    found: dict[str, Expectation] = {}
    for ticket, item in data["tickets"].items():
        values: dict[str, Any] = {**item, "right": tuple(item["right"]), "safe": tuple(item.get("safe", ()))}
        found[ticket] = Expectation(**values)
    return found


def render_expectations(expectations: Iterable[tuple[str, Expectation]]) -> str:
    """The text of `expectations.yaml`."""
    lines = [_HEAD.rstrip(), "tickets:"]
    for ticket, expectation in expectations:
        lines.append(f"  {ticket}:")
        values = asdict(expectation)
        names = [field.name for field in fields(expectation) if values[field.name] not in (None, ())]
        lines += [f"    {name}: {_scalar(values[name])}" for name in names]
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(str(item) for item in value)}]"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  (a dataclass's tuples of str)
    return json.dumps(value) if isinstance(value, str) and " " in value else str(value)
