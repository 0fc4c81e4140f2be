"""A plan as Markdown (GitHub's and GitLab's), for the comment on a pull request."""

from __future__ import annotations

import re
from typing import Any

from signoff.cli.delivery_views import cost_text, shortfall_text

MAX_CHARACTERS = 60_000
"""Longest comment: hosts take about 65,000 characters."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#+!|~-])")
_NO_LINES = re.compile(r"\s+")


def plan_markdown(plan: dict[str, Any]) -> str:
    """The plan with a heading, a table of changes, and the details folded away."""
    before = f"`{plan['before'][:12]}`" if plan["before"] else "nothing"
    lines = [f"### Signoff plan: {_text(plan['project'])} → {_text(plan['environment'])}", ""]
    if not plan["changed"]:
        return "\n".join([*lines, f"No changes: {before} is what is deployed (version {plan['version']})."])
    lines.append(f"{before} → `{plan['after'][:12]}`, environment at version {plan['version']}.")
    lines += _problems(plan) + _quality(plan)
    breaking = sum(change["bump"] == "major" for change in plan["changes"])
    lines += ["", f"{len(plan['changes'])} changes{f', **{breaking} breaking a contract**' if breaking else ''}.", ""]
    lines += ["| | what | version | contract |", "|---|---|---|---|"]
    for change in plan["changes"]:
        versions = " → ".join(part for part in (change["before"], change["after"]) if part)
        what = f"{change['kind']} {_text(change['name'])}"
        lines.append(f"| {change['action']} | {what} | {_text(versions)} | {change['bump']} |")
    lines += _details(plan) + _flows(plan) + _costs(plan)
    text = "\n".join(lines)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}\n\n… cut off; see `signoff plan`."


def _problems(plan: dict[str, Any]) -> list[str]:
    found = [("**It would be refused**", plan["problems"]), ("Warnings", plan["warnings"])]
    lines: list[str] = []
    for title, problems in found:
        if problems:
            lines += ["", f"{title}:", *(f"- {_place(problem)}{_told(problem)}" for problem in problems)]
    return lines


def _told(problem: dict[str, Any]) -> str:
    return _text(f"{problem['detail']} {problem.get('suggestion') or ''}".rstrip())


def _place(problem: dict[str, Any]) -> str:
    place = ":".join(str(problem[part]) for part in ("file", "line") if part in problem)
    return f"`{place.replace('`', '')}` " if place else ""


def _details(plan: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for change in plan["changes"]:
        if change["details"]:
            lines += ["", f"**{change['kind']} {_text(change['name'])}**"]
            lines += [f"- {_text(detail)}" for detail in change["details"]]
    return _folded("Details", lines)


def _flows(plan: dict[str, Any]) -> list[str]:
    lines = [
        f"- {_text(flow['workflow'])} {_text(flow['place'])}: {_text(flow['before'] or 'not there')} → "
        f"{_text(flow['after'] or 'not there')}"
        for flow in plan["flows"]
    ]
    return _folded(f"Data flow: {len(lines)} differences", ["", *lines] if lines else [])


def _costs(plan: dict[str, Any]) -> list[str]:
    lines = [
        f"| {_text(cost['workflow'])} | {cost_text(cost['before'])} | {cost_text(cost['after'])} |"
        for cost in plan["costs"]
    ]
    head = ["", "| model calls of one run | before | after |", "|---|---|---|"]
    return [*head, *lines] if lines else []


def _quality(plan: dict[str, Any]) -> list[str]:
    lines = [f"- {_text(shortfall_text(shortfall))}" for shortfall in plan["quality"]]
    return (
        ["", "**Deploying is refused until these are measured and reached, or overridden**:", *lines] if lines else []
    )


def _folded(title: str, lines: list[str]) -> list[str]:
    return ["", f"<details><summary>{title}</summary>", *lines, "", "</details>"] if lines else []


def _text(value: object) -> str:
    """A text of the project that stands for itself: no markup, no mention of anybody, no line of its own."""
    return _SPECIAL.sub(r"\\\1", _NO_LINES.sub(" ", str(value))).replace("@", "@\u200b")
