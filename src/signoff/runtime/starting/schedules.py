"""A schedule as a project declares it, and what is to be done about the times that were not looked at in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal, get_args
from uuid import UUID

from signoff.core.actors import Actor
from signoff.core.ids import digest
from signoff.core.values import value
from signoff.runtime.starting.timetable import Timetable

Overlap = Literal["skip", "queue", "cancel_previous", "allow"]
CatchUp = Literal["none", "last", "all"]
OVERLAPS: tuple[str, ...] = get_args(Overlap)
CATCH_UPS: tuple[str, ...] = get_args(CatchUp)

ON_TIME_S = 60.0
"""A nominal time that is looked at within so many seconds was not missed."""
KEY_PREFIX = "schedule:"
"""What idempotency keys of schedules begin with; nobody else's may."""
TIME_REFERENCE = "${schedule.time}"
NAME_REFERENCE = "${schedule.name}"


@value
class Schedule:
    """`schedules/*.yaml`.

    Attributes:
        roles: of the actor `system/schedule.NAME` that starts its runs; policies decide whether it may.
        overlap: what happens when a time comes while the last run has not ended.
        catch_up: what happens to the times of a downtime.
        catch_up_max: the most of them that `all` runs, the latest.
        jitter_s: runs begin up to so many seconds after their time, each time another, but always the same, delay.
        queue: the queue of its runs; the workflow's own where none.
    """

    name: str
    workflow: str
    timetable: Timetable
    input: Mapping[str, Any] = field(default_factory=dict[str, Any])
    about: str = ""
    roles: tuple[str, ...] = ()
    overlap: Overlap = "skip"
    catch_up: CatchUp = "last"
    catch_up_max: int = 100
    jitter_s: float = 0.0
    paused: bool = False
    priority: int = 5
    team: str = ""
    queue: str | None = None
    queue_key: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The schedule for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "timetable"}
        return {**plain, "roles": list(self.roles), "timetable": self.timetable.as_dict()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Schedule:
        """The schedule that `as_dict` wrote."""
        known = dict[str, Any](data)
        known.update(roles=tuple(data["roles"]), timetable=Timetable.from_dict(data["timetable"]))
        return Schedule(**known)

    def actor(self, org_id: UUID) -> Actor:
        """Who starts its runs."""
        return Actor(org_id, "system", f"schedule.{self.name}", frozenset(self.roles))

    def input_at(self, nominal_at: datetime) -> dict[str, Any]:
        """The input of the run of a time."""
        texts = {TIME_REFERENCE: nominal_at.isoformat().replace("+00:00", "Z"), NAME_REFERENCE: self.name}
        return {key: _filled(value, texts) for key, value in self.input.items()}


@value
class SchedulePlace:
    """Where a schedule is."""

    org_id: UUID
    environment: str
    project: str
    name: str

    def key(self, nominal_at: datetime) -> str:
        """The idempotency key of the run of a time: whoever fires it again gets that run."""
        return f"{KEY_PREFIX}{self._digest}:{nominal_at.isoformat()}"

    def trigger_key(self, key: str) -> str:
        """The idempotency key of the run that a person started with that key."""
        return f"{KEY_PREFIX}{self._digest}:trigger:{key}"

    @property
    def _digest(self) -> str:
        return digest(f"{self.environment}/{self.project}/{self.name}".encode())[:32]

    def jitter(self, nominal_at: datetime, most_s: float) -> timedelta:
        """A time's own delay: spread evenly, and the same whoever computes it."""
        drawn = int(digest(self.key(nominal_at).encode())[:13], 16) / float(1 << 52)
        return timedelta(seconds=drawn * most_s)


@value
class DueTimes:
    """What to do about the times up to now.

    Attributes:
        fire: to be run, in order.
        missed: the latest of those that are not.
    """

    fire: tuple[datetime, ...]
    missed: datetime | None
    next_at: datetime | None


def due_times(schedule: Schedule, next_at: datetime, now: datetime) -> DueTimes:
    """Which of the times from the one that was due next until now are run."""
    timetable, since = schedule.timetable, max(next_at, now - timedelta(seconds=ON_TIME_S))
    fire = list(timetable.between(since, now))
    if schedule.catch_up == "all":
        latest = (moment for moment in timetable.until(now))
        fire = [moment for moment in islice(latest, schedule.catch_up_max) if moment >= next_at][::-1]
    elif schedule.catch_up == "last" and not fire:
        fire = [moment for moment in islice(timetable.until(now), 1) if moment >= next_at]
    before = next(timetable.until(fire[0] - timedelta(seconds=1) if fire else now), None)
    missed = before if before is not None and before >= next_at else None
    return DueTimes(tuple(fire), missed, timetable.after(now))


def _filled(value: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, Mapping):
        return {key: _filled(inner, texts) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]  (plain JSON data)
    if isinstance(value, list):
        return [_filled(inner, texts) for inner in value]  # pyright: ignore[reportUnknownVariableType]  (plain JSON data)
    return value
