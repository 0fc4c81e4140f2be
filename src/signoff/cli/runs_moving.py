"""`signoff runs migrate|fork|diff`: runs and releases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import typer

from signoff.cli.operating_many import Asked, print_batches
from signoff.cli.options import JsonOption, KeyOption, ProjectOption, UrlOption, examples
from signoff.cli.output import EXIT_CONFLICT, clean, console, plain, print_json
from signoff.cli.runs import app, read_json
from signoff.cli.runs_operations import (
    AllOption,
    FilterOption,
    OneRun,
    ReasonOption,
    StatusOption,
    WorkflowOption,
)

if TYPE_CHECKING:
    pass

RunId = Annotated[UUID, typer.Argument(help="The run's id.")]
ReleaseOption = Annotated[str, typer.Option("--to", help="A release's digest, or 'current': the environment's.")]


@app.command(
    epilog=examples(
        "signoff runs migrate 0198c5a0-… --to current --dry-run",
        "signoff runs migrate --all --workflow support/refund --status waiting --to current --reason 'new wording'",
    )
)
def migrate(
    run_id: OneRun = None,
    *,
    release: ReleaseOption = "current",
    reason: ReasonOption = "",
    all_: AllOption = False,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    filter_: FilterOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would differ, and move nothing.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move runs that have not ended to another release, where their past would be the same there."""
    from signoff.cli.client import connect

    body: dict[str, Any] = {"release": release, "reason": reason, "dry_run": dry_run}
    wanted = Asked("migrate", run_id, {}, all_, workflow, status, filter_).found_by()
    with connect(url, key, project) as client:
        if run_id is None:
            print_batches(client, "/v1/runs/migrate", body | {"filter": wanted}, as_json=as_json)
            return
        found = client.post(f"/v1/runs/{run_id}/migrate", body)
    if as_json:
        print_json(found)
    else:
        _print_move(found, dry_run)
    if not found["possible"]:
        raise typer.Exit(EXIT_CONFLICT)


def _print_move(found: dict[str, Any], dry_run: bool) -> None:
    for difference in found["differences"]:
        place = difference["step"] or "(the workflow)"
        weight = "has begun" if difference["begun"] else "has not begun"
        print(clean(f"{place} ({weight}): {difference['what']}"))
    target = found["release"][:12]
    if not found["possible"]:
        print(f"Run {found['run_id']} cannot move to release {target}: its past would be another one.")
    elif dry_run:
        print(f"Run {found['run_id']} can move to release {target}.")
    else:
        print(f"Run {found['run_id']} is asked to move to release {target}.")


@app.command(
    epilog=examples(
        "signoff runs fork 0198c5a0-… --at 17 --to current",
        "signoff runs fork 0198c5a0-… --input other.json --reason 'what if it were less'",
    )
)
def fork(
    run_id: RunId,
    *,
    at: Annotated[int | None, typer.Option("--at", min=1, help="The last event of its past; all by default.")] = None,
    release: Annotated[str | None, typer.Option("--to", help="Another release, or 'current'.")] = None,
    value: Annotated[str | None, typer.Option("--input", "-i", help="Another input: a file, '-', or JSON.")] = None,
    live: Annotated[bool, typer.Option("--live-effects", help="Its effects are real.")] = False,
    reason: ReasonOption = "",
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a new run with this one's past, up to an event. Its effects are dry: nothing is sent."""
    from signoff.cli.client import connect

    body: dict[str, Any] = {"at": at, "release": release, "live_effects": live, "reason": reason}
    if value is not None:
        body["input"] = read_json(value, "--input")
    with connect(url, key, project) as client:
        found = client.post(f"/v1/runs/{run_id}/fork", body, {"Idempotency-Key": f"cli-{uuid4()}"})
    if as_json:
        print_json(found)
    else:
        print(found["run_id"])


@app.command(epilog=examples("signoff runs diff 0198c5a0-… 0198c5b1-…"))
def diff(
    first: Annotated[UUID, typer.Argument(help="A run.")],
    second: Annotated[UUID, typer.Argument(help="Another, such as a fork of it.")],
    *,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """How two runs differ: their ends, their inputs, and the steps that ended otherwise or gave something else."""
    from signoff.cli.client import connect

    with connect(url, key, project) as client:
        found = client.get(f"/v1/runs/{first}/difference", other=str(second))
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    table = Table("", str(first), str(second), box=None, header_style="bold")
    for name in ("status", "outcome", "release"):
        one, two = (run[name] for run in found["runs"])
        table.add_row(plain(name), plain(one), plain(two))
    for item in found["input"]:
        table.add_row(plain(f"input.{item['name']}"), *(plain(json.dumps(item[side])) for side in ("first", "second")))
    for step in found["steps"]:
        table.add_row(plain(step["step"]), plain(_side(step["first"])), plain(_side(step["second"])))
    console().print(table)


def _side(side: dict[str, Any] | None) -> str:
    if side is None:
        return "-"
    shown: dict[str, Any] = side["error"] or side["output"] or {}
    result = "" if side["result"] in (None, side["status"]) else f" ({side['result']})"
    return f"{side['status']}{result} {json.dumps(shown)}"
