"""Count what the runs of workflows came to, in one environment and window of time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import MINYEAR, datetime, timedelta
from uuid import UUID

from signoff.catalog.model import Project
from signoff.catalog.outcomes import store
from signoff.catalog.outcomes.goals import measure
from signoff.catalog.outcomes.model import OutcomeCount, ReleaseCount, Tally, WorkflowOutcomes, merged, total
from signoff.core.errors import InvalidError, LimitError, Problem
from signoff.foundation.database import Connection, Record
from signoff.runtime.continuing import CONTINUED

MAX_RUNS = 500_000
"""How many runs are counted for one page."""
MAX_WINDOW = timedelta(days=400)
"""How long a window may be."""
DEFAULT_WINDOW = timedelta(days=30)
"""How far back it is looked where nobody says, from the beginning of that day (UTC)."""
MAX_RELEASES = 50
"""How many releases are told apart of one workflow: those with the most runs."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which runs are counted: those that started from `since` on and before `until`, in an environment.

    Attributes:
        release: only those that have this release, by its whole digest.
    """

    environment: str
    since: datetime
    until: datetime
    release: str | None = None


def window_of(
    environment: str, since: datetime | None, until: datetime | None, *, now: datetime, release: str | None = None
) -> Window:
    """The window that somebody asks for.

    Raises:
        InvalidError: it ends before it begins, or is longer than `MAX_WINDOW`.
    """
    end = until or now
    begin = since
    if begin is None and end.year > MINYEAR:
        begin = (end - DEFAULT_WINDOW).replace(hour=0, minute=0, second=0, microsecond=0)
    if begin is None or not timedelta(0) < end - begin <= MAX_WINDOW:
        detail = f"'since' is before 'until', by at most {MAX_WINDOW.days} days."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/since", code="value")])
    return Window(environment, begin, end, release)


async def count_outcomes(
    connection: Connection, org_id: UUID, projects: Sequence[tuple[Project, str]], window: Window
) -> list[WorkflowOutcomes]:
    """What the runs of some workflows came to, in the order given.

    Args:
        connection: the caller's transaction.
        org_id: the organisation.
        projects: each workflow's name, with its project as it is deployed now.
        window: which runs.

    Raises:
        LimitError: more than `MAX_RUNS` runs.
    """
    rows = await store.count_runs(
        connection,
        org_id,
        sorted({name for _, name in projects}),
        environment=window.environment,
        since=window.since,
        until=window.until,
        release=window.release,
        not_counted=CONTINUED,
        most=MAX_RUNS + 1,
    )
    if sum(row["runs"] for row in rows) > MAX_RUNS:
        detail = f"More than {MAX_RUNS:,} runs started in that time. Take a shorter one, or fewer workflows."
        raise LimitError(detail)
    owners = await store.select_projects(connection, org_id, sorted({row["release"] for row in rows}))
    return [
        _outcomes(project, name, [row for row in rows if row["workflow"] == name and _is_of(row, project, owners)])
        for project, name in projects
    ]


def _is_of(row: Record, project: Project, owners: dict[str, str]) -> bool:
    """Whether the runs are of that project. A release that was deleted says nothing any more: its name decides."""
    return owners.get(row["release"], project.name) == project.name


def _outcomes(project: Project, name: str, rows: Iterable[Record]) -> WorkflowOutcomes:
    workflow = project.workflows.get(name)
    declared = () if workflow is None else tuple(outcome.name for outcome in workflow.outcomes)
    found = list(rows)
    counts = merged(_counts(found), declared)
    by_release: dict[tuple[str, str], list[Record]] = {}
    for row in found:
        by_release.setdefault((row["release"], row["version"]), []).append(row)
    releases = [
        ReleaseCount(release, version, _open(mine), merged(_counts(mine)))
        for (release, version), mine in by_release.items()
    ]
    releases.sort(key=lambda one: (-one.open - total(one.counts).runs, one.release))
    goals = () if workflow is None else tuple(workflow.goals.values())
    return WorkflowOutcomes(
        project=project.name,
        workflow=name,
        owner="" if workflow is None else workflow.owner,
        open=_open(found),
        counts=counts,
        releases=tuple(releases[:MAX_RELEASES]),
        goals=tuple(measure(goal, counts) for goal in goals),
    )


def _counts(rows: Iterable[Record]) -> list[OutcomeCount]:
    return [
        OutcomeCount(
            row["status"],
            row["outcome"],
            Tally(row["runs"], row["with_person"], row["cost_micro_usd"], row["seconds"]),
        )
        for row in rows
        if row["status"] != "open"
    ]


def _open(rows: Iterable[Record]) -> int:
    return sum(row["runs"] for row in rows if row["status"] == "open")
