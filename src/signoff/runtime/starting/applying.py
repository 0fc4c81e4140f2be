"""What a release declares comes into force: its queues' bounds and its schedules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import orjson

from signoff.foundation.database import Connection
from signoff.runtime.queues import Queue, queue_path
from signoff.runtime.starting import store
from signoff.runtime.starting.schedules import Schedule

UNBOUNDED = Queue("")
"""What a queue becomes that is not declared any more: whatever waits in it may go."""


async def apply_queues(
    connection: Connection, org_id: UUID, environment: str, project: str, queues: Iterable[Queue], *, now: datetime
) -> None:
    """Put the bounds of a release's queues in force; runs that wait are looked at anew where they changed."""
    wanted = {queue_path(environment, project, queue.name): queue for queue in queues}
    prefix = queue_path(environment, project, "")
    rows = await connection.fetch(store.APPLIED_QUEUES, org_id, prefix)
    known = {row["queue"]: orjson.loads(row["limits"]) for row in rows}
    for path in sorted(wanted.keys() | known.keys()):
        limits = wanted.get(path, UNBOUNDED).limits()
        if limits == known.get(path):
            continue
        declared = path in wanted
        await connection.execute(store.PUT_QUEUE, org_id, path, orjson.dumps(limits).decode(), declared)
        await connection.execute(store.TURN_EVERYTHING, org_id, path, now)


async def apply_schedules(
    connection: Connection,
    org_id: UUID,
    environment: str,
    project: str,
    schedules: Iterable[Schedule],
    *,
    now: datetime,
) -> None:
    """Put a release's schedules in force. One that is declared no more is gone, with what of it still waited."""
    place = (org_id, environment, project)
    rows = await connection.fetch(store.APPLIED_SCHEDULES, *place)
    known = {row["name"]: orjson.loads(row["spec"]) for row in rows}
    wanted = {schedule.name: schedule for schedule in schedules}
    for name in sorted(known.keys() - wanted.keys()):
        await connection.execute(store.DROP_SCHEDULE, *place, name)
    for name, schedule in sorted(wanted.items()):
        spec = schedule.as_dict()
        before = known.get(name)
        if before == spec:
            continue
        moved = before is None or any(before[part] != spec[part] for part in ("timetable", "paused"))
        next_at = None if schedule.paused else schedule.timetable.after(now)
        encoded = orjson.dumps(spec).decode()
        await connection.execute(store.PUT_SCHEDULE, *place, name, schedule.workflow, encoded, next_at, moved)
