"""A plan as Markdown (GitHub's and GitLab's), for the comment on a pull request."""

from __future__ import annotations

import re
from typing import Any

from signoff.cli.delivery_views import cost_texts, shortfall_text, summary

MAX_CHARACTERS = 60_000
"""Longest comment: hosts take about 65,000 characters."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#+!|~-])")
_NO_LINES = re.compile(r"\s+")
_NO_BREAKS = re.compile(r"[\r\n\v\f\x85\u2028\u2029]+")
_TICKS = re.compile("`+")
_BY_LINE = frozenset({"file", "decision", "fragment"})
"""Kinds whose details are lines of files."""
_SIDES = (("was", "before"), ("is", "after"))


def plan_markdown(plan: dict[str, Any]) -> str:
    """The plan with a heading, a table of changes, and the details folded away."""
    before = f"`{plan['before'][:12]}`" if plan["before"] else "nothing"
    lines = [f"### Signoff plan: {_text(plan['project'])} → {_text(plan['environment'])}", ""]
    if not plan["changed"]:
        return "\n".join([*lines, f"No changes: {before} is what is deployed (version {plan['version']})."])
    lines.append(f"{before} → `{plan['after'][:12]}`, environment at version {plan['version']}.")
    lines += _problems(plan) + _quality(plan)
    lines += ["", f"**{summary(plan)}**", ""]
    lines += ["| | what | version | contract |", "|---|---|---|---|"]
    for change in plan["changes"]:
        versions = " → ".join(part for part in (change["before"], change["after"]) if part)
        what = f"{change['kind']} {_text(change['name'])}"
        lines.append(f"| {change['action']} | {what} | {_text(versions)} | {change['bump']} |")
    lines += _costs(plan) + _details(plan) + _flows(plan)
    text = "\n".join(lines)
    return text if len(text) <= MAX_CHARACTERS else _cut(text)


def _cut(text: str) -> str:
    """As much as a comment takes, whole lines, with what is open in them closed."""
    lines = text[:MAX_CHARACTERS].split("\n")[:-1]
    fence = ""
    for line in lines:
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = line.removesuffix("diff")
    kept = "\n".join([*lines, *([fence] if fence else [])])
    end = "\n\n</details>" if kept.count("\n<details>") > kept.count("\n</details>") else ""
    return f"{kept}{end}\n\n… cut off; see `signoff plan`."


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
            lines += _lines(change["details"]) if change["kind"] in _BY_LINE else _listed(change["details"])
    return _folded("Details", lines)


def _listed(details: list[str]) -> list[str]:
    return [f"- {_text(detail)}" for detail in details]


def _lines(details: list[str]) -> list[str]:
    """Lines of files as a difference; the fence is longer than any in them, so that none of them ends it."""
    longest = max((len(run) for detail in details for run in _TICKS.findall(detail)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}diff", *(_NO_BREAKS.sub(" ", detail) for detail in details), fence]


def _flows(plan: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    for flow in plan["flows"]:
        lines.append(f"- {_text(flow['workflow'])} {_text(flow['place'])}")
        lines += [f"  - {word}: {_text(flow[side])}" for word, side in _SIDES if flow[side]]
    count = len(plan["flows"])
    title = f"Data flow: {count} difference{'s' if count > 1 else ''}"
    return _folded(title, ["", *lines] if lines else [])


def _costs(plan: dict[str, Any]) -> list[str]:
    lines = [f"| {_text(cost['workflow'])} | {' | '.join(cost_texts(plan, cost))} |" for cost in plan["costs"]]
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
