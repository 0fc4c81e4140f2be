"""`signoff outcomes`: what the runs of workflows came to, as bars, beside their goals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.cli.options import JsonOption, KeyOption, ProjectOption, UrlOption, examples, server_named
from signoff.cli.output import clean, console, dollars, print_json

if TYPE_CHECKING:
    from rich.text import Text

BAR_CHARACTERS = 30
"""How long the bar of all runs is."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SIDES = {"at_least": "≥", "at_most": "≤"}
_STYLES = {"done": "green", "failed": "red", "cancelled": "yellow", "terminated": "yellow"}

OUTCOMES_EXAMPLES = examples(
    "signoff outcomes",
    "signoff outcomes support/refund --since 7d --environment prod",
    "signoff outcomes support/refund --release 3f2a9c1 --json",
)


def outcomes(
    workflow: Annotated[str | None, typer.Argument(help="One workflow; all that are deployed otherwise.")] = None,
    *,
    since: Annotated[
        str | None, typer.Option("--since", help="Runs started from then on: an age such as 7d, or 2026-11-01.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Runs started before then, written likewise.")] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="Where they were started; the server's own otherwise.")
    ] = None,
    release: Annotated[str | None, typer.Option("--release", help="Only runs of this release.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many workflows.")] = 100,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what runs came to: how often, what it cost, how many without a person; and goals beside what was measured.

    With --json: one workflow per line.
    """
    named = _project_of(project) if workflow or release else None
    asked = {
        "project": named,
        "workflow": workflow,
        "environment": environment,
        "release": release,
        "since": _moment(since, "--since"),
        "until": _moment(until, "--until"),
    }
    with server_named(url, key, project) as client:
        found = list(client.pages("/v1/outcomes", most=limit, **asked))
    if as_json:
        for item in found:
            print_json(item)
    elif not found:
        print("No workflow whose outcomes you may read: policy asks 'outcome.read', of what is deployed there.")
    else:
        for item in found:
            _print(item)


def _project_of(directory: Any) -> str | None:
    """The project that the command stands in, where it does: with --url it need not."""
    from signoff.cli.workspace import project_name
    from signoff.core.errors import SignoffError

    try:
        return project_name(directory)
    except SignoffError:
        if directory is not None:
            raise
        return None


def _moment(text: str | None, option: str) -> str | None:
    """A time as the API takes it, from an age or a date."""
    from signoff.core.durations import parse_duration_s

    if text is None:
        return None
    try:
        return (datetime.now(UTC) - timedelta(seconds=parse_duration_s(text))).isoformat()
    except OverflowError:
        raise typer.BadParameter("this is longer ago than there is time", param_hint=option) from None
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write an age such as 7d, or a date such as 2026-11-01", param_hint=option) from None
    return (found if found.tzinfo else found.astimezone()).isoformat()


def _print(item: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    target = console()
    ended = item["ended"]
    owner = f", owner {item['owner']}" if item["owner"] else ""
    head = Text(clean(f"{item['project']} {item['workflow']}"), style="bold")
    target.print(head + Text(clean(f"  {ended['runs']} ended, {item['open']} open{owner}")), soft_wrap=True)
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("  outcome")
    table.add_column("")
    for name in ("runs", "share", "automated", "with a person", "cost", "mean time"):
        table.add_column(name, justify="right")
    for count in item["outcomes"]:
        named = Text(clean(f"  {count['outcome'] or count['status']}"), style="" if count["outcome"] else "italic")
        share = count["share"]
        table.add_row(named, _bar(share, count["status"]), *_cells(count, "" if share is None else f"{share:.1%}"))
    if item["outcomes"]:
        table.add_row("  all", "", *_cells(ended, ""), style="dim")
    target.print(table)
    for goal in item["goals"]:
        target.print(_goal(goal), soft_wrap=True)
    target.print()


def _cells(tally: dict[str, Any], share: str) -> tuple[str, ...]:
    counts = (str(tally["runs"]), share, str(tally["automated"]), str(tally["with_person"]))
    return (*counts, dollars(tally["cost_micro_usd"]), _time(tally["mean_s"]))


def _bar(share: float | None, status: str) -> Text:
    from rich.text import Text

    eighths = round((share or 0.0) * BAR_CHARACTERS * 8)
    if share and not eighths:
        eighths = 1  # what happened is seen, however seldom
    whole, rest = divmod(eighths, 8)
    bar = "█" * whole + (_EIGHTHS[rest] if rest else "")
    return Text(bar.ljust(BAR_CHARACTERS), style=_STYLES.get(status, ""))


def _goal(goal: dict[str, Any]) -> Text:
    from rich.text import Text

    marks = {True: ("✓", "green"), False: ("✗", "bold red"), None: ("·", "dim")}
    mark, style = marks[goal["met"]]
    measured = goal["measured"]
    said = "not counted; an evaluation's" if measured is None else _number(measured, goal["unit"])
    wanted = f"{_SIDES[goal['side']]} {_number(goal['value'], goal['unit'])}"
    return Text(f"  {mark} ", style=style) + Text(clean(f"goal {goal['name']} {wanted}: {said}"))


def _number(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.1%}"
    if unit == "seconds":
        return _time(value)
    return f"{value:g} USD" if unit == "usd" else f"{value:g}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.1f}{unit}"
    return f"{seconds:.2g}s" if seconds < 10 else f"{seconds:.0f}s"  # noqa: PLR2004  (two digits are enough)
