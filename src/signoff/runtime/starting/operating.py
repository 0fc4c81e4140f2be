"""What people see of schedules and do to them. Every function takes part in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from signoff.core.actors import Actor
from signoff.core.errors import ConflictError, NotFoundError
from signoff.foundation.database import Connection, Record
from signoff.runtime.starting import store
from signoff.runtime.starting.schedules import Schedule, SchedulePlace


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """A schedule as lists show it.

    Attributes:
        next_at: its next nominal time; none while it is paused.
        paused_by: who paused it; none where its file did.
    """

    project: str
    schedule: Schedule
    version: int
    next_at: datetime | None
    paused_at: datetime | None
    paused_by: str | None
    paused_reason: str | None
    last_run_id: UUID | None

    @property
    def paused(self) -> bool:
        """Whether nothing of it is due, by its file or by somebody."""
        return self.schedule.paused or self.paused_at is not None


@dataclass(frozen=True, slots=True)
class FiringRecord:
    """What became of one nominal time."""

    nominal_at: datetime
    cause: str
    status: str
    recorded_at: datetime
    run_id: UUID | None
    detail: str


async def list_schedules(
    connection: Connection, org_id: UUID, environment: str, *, after: tuple[str, str] | None = None, limit: int = 50
) -> list[ScheduleState]:
    """The schedules of an environment by project and name, after the one given."""
    project, name = after or (None, None)
    rows = await connection.fetch(store.LIST_SCHEDULES, org_id, environment, project, name, limit)
    return [_state(row) for row in rows]


async def read_schedule(connection: Connection, place: SchedulePlace) -> ScheduleState:
    """One schedule.

    Raises:
        NotFoundError: there is none of that name.
    """
    row = await connection.fetchrow(store.READ_SCHEDULE, *_key(place))
    if row is None:
        raise NotFoundError(f"There is no schedule '{place.name}' of '{place.project}' in '{place.environment}'.")
    return _state(row)


async def read_firings(connection: Connection, place: SchedulePlace, *, limit: int = 20) -> list[FiringRecord]:
    """What became of the latest times, the latest first."""
    rows = await connection.fetch(store.FIRINGS, *_key(place), limit)
    return [FiringRecord(*row) for row in rows]


async def pause_schedule(
    connection: Connection, place: SchedulePlace, *, actor: Actor, reason: str, now: datetime
) -> None:
    """Let nothing of it be due until it is resumed; its runs go on.

    Raises:
        NotFoundError: there is none of that name.
        ConflictError: it is paused already.
    """
    if await connection.fetchval(store.PAUSE, *_key(place), now, str(actor), reason) is None:
        state = await read_schedule(connection, place)
        raise ConflictError(f"Schedule '{place.name}' is paused already, by {state.paused_by}.")


async def resume_schedule(connection: Connection, place: SchedulePlace, *, now: datetime) -> ScheduleState:
    """Go on with the next time from now on; those of the pause are not run.

    Raises:
        NotFoundError: there is none of that name.
        ConflictError: it is not paused, or by its file.
    """
    state = await read_schedule(connection, place)
    if state.schedule.paused:
        raise ConflictError(f"Schedule '{place.name}' is paused by its file: remove 'paused: true' and release it.")
    next_at = state.schedule.timetable.after(now)
    if await connection.fetchval(store.RESUME, *_key(place), next_at) is None:
        raise ConflictError(f"Schedule '{place.name}' is not paused.")
    return await read_schedule(connection, place)


def _key(place: SchedulePlace) -> tuple[UUID, str, str, str]:
    return (place.org_id, place.environment, place.project, place.name)


def _state(row: Record) -> ScheduleState:
    return ScheduleState(
        project=row["project"],
        schedule=Schedule.from_dict(orjson.loads(row["spec"])),
        version=row["version"],
        next_at=row["next_at"],
        paused_at=row["paused_at"],
        paused_by=row["paused_by"],
        paused_reason=row["paused_reason"],
        last_run_id=row["last_run_id"],
    )
