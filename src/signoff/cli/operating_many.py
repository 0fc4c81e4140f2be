"""Ask for an operation on one run, or on all that a filter finds, batch by batch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import typer

from signoff.cli.output import EXIT_FAILURE, console, plain, print_json, tell

if TYPE_CHECKING:
    from signoff.cli.client import ApiClient


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for on the command line.

    Attributes:
        operation: which.
        run_id: of which run; none with `all_`.
        more: what the operation is told besides.
    """

    operation: str
    run_id: UUID | None
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    all_: bool = False
    workflow: str | None = None
    status: str | None = None
    filter_: str = ""
    dry_run: bool = False

    def found_by(self) -> str:
        """The filter that all options together mean.

        Raises:
            typer.BadParameter: neither a run nor a filter, or both; or no filter at all.
        """
        fields = (("workflow", self.workflow), ("status", self.status))
        parts = [f"{name} = {_quoted(value)}" for name, value in fields if value]
        parts += [self.filter_] if self.filter_.strip() else []
        if (self.run_id is None) != self.all_:
            raise typer.BadParameter("Name a run, or give --all with --workflow, --status or --filter.")
        if self.run_id is not None and (parts or self.dry_run):
            raise typer.BadParameter("--workflow, --status, --filter and --dry-run go with --all.")
        if self.all_ and not parts:
            raise typer.BadParameter("--all needs --workflow, --status or --filter: which runs?")
        return " and ".join(parts)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def ask_for(asked: Asked, url: str | None, key: str | None, project: Path | None, *, as_json: bool, told: str) -> None:
    """Ask the server for it, and print what came of it."""
    from signoff.cli.client import connect

    wanted = asked.found_by()
    with connect(url, key, project) as client:
        if asked.run_id is None:
            _ask_for_many(client, asked, wanted, as_json=as_json)
            return
        answer = client.post(f"/v1/runs/{asked.run_id}/{asked.operation}", _said(asked))
    if as_json:
        print_json(answer)
    else:
        print(f"Run {asked.run_id} {told}.")


def _said(asked: Asked) -> dict[str, Any]:
    return {name: value for name, value in asked.more.items() if value is not None}


def _ask_for_many(client: ApiClient, asked: Asked, wanted: str, *, as_json: bool) -> None:
    body = {"operation": asked.operation, "filter": wanted, "dry_run": asked.dry_run, **_said(asked)}
    print_batches(client, "/v1/runs/bulk", body, as_json=as_json)


def print_batches(client: ApiClient, path: str, body: Mapping[str, Any], *, as_json: bool) -> None:
    """Go through all batches of what a filter finds, printing what became of each run.

    Raises:
        typer.Exit: some of them refused, or may not be touched.
    """
    # One key for the whole command: a batch that is sent again after a broken connection does nothing twice.
    headers = {"Idempotency-Key": f"cli-{uuid4()}"}
    results: Counter[str] = Counter()
    cursor: str | None = None
    while True:
        batch = client.post(path, {**body} if cursor is None else {**body, "cursor": cursor}, headers)
        if cursor is None and not as_json and batch["matched"] is not None:
            more = " or more" if batch["counted_up_to"] else ""
            tell("1 run matches." if batch["matched"] == 1 else f"{batch['matched']}{more} runs match.")
        _print(batch["items"], as_json=as_json)
        results.update(item["result"] for item in batch["items"])
        cursor = batch["next"]
        if cursor is None:
            break
    tell(", ".join(f"{count} {name}" for name, count in sorted(results.items())) or "No runs.")
    if results["refused"] or results["forbidden"]:
        raise typer.Exit(EXIT_FAILURE)


def _print(items: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for item in items:
            print(json.dumps(item))
        return
    from rich.table import Table

    table = Table(box=None, show_header=False)
    for item in items:
        row = (item["run_id"], item["workflow"], item["status"], item["result"], item["detail"])
        table.add_row(*(plain(value) for value in row))
    console().print(table)
