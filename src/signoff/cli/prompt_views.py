"""How prompts, their versions, differences and tests look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from signoff.cli.output import clean, console, moment, plain

if TYPE_CHECKING:
    from signoff.catalog.registry.cases import CaseResult
    from signoff.catalog.registry.compatibility import ContractChange
    from signoff.catalog.registry.differences import LinePair


def print_prompts(versions: Sequence[dict[str, Any]], *, changes: bool = False) -> None:
    """Versions with their scores; of a history also what changed."""
    from rich.table import Table

    table = Table(
        *("prompt", "version", "in", "labels", "bump", "released", "by", "owners", "scores", "message"),
        box=None,
        header_style="bold",
    )
    for version in versions:
        points = (", ".join(version["environments"]), ", ".join(version["labels"]))
        cells = (version["prompt"], version["version"], *points, version["bump"], moment(version["released_at"]))
        message = version["message"]
        if changes:
            lines = [f"{change['place']} {change['detail']}" for change in version["changes"]]
            message = "\n".join(filter(None, [message, *lines]))
        table.add_row(
            *(plain(cell) for cell in cells),
            plain(version["released_by"]),
            plain(", ".join(version["owners"])),
            plain(_scores(version)),
            plain(message),
        )
    console().print(table)


def _scores(version: dict[str, Any]) -> str:
    """Each score, with whether it reaches its threshold; and thresholds that nobody measured."""
    marks = {True: " ✓", False: " ✗", None: ""}
    measured = {score["metric"] for score in version["scores"]}
    lines = [f"{one['metric']} {one['value']:g} (n={one['n']}){marks[one['met']]}" for one in version["scores"]]
    return "\n".join([*lines, *(f"{metric} not measured" for metric in version["quality"] if metric not in measured)])


def print_version(version: dict[str, Any]) -> None:
    """One version with everything that is known of it, then its file."""
    from rich.table import Table

    target = console()
    target.print(plain(f"{version['prompt']}@{version['version']} of {version['project']}"))
    released = f"{moment(version['released_at'])} by {version['released_by']}, release {version['release'][:12]}"
    for name, value in (
        ("released", released),
        ("why", version["message"]),
        ("environments", ", ".join(version["environments"]) or "none"),
        ("labels", ", ".join(version["labels"]) or "none"),
        ("owners", ", ".join(version["owners"]) or "nobody"),
        ("data class", version["data_class"]),
        ("follows", f"{version['previous'] or 'nothing'} ({version['bump']})"),
    ):
        target.print(plain(f"  {name}: {value}"), soft_wrap=True)
    for change in version["changes"]:
        target.print(plain(f"    {change['place']} {change['detail']} ({change['bump']})"), soft_wrap=True)
    if version["scores"]:
        table = Table("metric", "value", "n", "data set", "model", "when", "threshold", box=None, header_style="bold")
        for score in version["scores"]:
            bound = " ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in _bounds(score))
            met = {True: " (met)", False: " (missed)", None: ""}[score["met"]]
            cells = (score["metric"], f"{score['value']:g}", score["n"], score["dataset"], score["model"])
            table.add_row(*(plain(cell) for cell in cells), plain(moment(score["scored_at"])), plain(bound + met))
        target.print(table)
    target.print()
    target.print(plain(version["source"]), soft_wrap=True)


def _bounds(score: dict[str, Any]) -> list[tuple[str, float]]:
    found: dict[str, float] = score["threshold"] or {}
    return list(found.items())


def print_difference(
    before: str,
    after: str,
    *,
    changes: Sequence[ContractChange],
    bump: str | None,
    pairs: list[LinePair],
    context: int,
) -> None:
    """Contract changes, then both texts side by side."""
    from rich.table import Table
    from rich.text import Text

    from signoff.catalog.registry.differences import around_changes

    target = console()
    for change in changes:
        target.print(plain(f"  {change}"), soft_wrap=True)
    target.print(plain(f"This is a {bump} change." if bump else "Nothing differs in what it promises."))
    styles = {"same": "", "changed": "yellow", "removed": "red", "added": "green"}
    # A sign as well: a log and a printout have no colours.
    signs = {"same": " ", "changed": "~", "removed": "-", "added": "+"}
    table = Table("", "", clean(before), "", clean(after), box=None, header_style="bold", pad_edge=False)
    for pair in around_changes(pairs, context):
        if pair is None:
            table.add_row("", "⋮", "", "⋮", "")
            continue
        style = styles[pair.sign]
        numbers = [str(number or "") for number in (pair.before_line, pair.after_line)]
        sides = [Text(clean(text), style=style) for text in (pair.before, pair.after)]
        table.add_row(Text(signs[pair.sign], style=style), numbers[0], sides[0], numbers[1], sides[1])
    target.print(table)


def print_cases(results: Sequence[CaseResult]) -> None:
    """Each case, what was wrong with it, and how many passed."""
    from rich.text import Text

    target = console()
    for result in results:
        mark = Text("passed ", style="green") if result.passed else Text("failed ", style="bold red")
        by = f" ({result.model})" if result.model else ""
        target.print(mark + Text(clean(f"{result.prompt}@{result.version} {result.case}{by}")), soft_wrap=True)
        for wrong in result.wrong:
            target.print(Text(clean(f"    {wrong}")), soft_wrap=True)
    passed = sum(result.passed for result in results)
    target.print(f"{passed} of {len(results)} cases passed." if results else "No prompt has tests.")
