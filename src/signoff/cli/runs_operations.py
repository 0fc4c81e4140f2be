"""`signoff runs cancel|terminate|pause|resume|retry|skip|priority`: steer one run, or all that a filter finds."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from signoff.cli.operating_many import Asked, ask_for
from signoff.cli.options import JsonOption, KeyOption, ProjectOption, UrlOption, examples
from signoff.cli.runs import app

OneRun = Annotated[UUID | None, typer.Argument(help="The run's id; or --all.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; it goes into the journal.")]
AllOption = Annotated[bool, typer.Option("--all", help="All runs that the filter finds.")]
WorkflowOption = Annotated[str | None, typer.Option("--workflow", help="With --all: only of this workflow.")]
StatusOption = Annotated[str | None, typer.Option("--status", "-s", help="With --all: only with this status.")]
FilterOption = Annotated[
    str, typer.Option("--where", "--filter", "-f", help="With --all: a filter as of 'signoff runs list --where'.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="With --all: say which runs, and do nothing.")]
StepOption = Annotated[str | None, typer.Option("--from", help="Begin with this step, and all that came from it.")]
PauseOption = Annotated[bool, typer.Option("--pause", help="Pause it as soon as it is open again.")]


@app.command(
    epilog=examples(
        "signoff runs cancel 0198c5a0-… --reason 'the customer withdrew it'",
        "signoff runs cancel --all --workflow support/refund --status waiting --dry-run",
    )
)
def cancel(
    run_id: OneRun = None,
    *,
    reason: ReasonOption = "",
    all_: AllOption = False,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    filter_: FilterOption = "",
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel a run: nothing new starts, and what was done is undone in reverse."""
    asked = Asked("cancel", run_id, {"reason": reason}, all_, workflow, status, filter_, dry_run)
    ask_for(asked, url, key, project, as_json=as_json, told="is asked to cancel")


@app.command(epilog=examples("signoff runs terminate 0198c5a0-… --reason 'it cannot be undone any more'"))
def terminate(
    run_id: OneRun = None,
    *,
    reason: ReasonOption = "",
    all_: AllOption = False,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    filter_: FilterOption = "",
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a run at once: nothing is undone, open reviews are withdrawn, effects in doubt stay in doubt."""
    asked = Asked("terminate", run_id, {"reason": reason}, all_, workflow, status, filter_, dry_run)
    ask_for(asked, url, key, project, as_json=as_json, told="is asked to end at once")


@app.command(epilog=examples("signoff runs pause --all --workflow support/refund --reason 'the bank is down'"))
def pause(
    run_id: OneRun = None,
    *,
    reason: ReasonOption = "",
    all_: AllOption = False,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    filter_: FilterOption = "",
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pause a run: nothing new begins, and what is under way ends."""
    asked = Asked("pause", run_id, {"reason": reason}, all_, workflow, status, filter_, dry_run)
    ask_for(asked, url, key, project, as_json=as_json, told="is asked to pause")


@app.command(epilog=examples("signoff runs resume --all --status paused"))
def resume(
    run_id: OneRun = None,
    *,
    reason: ReasonOption = "",
    all_: AllOption = False,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    filter_: FilterOption = "",
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a paused run go on."""
    asked = Asked("resume", run_id, {"reason": reason}, all_, workflow, status, filter_, dry_run)
    ask_for(asked, url, key, project, as_json=as_json, told="is asked to go on")


@app.command(
    epilog=examples(
        "signoff runs retry 0198c5a0-… --reason 'the bank is back'",
        "signoff runs retry --all --workflow support/refund --status failed --dry-run",
    )
)
def retry(
    run_id: OneRun = None,
    *,
    reason: ReasonOption = "",
    step: StepOption = None,
    pause: PauseOption = False,
    all_: AllOption = False,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    filter_: FilterOption = "",
    dry_run: DryRunOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a failed, cancelled or terminated run go on with what broke; or try now what waits for its next try."""
    more = {"reason": reason, "step": step} | ({"pause": True} if pause else {})
    asked = Asked("retry", run_id, more, all_, workflow, status, filter_, dry_run)
    ask_for(asked, url, key, project, as_json=as_json, told="is asked to try again")


@app.command(epilog=examples("signoff runs skip 0198c5a0-… notify --reason 'told by telephone'"))
def skip(
    run_id: OneRun,
    step: Annotated[str, typer.Argument(help="The step's path.")],
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it goes into the journal.")],
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Skip a step: it ends bypassed, and nothing that requires it or reads its data runs."""
    asked = Asked("skip", run_id, {"reason": reason, "step": step})
    ask_for(asked, url, key, project, as_json=as_json, told=f"is asked to skip {step}")


@app.command(epilog=examples("signoff runs priority 0198c5a0-… 1"))
def priority(
    run_id: OneRun,
    value: Annotated[int, typer.Argument(min=1, max=9, help="1 is first, 9 is last.")],
    *,
    reason: ReasonOption = "",
    url: UrlOption = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change how soon a run gets its turn."""
    asked = Asked("priority", run_id, {"reason": reason, "priority": value})
    ask_for(asked, url, key, project, as_json=as_json, told=f"has priority {value}")
