"""Reviews as a table, and one as a page to decide on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any, cast

from rich.table import Table
from rich.text import Text

from signoff.cli.output import clean, console, moment, plain
from signoff.cli.run_views import status_text

LEAST_DECIMAL = 0.01
"""Of smaller numbers four decimals say too little."""
LONGEST_TEXT = 240
"""Characters of one text of the evidence."""


def print_reviews(reviews: list[dict[str, Any]]) -> None:
    """A line per review."""
    if not reviews:
        print("Nothing waits for a person.")
        return
    table = Table("review", "title", "workflow", "status", "may decide", "expires", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for review in reviews:
        table.add_row(
            plain(review["review_id"]),
            plain(review["title"]),
            plain(review["workflow"]),
            status_text(review["status"]),
            plain(", ".join(review["may_decide"])),
            plain(moment(review["expire_at"])),
        )
    console().print(table)


def print_review(review: dict[str, Any]) -> None:
    """What a person needs in order to decide."""
    target = console()
    target.print(Text(clean(review["title"]), style="bold"))
    grid = Table.grid(padding=(0, 2))
    facts = [
        ("review", plain(review["review_id"])),
        ("run", plain(f"{review['run_id']}, step {review['step']} of {review['workflow']}")),
        ("status", status_text(review["status"])),
        ("may decide", plain(", ".join(f"role/{role}" for role in review["may_decide"]))),
        ("opened", plain(moment(review["opened_at"]))),
        ("escalates", plain(moment(review["escalate_at"]))),
        ("expires", plain(moment(review["expire_at"]))),
        ("decided", plain(_decided(review))),
        ("digest", plain(review["digest"])),
    ]
    for name, value in facts:
        if value.plain:
            grid.add_row(Text(name, style="bold"), value)
    target.print(grid)
    target.print(Text("\nproposed", style="bold"))
    for name, value in review["proposed"].items():
        editable = "  (editable)" if name in review["editable"] else ""
        target.print(plain(f"  {name} = {_json(value)}{editable}"), soft_wrap=True)
    target.print(Text("\nevidence", style="bold"))
    for source, value in review["shown"].items():
        for line in _outline(source, value):
            target.print(plain(f"  {line}"), soft_wrap=True)
    if review["final_values"] is not None:
        target.print(Text("\nas decided", style="bold"))
        for name, value in review["final_values"].items():
            target.print(plain(f"  {name} = {_json(value)}"), soft_wrap=True)


def print_decision(review: dict[str, Any]) -> None:
    """One line that says what was decided."""
    final: dict[str, Any] = review["final_values"] or {}
    values = ", ".join(f"{name}={_json(value)}" for name, value in final.items())
    line = f"Review {review['review_id']} is {review['status']} by {review['decided_by']}"
    console().print(plain(f"{line}: {values}" if values else f"{line}."), soft_wrap=True)


def _decided(review: dict[str, Any]) -> str:
    if review["decided_by"] is None:
        return ""
    reason = f": {review['reason']}" if review["reason"] else ""
    return f"{review['status']} by {review['decided_by']} at {moment(review['closed_at'])}{reason}"


def _outline(name: str, value: Any) -> Iterator[str]:
    """A value as indented lines, long texts cut: a page to read. `--json` has everything."""
    if isinstance(value, dict):
        entries = _of_step(cast("dict[str, Any]", value))
        yield f"{name}:"
        for key, item in entries.items():
            yield from (f"  {line}" for line in _outline(key, item))
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in cast("list[Any]", value)):
        yield f"{name}:"
        for number, item in enumerate(cast("list[Any]", value), start=1):
            yield from (f"  {line}" for line in _outline(str(number), item))
    else:
        text = value if isinstance(value, str) else rounded(value) if isinstance(value, float) else _json(value)
        text = " ".join(text.split())
        more = f" … ({len(text) - LONGEST_TEXT} more characters)" if len(text) > LONGEST_TEXT else ""
        yield f"{name}: {text[:LONGEST_TEXT]}{more}"


def _of_step(value: dict[str, Any]) -> dict[str, Any]:
    """A step's data without the status that every step has, where it is simply done."""
    if value.get("done") is True and value.get("result") == "done":
        return {key: item for key, item in value.items() if key not in {"done", "result"}}
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def rounded(value: float) -> str:
    """A number as people read it: four decimals, of small ones three digits; marked where anything was left out."""
    if not isfinite(value):
        return _json(value)
    text = f"{value:.4f}".rstrip("0").rstrip(".") if value == 0 or abs(value) >= LEAST_DECIMAL else f"{value:.3g}"
    return text if float(text) == value else f"≈ {text}"
