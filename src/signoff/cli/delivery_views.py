"""How plans, releases and moves look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from signoff.cli.output import clean, console, dollars, moment, plain

_SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
_BUMPS = {"major": "bold red", "minor": "yellow", "patch": "dim", "": "dim"}


def print_plan(plan: dict[str, Any]) -> None:
    """Everything that would change, grouped as it is read."""
    from rich.text import Text

    target = console()
    before = plan["before"][:12] if plan["before"] else "nothing"
    target.print(
        plain(
            f"{plan['project']} in {plan['environment']} (version {plan['version']}): {before} → {plan['after'][:12]}"
        )
    )
    if not plan["changed"]:
        target.print("No changes: the environment has exactly these files.")
    for change in plan["changes"]:
        sign, style = _SIGNS[change["action"]]
        versions = " → ".join(part for part in (change["before"], change["after"]) if part)
        line = Text(f"  {sign} ", style=style) + Text(f"{change['kind']} {clean(change['name'])}", style="bold")
        if versions:
            line += Text(f" {clean(versions)}")
        if change["bump"]:
            line += Text(f"  {change['bump']}", style=_BUMPS[change["bump"]])
        target.print(line, soft_wrap=True)
        for detail in change["details"]:
            target.print(Text(f"      {clean(detail)}"), soft_wrap=True)
    _print_flows(plan)
    for cost in plan["costs"]:
        target.print(
            plain(f"  $ {cost['workflow']}: {cost_text(cost['before'])} → {cost_text(cost['after'])}, models per run"),
            soft_wrap=True,
        )
    for shortfall in plan["quality"]:
        target.print(Text(f"  ! {clean(shortfall_text(shortfall))}", style="yellow"), soft_wrap=True)
    if plan["quality"]:
        target.print("A deployment is refused until these are measured and reached, or overridden.")
    _print_problems(plan)


def shortfall_text(shortfall: dict[str, Any]) -> str:
    """A threshold that is not reached, in a phrase."""
    bounds = " and ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in shortfall["threshold"].items())
    measured = shortfall["measured"]
    found = "not measured" if measured is None else f"{measured:g} on {shortfall['dataset']} by {shortfall['model']}"
    return f"quality of {shortfall['prompt']}@{shortfall['version']}: {shortfall['metric']} {bounds}; {found}"


def _print_flows(plan: dict[str, Any]) -> None:
    from rich.text import Text

    target = console()
    if plan["flows"]:
        target.print(Text("Data flow", style="bold"))
    for flow in plan["flows"]:
        target.print(Text(f"  {clean(flow['workflow'])} {clean(flow['place'])}"), soft_wrap=True)
        for sign, text, style in (("-", flow["before"], "red"), ("+", flow["after"], "green")):
            if text:
                target.print(Text(f"    {sign} {clean(text)}", style=style), soft_wrap=True)


def _print_problems(plan: dict[str, Any]) -> None:
    from rich.text import Text

    target = console()
    for name, style in (("problems", "bold red"), ("warnings", "yellow")):
        for problem in plan[name]:
            place = ":".join(str(problem[part]) for part in ("file", "line", "column") if part in problem)
            said = f"{name.removesuffix('s')}: {place + ': ' if place else ''}{problem['detail']}"
            target.print(Text(clean(f"{said} {problem.get('suggestion', '')}".rstrip()), style=style), soft_wrap=True)


def cost_text(cost: dict[str, int] | None) -> str:
    """What one run may cost: at least, about, at most."""
    if cost is None:
        return "unknown"
    least, expected, most = (cost[f"{name}_micro_usd"] for name in ("min", "expected", "max"))
    if not most:
        return dollars(0)
    return f"{least / 1e6:.4f} to {most / 1e6:.4f} USD (about {expected / 1e6:.4f})"


def print_released(made: dict[str, Any], *, dry_run: bool) -> None:
    """The release, and the prompt versions that it brings."""
    target = console()
    for prompt in made["prompts"]:
        after = f" after {prompt['previous']}" if prompt["previous"] else ""
        target.print(plain(f"  prompt {prompt['prompt']}@{prompt['version']}: {prompt['bump']}{after}"))
    if dry_run:
        target.print(plain(f"Release {made['release']} of {made['project']} could be made; nothing was kept."))
    elif made["created"]:
        target.print(plain(f"Release {made['release']} of {made['project']}."))
    else:
        target.print(plain(f"Release {made['release']} of {made['project']} was there already."))


def print_moved(moved: dict[str, Any], *, dry_run: bool) -> None:
    """Where the environment points now."""
    environment = moved["environment"]
    release = environment["release"] or "nothing"
    where = f"Environment {environment['environment']} of {environment['project']}"
    if dry_run:
        print(clean(f"{where} could be moved; it was not. It is at version {environment['version']}."))
    elif moved["changed"]:
        print(clean(f"{where} points at release {release} (version {environment['version']})."))
    else:
        print(clean(f"{where} points at release {release} already (version {environment['version']})."))


def print_history(moves: Sequence[dict[str, Any]]) -> None:
    """The moves of an environment, newest first."""
    from rich.table import Table

    table = Table("version", "when", "who", "what", "release", "why", box=None, header_style="bold")
    for move in moves:
        cells = (move["version"], moment(move["changed_at"]), move["changed_by"], move["operation"])
        table.add_row(*(plain(cell) for cell in cells), plain(move["release"][:12]), plain(_why(move)))
    console().print(table)


def _why(move: dict[str, Any]) -> str:
    """The reason, and where thresholds were passed over, why and which."""
    passed = move["quality_override"]
    if passed is None:
        return str(move["reason"])
    lines = [f"quality overridden: {passed['reason']}", *(shortfall_text(one) for one in passed["shortfalls"])]
    return "\n".join(filter(None, [move["reason"], *lines]))


def print_releases(releases: Sequence[dict[str, Any]]) -> None:
    """Releases with where they are deployed and who stands behind them."""
    from rich.table import Table

    table = Table("release", "made", "by", "files", "environments", "message", box=None, header_style="bold")
    for release in releases:
        behind = release["published_by"]
        message = release["message"] if behind else "(a snapshot of signoff dev)"
        cells = (
            release["release"][:12],
            moment(release["published_at"] or release["created_at"]),
            behind or release["created_by"],
            release["files"],
            ", ".join(release["environments"]),
            message,
        )
        table.add_row(*(plain(cell) for cell in cells))
    console().print(table)
