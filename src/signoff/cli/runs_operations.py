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


def _steers(operation: str, told: str, about: str, *shown: str) -> None:
    """Make the command of an operation that is told nothing but why, of one run or of all that a filter finds.

    Args:
        operation: its name, here and in the API.
        told: what is printed of one run.
        about: the command's help.
        shown: its examples.
    """

    def command(
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
        asked = Asked(operation, run_id, {"reason": reason}, all_, workflow, status, filter_, dry_run)
        ask_for(asked, url, key, project, as_json=as_json, told=told)

    app.command(operation, help=about, epilog=examples(*shown))(command)


_steers(
    "cancel",
    "is asked to cancel",
    "Cancel a run: nothing new starts, and what was done is undone in reverse.",
    "signoff runs cancel 0198c5a0-… --reason 'the customer withdrew it'",
    "signoff runs cancel --all --workflow support/refund --status waiting --dry-run",
)
_steers(
    "terminate",
    "is asked to end at once",
    "End a run at once: nothing is undone, open reviews are withdrawn, effects in doubt stay in doubt.",
    "signoff runs terminate 0198c5a0-… --reason 'it cannot be undone any more'",
)
_steers(
    "pause",
    "is asked to pause",
    "Pause a run: nothing new begins, and what is under way ends.",
    "signoff runs pause --all --workflow support/refund --reason 'the bank is down'",
)
_steers("resume", "is asked to go on", "Let a paused run go on.", "signoff runs resume --all --status paused")


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


@app.command(
    epilog=examples(
        "signoff runs skip 0198c5a0-… notify --reason 'told by telephone'",
        "signoff runs skip --all notify --where \"status = 'waiting'\" --reason 'told by post' --dry-run",
    )
)
def skip(
    words: Annotated[
        list[str], typer.Argument(metavar="[RUN_ID] STEP", help="The run's id, or --all; the step's path.")
    ],
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it goes into the journal.")],
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
    """Skip a step: it ends bypassed, and nothing that requires it or reads its data runs."""
    run_id, step = _run_and(words, "step")
    asked = Asked("skip", run_id, {"reason": reason, "step": step}, all_, workflow, status, filter_, dry_run)
    ask_for(asked, url, key, project, as_json=as_json, told=f"is asked to skip {step}")


@app.command(
    epilog=examples(
        "signoff runs priority 0198c5a0-… 1", "signoff runs priority --all 9 --workflow reports/nightly --dry-run"
    )
)
def priority(
    words: Annotated[
        list[str], typer.Argument(metavar="[RUN_ID] VALUE", help="The run's id, or --all; 1 is first, 9 is last.")
    ],
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
    """Change how soon a run gets its turn."""
    run_id, value = _run_and(words, "priority")
    if value not in PRIORITIES:
        raise typer.BadParameter("A priority is 1 (first) to 9 (last).")
    more = {"reason": reason, "priority": int(value)}
    asked = Asked("priority", run_id, more, all_, workflow, status, filter_, dry_run)
    ask_for(asked, url, key, project, as_json=as_json, told=f"has priority {value}")


PRIORITIES = frozenset("123456789")
RUN_AND_VALUE = 2


def _run_and(words: list[str], what: str) -> tuple[UUID | None, str]:
    """The run that is named before the value, and the value; no run where it stands alone, for --all.

    Raises:
        typer.BadParameter: there is more than that, or the first is no run's id.
    """
    if len(words) > RUN_AND_VALUE:
        raise typer.BadParameter(f"Name a run and its {what}; or --all and the {what}.")
    try:
        return (UUID(words[0]) if len(words) == RUN_AND_VALUE else None), words[-1]
    except ValueError:
        raise typer.BadParameter(f"'{words[0]}' is no run's id.") from None
