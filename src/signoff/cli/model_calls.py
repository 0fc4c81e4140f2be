"""`signoff calls`, `signoff costs`, `signoff limits`: what models were asked, what it cost, and how much is left."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from signoff.cli.options import JsonOption, KeyOption, ProjectOption, UrlOption, examples
from signoff.cli.output import console, dollars, moment, plain, print_json

CALLS_EXAMPLES = examples("signoff calls --run 0198c5a0-…", "signoff calls --team support --outcome timeout --json")
COSTS_EXAMPLES = examples(
    "signoff costs --by team,day", "signoff costs --by run --workflow support/refund", "signoff costs --differences"
)
LIMITS_EXAMPLES = examples("signoff limits", "signoff limits --of key", "signoff limits --of team --holder support")

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many lines.")]
EnvironmentOption = Annotated[
    str | None, typer.Option("--environment", "-e", help="Where they were asked; the server's own otherwise.")
]
TeamOption = Annotated[str | None, typer.Option("--team", help="Only of this team.")]
WorkflowOption = Annotated[str | None, typer.Option("--workflow", help="Only of this workflow.")]
ModelOption = Annotated[str | None, typer.Option("--model", help="Only of this model.")]


def calls(
    call: Annotated[str | None, typer.Argument(help="One call, by its id, with all that is kept of it.")] = None,
    *,
    run: Annotated[str | None, typer.Option("--run", help="Only of this run.")] = None,
    team: TeamOption = None,
    workflow: WorkflowOption = None,
    model: ModelOption = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="Only that ended so, such as timeout.")] = None,
    environment: EnvironmentOption = None,
    limit: LimitOption = 50,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List calls to models, newest first: who asked, who answered, tokens, cost and time. They hold no content."""
    from rich.table import Table

    from signoff.cli.client import connect

    asked = {
        "run_id": run,
        "team": team,
        "workflow": workflow,
        "model": model,
        "outcome": outcome,
        "environment": environment,
    }
    with connect(url, key, project) as client:
        if call is not None:
            print_json(client.get(f"/v1/model-calls/{call}"))
            return
        found = list(client.pages("/v1/model-calls", most=limit, **asked))
    if as_json:
        for item in found:
            print_json(item)
        return
    headings = ("call", "began", "who", "step", "model", "outcome", "tries", "in", "out", "cost", "first", "took")
    table = Table(*headings, box=None, header_style="bold")
    for item in found:
        who = item["workflow"] or item["principal"]
        outcome_told = f"{item['outcome']} (kept)" if item["cached"] else item["outcome"]
        first = "" if item["first_token_s"] is None else f"{item['first_token_s']:.2f} s"
        answered = item["model"] or "none"
        cells = (item["call_id"], moment(item["began_at"]), who, item["step"], answered, outcome_told)
        counts = (item["model_calls"], item["input_tokens"], item["output_tokens"], dollars(item["cost_micro_usd"]))
        table.add_row(*(plain(cell) for cell in (*cells, *counts, first, f"{item['latency_s']:.2f} s")))
    console().print(table)


def costs(
    *,
    by: Annotated[
        str,
        typer.Option("--by", help="With commas: day, month, team, workflow, principal, model, price, run, step, …"),
    ] = "day",
    differences: Annotated[
        bool, typer.Option("--differences", help="Instead: estimates beside vendors' reports and what was counted.")
    ] = False,
    since: Annotated[str | None, typer.Option("--from", help="The first day, such as 2026-11-01.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The last day; today otherwise.")] = None,
    team: TeamOption = None,
    workflow: WorkflowOption = None,
    model: ModelOption = None,
    of_project: Annotated[str | None, typer.Option("--of", help="Which project's, where several are deployed.")] = None,
    environment: EnvironmentOption = None,
    limit: LimitOption = 200,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sum up what calls to models cost, by day, team, workflow, run, step, model and more."""
    from signoff.cli.client import connect

    asked: dict[str, Any] = {"project": of_project, "environment": environment, "model": model}
    asked |= {"from": since, "to": until}
    with connect(url, key, project) as client:
        if differences:
            found = list(client.pages("/v1/model-costs/differences", most=limit, **asked))
        else:
            asked |= {"by": by, "team": team, "workflow": workflow}
            found = list(client.pages("/v1/model-costs", most=limit, **asked))
    if as_json:
        for item in found:
            print_json(item)
    elif differences:
        _print_differences(found)
    else:
        _print_costs(found, [name.strip() for name in by.split(",")])


def limits(
    *,
    of: Annotated[
        str | None, typer.Option("--of", help="Only of these: project, team, workflow, key or model.")
    ] = None,
    holder: Annotated[str | None, typer.Option("--holder", help="Only of this team, workflow, key or model.")] = None,
    of_project: Annotated[
        str | None, typer.Option("--project-of", help="Which project's, where several are deployed.")
    ] = None,
    environment: EnvironmentOption = None,
    limit: LimitOption = 200,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what is used of quotas and budgets now, and what is left. Those that nobody asks for are left out."""
    from rich.table import Table

    from signoff.cli.client import connect

    asked = {"project": of_project, "environment": environment, "of": of, "holder": holder}
    with connect(url, key, project) as client:
        found = list(client.pages("/v1/model-limits", most=limit, **asked))
    if as_json:
        for item in found:
            print_json(item)
        return
    table = Table("of", "holder", "every", "used", "of at most", "left", "unit", box=None, header_style="bold")
    for item in found:
        money = item["unit"] == "micro_usd"
        numbers = (item["used"], item["most"], max(item["most"] - item["used"], 0))
        told = [dollars(number) if money else f"{number:,}" for number in numbers]
        unit = "" if money else item["unit"]
        table.add_row(*(plain(cell) for cell in (item["of"], item["holder"], item["every"], *told, unit)))
    console().print(table)


def _print_costs(found: list[dict[str, Any]], names: list[str]) -> None:
    from rich.table import Table

    table = Table(*names, "calls", "failed", "kept", "tries", "in", "out", "cost", box=None, header_style="bold")
    for item in found:
        counts = [item[name] for name in ("calls", "failed_calls", "cached_calls", "tries")]
        tokens = (item["input_tokens"], item["output_tokens"], dollars(item["cost_micro_usd"]))
        # Where nobody answered there is no model, where no run asked no run.
        groups = (value or "none" for value in item["by"].values())
        table.add_row(*(plain(cell) for cell in (*groups, *counts, *tokens)))
    console().print(table)


def _print_differences(found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    headings = ("day", "model", "price", "tries", "unreported", "in est.", "in rep.", "in", "out rep.", "out")
    table = Table(*headings, "cost est.", "cost", box=None, header_style="bold")
    for item in found:
        told = [item[name] for name in ("day", "model", "price_version", "tries", "unreported_calls")]
        tokens = [item[name] for name in ("estimated_input_tokens", "reported_input_tokens", "input_tokens")]
        tokens += [item["reported_output_tokens"], item["output_tokens"]]
        money = [dollars(item["estimated_cost_micro_usd"]), dollars(item["cost_micro_usd"])]
        table.add_row(*(plain(cell) for cell in (*told, *tokens, *money)))
    console().print(table)
