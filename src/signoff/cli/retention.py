"""`signoff retention`: archive or drop finished runs whose time is over. Workers do so by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from signoff.cli.options import JsonOption, ProjectOption, examples
from signoff.cli.output import EXIT_FAILURE, clean, print_json, tell

if TYPE_CHECKING:
    from signoff.runtime.retention import RetentionReport

app = typer.Typer(help="Finished runs whose time is over: archive or drop them.", rich_markup_mode=None)


@app.callback()
def retention() -> None:
    """Finished runs whose time is over: archive or drop them."""


@app.command(epilog=examples("signoff retention run --dry-run", "signoff retention run --json"))
def run(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is due.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do what the leader of the workers does: make the coming months' partitions, archive, drop.

    Works on the database directly. It may be interrupted anywhere and be run again; parked runs are never touched.
    """
    import asyncio
    from functools import partial

    from signoff.cli.workspace import rooms_of, settings_of
    from signoff.core.clock import SystemClock
    from signoff.foundation.database import open_database

    settings, bounds = settings_of(project), rooms_of().retention

    async def work() -> RetentionReport:
        from signoff.catalog import ReleaseCatalog
        from signoff.catalog.retention import retention_policies
        from signoff.runtime.retention import Retention

        async with open_database(settings) as database:
            policies = partial(retention_policies, database, ReleaseCatalog(database))
            place = settings.archives_path
            found = Retention(database, policies, clock=SystemClock(), archives=place, settings=bounds)
            return await (found.due() if dry_run else found.run(retry_all=True))

    report = asyncio.run(work())
    _print(report, dry_run=dry_run, as_json=as_json)
    if report.troubles:
        raise typer.Exit(EXIT_FAILURE)


def _print(report: RetentionReport, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        due = [
            {
                "project": item.project,
                "status": item.status,
                "runs": item.runs,
                "ended_before": item.ended_before.isoformat(),
                "archive": None if item.archive is None else str(item.archive),
            }
            for item in report.due
        ]
        told = [
            {"project": item.project, "detail": item.detail, "retry_at": item.retry_at.isoformat()}
            for item in report.troubles
        ]
        print_json({**asdict(report), "due": due, "troubles": told})
        return
    if dry_run:
        for item in report.due:
            where = f"archived in {item.archive}" if item.archive else "dropped"
            print(f"{item.project}: {item.runs} {item.status} runs ended before {item.ended_before:%Y-%m-%d}: {where}")
        if not report.due:
            print("No project has a 'retention' with a time: all runs are kept for ever.")
        return
    if not report.leader:
        tell("A worker is at it already; nothing was done here.")
        return
    months = ", ".join(report.dropped_months) or "none"
    print(f"Archived {report.archived_runs} runs, dropped {report.dropped_runs}; empty months dropped: {months}.")
    for item in report.troubles:
        tell(f"Not done: runs of project {item.project}: {clean(item.detail)} They stay, and are tried again.")
