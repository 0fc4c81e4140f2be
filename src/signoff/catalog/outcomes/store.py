"""SQL of outcomes: runs counted by how they ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from signoff.foundation.database import Connection, Record
from signoff.runtime.client.searching.store import first_id_of
from signoff.runtime.settings import StartLimits

# A debounced run has its id from the first start of its key, and begins later by as much as that may wait.
_DEBOUNCED = timedelta(seconds=StartLimits().max_wait_s)

# Run ids begin with the time, so a window of starts is a range of the index `run_by_workflow`; journals are not read.
# The limit stands inside, so that a window with too many runs costs no more than it may. `$9` is the outcome of a run
# that goes on as another: that one is counted.
_COUNT = """
SELECT workflow, release, version, status, outcome, count(*) AS runs, count(*) FILTER (WHERE asked) AS with_person,
    coalesce(sum(cost_micro_usd), 0)::bigint AS cost_micro_usd, coalesce(sum(seconds), 0)::float8 AS seconds
FROM (
    SELECT r.workflow, coalesce(v.release, r.release) AS release,
        coalesce(v.workflow_version, r.workflow_version) AS version,
        CASE WHEN v.ended_at IS NULL THEN 'open' ELSE v.status END AS status, v.outcome,
        (v.usage ->> 'cost_micro_usd')::bigint AS cost_micro_usd,
        extract(epoch FROM v.ended_at - v.started_at) AS seconds,
        EXISTS (SELECT FROM review w WHERE w.org_id = r.org_id AND w.run_id = r.run_id) AS asked
    FROM run r JOIN run_view v USING (run_id)
    WHERE r.org_id = $1 AND r.workflow = ANY ($2) AND r.environment = $3 AND r.run_id >= $4 AND r.run_id < $5
        AND r.started_at >= $6 AND r.started_at < $7 AND ($8::text IS NULL OR coalesce(v.release, r.release) = $8)
        AND v.outcome IS DISTINCT FROM $9
    LIMIT $10
) counted GROUP BY workflow, release, version, status, outcome
"""

# Few groups come of many rows: with room they are counted as they are read, and else sorted on the disk first. Until
# the transaction ends.
_ROOM = "SELECT set_config('work_mem', '64MB', true)"

# Two projects may have workflows of one name: their releases say whose runs they are.
_SELECT_PROJECTS = "SELECT digest, project FROM release WHERE org_id = $1 AND digest = ANY ($2)"


async def count_runs(
    connection: Connection,
    org_id: UUID,
    workflows: Sequence[str],
    *,
    environment: str,
    since: datetime,
    until: datetime,
    release: str | None,
    not_counted: str,
    most: int,
) -> list[Record]:
    """How many runs started in a window, by workflow, release, status and outcome; of `most` runs altogether."""
    first, last = first_id_of(since - _DEBOUNCED), first_id_of(until)
    await connection.execute(_ROOM)
    return await connection.fetch(
        _COUNT,
        org_id,
        list(workflows),
        environment,
        first,
        UUID(int=last.int + (1 << 80)),  # the millisecond itself belongs to it
        since,
        until,
        release,
        not_counted,
        most,
    )


async def select_projects(connection: Connection, org_id: UUID, releases: Sequence[str]) -> dict[str, str]:
    """The project of each release that is still there."""
    rows = await connection.fetch(_SELECT_PROJECTS, org_id, list(releases))
    return {row["digest"]: row["project"] for row in rows}
