"""`signoff runs timeline|explain`: how a run's time passed, and why it is where it is."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from signoff.cli.options import JsonOption, KeyOption, ProjectOption, UrlOption, examples
from signoff.cli.output import print_json
from signoff.cli.runs import app

RunId = Annotated[UUID, typer.Argument(help="The run's id.")]


@app.command(epilog=examples("signoff runs timeline 0198c5a0-…", "signoff runs timeline 0198c5a0-… --events"))
def timeline(
    run_id: RunId,
    *,
    events: Annotated[bool, typer.Option("--events", help="Also every event, and who or what caused it.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """How a run's time passed: tries, waits, the time before next tries, and pauses, drawn one below the other."""
    from signoff.cli.client import connect

    with connect(url, key, project) as client:
        found = client.get(f"/v1/runs/{run_id}/timeline")
    if as_json:
        print_json(found)
        return
    from signoff.cli.history_views import print_causes, print_timeline

    print_timeline(found)
    if events:
        print_causes(found["events"])


@app.command(epilog=examples("signoff runs explain 0198c5a0-…"))
def explain(
    run_id: RunId,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why a run is where it is, what it waits for, who can end that, and with which command."""
    from signoff.cli.client import connect

    with connect(url, key, project) as client:
        found = client.get(f"/v1/runs/{run_id}/explain")
    if as_json:
        print_json(found)
        return
    from signoff.cli.history_views import print_explanation

    print_explanation(found)
