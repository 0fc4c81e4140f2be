"""Runs and journals as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from signoff.cli.output import clean, console, dollars, moment, plain

GIST_CHARACTERS = 100
"""How much of an event's data its line shows; `--json` shows all."""

STYLES: Mapping[str, str] = {
    "done": "green",
    "approved": "green",
    "running": "cyan",
    "queued": "cyan",
    "started": "cyan",
    "waiting": "yellow",
    "retrying": "yellow",
    "paused": "yellow",
    "open": "yellow",
    "failed": "red",
    "stuck": "red",
    "rejected": "red",
    "cancelled": "magenta",
    "terminated": "magenta",
    "bypassed": "magenta",
    "expired": "magenta",
}


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(clean(status), style=STYLES.get(status, ""))


def print_runs(runs: list[dict[str, Any]]) -> None:
    """A line per run."""
    if not runs:
        print("No runs.")
        return
    table = Table("run", "workflow", "status", "outcome", "waits for", "started", box=None, header_style="bold")
    table.columns[0].no_wrap = True
    for run in runs:
        waits = ", ".join(f"{entry['kind']} {entry['step']}" for entry in run["waiting_for"])
        table.add_row(
            plain(run["run_id"]),
            plain(run["workflow"]),
            status_text(run["status"]),
            plain(run["outcome"]),
            plain(waits),
            plain(moment(run["started_at"])),
        )
    console().print(table)


def print_run(run: dict[str, Any]) -> None:
    """Everything that a person asks about one run."""
    target = console()
    usage = run["usage"]
    origin: Mapping[str, Any] = run.get("origin") or {}
    facts = [
        ("run", plain(run["run_id"])),
        ("workflow", plain(f"{run['workflow']} {run['version']}  (release {run['release'][:12]})")),
        ("as of", plain(f"event {run['at']}, {moment(run['updated_at'])}" if run.get("at") else "")),
        ("status", status_text(run["status"])),
        ("outcome", plain(run["outcome"])),
        ("origin", plain(origin.get("about"))),
        ("started", plain(f"{moment(run['started_at'])} by {run['started_by']}")),
        ("ended", plain(moment(run["ended_at"]))),
        ("models", plain(_usage(usage) if usage.get("model_calls") else "")),
    ]
    for entry in run["waiting_for"]:
        until = f", until {moment(entry['until'])}" if entry["until"] else ""
        facts.append(("waits for", plain(f"{entry['kind']} at {entry['step']}: {entry['about']}{until}")))
    if run["error"]:
        error = run["error"]
        what = " ".join(str(error[name]) for name in ("step", "kind", "code") if error.get(name))
        facts.append(("error", plain(f"{what}: {error.get('detail', error)}" if what else error.get("detail", error))))
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        if value.plain:
            grid.add_row(Text(name, style="bold"), value)
    target.print(grid)
    if run.get("steps"):
        target.print()
        target.print(_steps(run["steps"]))


def _steps(steps: list[dict[str, Any]]) -> Table:
    table = Table("step", "status", "result", "tries", "took", "decided by", "note", box=None, header_style="bold")
    for step in steps:
        took = "" if step["duration_s"] is None else f"{step['duration_s']:.3f} s"
        result = step["result"] if step["result"] != step["status"] else ""
        error: dict[str, Any] = step["error"] or {}
        via = f"{step['via']} " if step["via"] else ""
        note = f"{via}{error.get('kind', '')}: {error.get('detail', '')}" if error else via
        table.add_row(
            plain(step["step"]),
            status_text(step["status"]),
            plain(result),
            plain(step["attempts"] or ""),
            plain(took),
            plain(step["decided_by"]),
            plain(note),
        )
    return table


def _usage(usage: Mapping[str, Any]) -> str:
    if not usage:
        return ""
    calls, given, got = usage["model_calls"], usage["input_tokens"], usage["output_tokens"]
    return f"{calls} calls, {given} tokens in, {got} out, {dollars(usage['cost_micro_usd'])}"


def print_journal(events: Iterable[dict[str, Any]]) -> None:
    """A line per event."""
    table = Table("seq", "time", "kind", "step", "gist", box=None, header_style="bold")
    table.columns[0].justify = "right"
    for event in events:
        data = event["data"]
        step = data.get("step") or data.get("path") or ""
        table.add_row(
            plain(event["seq"]),
            plain(_clock(event["recorded_at"])),
            plain(event["kind"]),
            plain(step),
            plain(gist_of(event["kind"], data)),
        )
    console().print(table)


def _clock(text: str) -> str:
    return text.partition("T")[2].removesuffix("Z")[:12]


def gist_of(kind: str, data: Mapping[str, Any]) -> str:
    """An event in a few words."""
    match kind:
        case "run.started":
            text = f"{data['workflow']} {data['version']} by {data['started_by']['kind']}/{data['started_by']['id']}"
        case "step.started" | "effect.intended":
            key = f" key {data['key']}" if "key" in data else ""
            decided = f" {_noted('policy.decision', data['decision'])}" if "decision" in data else ""
            text = f"try {data['attempt']}{key}{decided} {_short(data.get('arguments', {}))}"
        case "step.noted":
            text = _noted(data["name"], data["data"])
        case "step.ended":
            result = data.get("result", data["status"])
            shown = data["status"] if result == data["status"] else f"{data['status']} ({result})"
            text = f"{shown} {_short(data.get('error') or data.get('output') or {})}"
        case "step.waiting":
            text = f"{data['kind']}: {data['about']}"
        case "message.received":
            text = f"{data['kind']} from {data['sent_by']}, {data['disposition']}"
        case "run.ended":
            text = f"{data.get('status', '')} {data.get('outcome') or ''} {_short(data.get('error') or {})}"
        case _:
            text = _short(data)
    text = text.strip().removesuffix(" {}")
    return text if len(text) <= GIST_CHARACTERS else f"{text[: GIST_CHARACTERS - 1]}…"


def _noted(kind: str, fact: Mapping[str, Any]) -> str:
    if kind == "policy.decision":
        verdict = "permit" if fact["permit"] else "deny"
        # Where an error denies, the policies are those that would have permitted.
        reason = "; ".join(fact.get("errors", ())) or ", ".join(fact["policies"]) or "no policy"
        return f"{verdict} {fact['about']} ({reason})"
    if kind == "model.call" and "usage" in fact:
        outcome = "" if fact.get("outcome") == "ok" else f" ({fact.get('outcome', '')})"
        repair = f" repair {fact['repair']}" if fact.get("repair") else ""
        broken = f" broke {', '.join(fact['broken'])}" if fact.get("broken") else ""
        return f"model.call {fact.get('model', '')}{repair}{outcome}{broken}: {_usage(fact['usage'])}"
    return f"{kind} {_short(fact)}"


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
