"""Timelines and explanations as text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from signoff.cli.output import clean, console, moment, plain
from signoff.cli.run_views import STYLES, status_text

LEAST_COLUMNS = 20
MOST_COLUMNS = 60
OTHER_COLUMNS = 76
"""What the columns beside the drawing take."""

MARKS: Mapping[str, str] = {"try": "█", "wait": "░", "backoff": "·", "pause": "▒"}
KIND_STYLES: Mapping[str, str] = {"try": "cyan", "wait": "yellow", "backoff": "dim", "pause": "magenta"}


def print_timeline(found: Mapping[str, Any]) -> None:
    """A line per stretch of time, drawn where it lies in the run's."""
    target = console()
    begin = _moment(found["started_at"])
    ends = [_moment(span["ended_at"]) for span in found["spans"] if span["ended_at"]]
    end = _moment(found["ended_at"]) if found["ended_at"] else max([datetime.now(UTC), *ends])
    whole_s = max((end - begin).total_seconds(), 1e-6)
    columns = max(LEAST_COLUMNS, min(MOST_COLUMNS, target.width - OTHER_COLUMNS))
    head = Text.assemble("run ", clean(found["run_id"]), "  ", status_text(found["status"]), f"  {_length(whole_s)}")
    target.print(head)
    table = Table("step", "what", "begins", "takes", "", "came to, by", box=None, header_style="bold")
    table.columns[4].no_wrap = True
    for span in found["spans"]:
        start_s = (_moment(span["started_at"]) - begin).total_seconds()
        until = _moment(span["ended_at"]) if span["ended_at"] else end
        length_s = (until - begin).total_seconds() - start_s
        what = f"{span['kind']} {span['attempt']}" if span["kind"] in ("try", "backoff") else span["kind"]
        by = f" ({span['by']})" if span["by"] and span["by"] != span["step"] and span["kind"] != "try" else ""
        detail = f"{span['detail']}{by}" if span["ended_at"] else f"{span['detail']} …"
        table.add_row(
            plain(span["step"] or "(the run)"),
            plain(what),
            plain(f"+{_length(start_s)}"),
            plain(_length(length_s) if span["ended_at"] else f"{_length(length_s)} …"),
            _bar(span["kind"], start_s / whole_s, length_s / whole_s, columns),
            plain(detail),
        )
    target.print(table)
    target.print(Text("  ".join(f"{mark} {kind}" for kind, mark in MARKS.items()), style="dim"))


def print_causes(events: list[dict[str, Any]]) -> None:
    """A line per event: what, and who or what caused it."""
    table = Table("seq", "time", "kind", "step", "caused by", box=None, header_style="bold")
    table.columns[0].justify = "right"
    for event in events:
        clock = event["recorded_at"].partition("T")[2].removesuffix("Z")[:12]
        table.add_row(*(plain(value) for value in (event["seq"], clock, event["kind"], event["step"], event["cause"])))
    target = console()
    target.print()
    target.print(table)


def print_explanation(found: Mapping[str, Any]) -> None:
    """The sentence first, then each reason with who can end it, and how."""
    target = console()
    status = Text(clean(found["status"]), style=STYLES.get(found["status"], ""))
    target.print(Text.assemble(status, ". ", clean(found["summary"])), soft_wrap=True)
    for reason in found["reasons"]:
        target.print()
        target.print(Text(f"- {clean(reason['text'])}"), soft_wrap=True)
        for name, value in (
            ("since", moment(reason["since"])),
            ("until", moment(reason["until"])),
            ("ended by", reason["who"]),
        ):
            if value:
                target.print(Text.assemble("  ", (f"{name}: ", "bold"), clean(value)), soft_wrap=True)
        for name, value in reason["facts"].items():
            target.print(
                Text.assemble("  ", (f"{name.replace('_', ' ')}: ", "bold"), clean(str(value))), soft_wrap=True
            )
        for command in reason["commands"]:
            target.print(Text(f"    {clean(command)}", style="cyan"), soft_wrap=True)


def _bar(kind: str, start: float, length: float, columns: int) -> Text:
    before = min(int(start * columns), columns - 1)
    filled = max(1, min(round(length * columns), columns - before))
    bar = " " * before + MARKS.get(kind, "█") * filled
    return Text(bar.ljust(columns), style=KIND_STYLES.get(kind, ""))


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _length(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:  # noqa: PLR2004  (two minutes)
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    return " ".join([f"{count} {unit}" for count, unit in parts if count][:2])
