"""How plans, releases and moves look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from signoff.cli.output import clean, console, dollars, moment, plain

_SIGNS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
_BUMPS = {"major": "bold red", "minor": "yellow", "patch": "dim", "": "dim"}


def print_plan(plan: dict[str, Any], *, deploy: str = "") -> None:
    """Everything that would change, grouped as it is read, and what it comes to.

    Args:
        plan: as the API has it.
        deploy: the command that would deploy exactly this.
    """
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
        before, after = cost_texts(plan, cost)
        target.print(plain(f"  $ {cost['workflow']}: {before} → {after}, models per run"), soft_wrap=True)
    for shortfall in plan["quality"]:
        target.print(Text(f"  ! {clean(shortfall_text(shortfall))}", style="yellow"), soft_wrap=True)
    _print_problems(plan)
    if plan["changed"]:
        target.print()
        target.print(f"Plan: {summary(plan)}")
        _print_verdict(plan, deploy)


def _print_verdict(plan: dict[str, Any], deploy: str) -> None:
    """What becomes of it."""
    from rich.text import Text

    target = console()
    if plan["problems"]:
        target.print(Text("It would be refused: see the problems above.", style="bold red"))
    elif plan["quality"]:
        told = "A deployment is refused until the thresholds above are measured and reached, or overridden."
        target.print(Text(told, style="yellow"), soft_wrap=True)
    elif deploy:
        target.print(plain(f"To deploy exactly this: {deploy}"), soft_wrap=True)


def summary(plan: dict[str, Any]) -> str:
    """How much changes, in a line."""
    counts = {action: sum(change["action"] == action for change in plan["changes"]) for action in _SIGNS}
    breaking = sum(change["bump"] == "major" for change in plan["changes"])
    broken = f" {breaking} {'contract breaks' if breaking == 1 else 'contracts break'}." if breaking else ""
    return f"{counts['added']} to add, {counts['changed']} to change, {counts['removed']} to remove.{broken}"


def cost_texts(plan: dict[str, Any], cost: dict[str, Any]) -> tuple[str, str]:
    """What a run may cost before and afterwards; of a workflow that comes or goes one side is nothing."""
    actions = {change["name"]: change["action"] for change in plan["changes"] if change["kind"] == "workflow"}
    action = actions.get(cost["workflow"])
    before = "not there" if action == "added" else cost_text(cost["before"])
    return before, "not there" if action == "removed" else cost_text(cost["after"])


def shortfall_text(shortfall: dict[str, Any]) -> str:
    """A threshold that is not reached, in a phrase."""
    bounds = " and ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in shortfall["threshold"].items())
    measured = shortfall["measured"]
    found = "not measured" if measured is None else f"{measured:g} on {shortfall['dataset']} by {shortfall['model']}"
    return f"quality of {shortfall['prompt']}@{shortfall['version']}: {shortfall['metric']} {bounds}; {found}"


def _print_flows(plan: dict[str, Any]) -> None:
    """What is said of arguments before and afterwards; of workflows that come or go how many there are."""
    from rich.text import Text

    target = console()
    whole = {change["name"]: change["action"] for change in plan["changes"] if change["kind"] == "workflow"}
    whole = {name: action for name, action in whole.items() if action != "changed"}
    if plan["flows"]:
        target.print(Text("Data flow", style="bold"))
    for name, action in whole.items():
        sign, style = _SIGNS[action]
        count = sum(flow["workflow"] == name for flow in plan["flows"])
        line = Text(f"  {sign} ", style=style) + Text(f"{clean(name)}: {count} places")
        more = f"; signoff explain flow STEP.FIELD -w {name} says each" if action == "added" else ""
        target.print(line + Text(clean(more), style="dim"), soft_wrap=True)
    for flow in plan["flows"]:
        if flow["workflow"] in whole:
            continue
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
    if dry_run and not made.get("existed"):
        target.print(plain(f"Release {made['release']} of {made['project']} could be made; nothing was kept."))
    elif made["created"]:
        target.print(plain(f"Release {made['release']} of {made['project']}."))
    else:
        kept = " Nothing was done." if dry_run else ""
        target.print(plain(f"Release {made['release']} of {made['project']} was there already.{kept}"))


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
