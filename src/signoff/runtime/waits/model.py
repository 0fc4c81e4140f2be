"""Events and waits as data, and how the two are compared: by the digest of the values of the same fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from signoff.core.ids import digest
from signoff.core.labels import Labels


class EventLimits(BaseModel):
    """Bounds of the events that come from outside."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kept_s: float = Field(
        default=7 * 86400.0, gt=0, description="How long an event is kept for a wait that opens later, in seconds."
    )
    kept_events: int = Field(
        default=20_000, ge=1, description="Events kept for one organisation; past that no more are taken."
    )
    event_bytes: int = Field(default=262_144, ge=1024, description="Size of one event's data, encoded.")
    name_chars: int = Field(default=300, ge=1, description="Length of an event's id, source and type.")


@dataclass(frozen=True, slots=True)
class Emission:
    """The step that emitted an event, where none came from outside.

    Attributes:
        chain_id: the first of the runs that its run continues, or the run: it does not hear itself.
        labels: of the event's data.
    """

    run_id: UUID
    chain_id: UUID
    path: str
    labels: Labels


@dataclass(frozen=True, slots=True)
class IncomingEvent:
    """An event for runs that wait, in the terms of CloudEvents 1.0.

    Attributes:
        event_id: unique within its source; the same one again changes nothing.
        source: who it comes from, as it says itself; may be empty.
        sent_by: who sent it to us, as `kind/id`.
        projects: whose policies let it in: runs of no other project get it.
        emission: who emitted it, where it does not come from outside.
    """

    org_id: UUID
    event_id: str
    source: str
    type: str
    data: Mapping[str, Any]
    sent_by: str
    projects: tuple[str, ...]
    emission: Emission | None = None


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of an event: whether it was new, and the runs that were waiting for it."""

    created: bool
    run_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitKey:
    """One step of one run that waits.

    Attributes:
        chain_id: the first of the runs that this one continues; the run itself where it continues none.
        since: when that one started.
        match: fields of the event's data and the values that they must have; empty matches every event of the type.
    """

    org_id: UUID
    project: str
    run_id: UUID
    chain_id: UUID
    since: datetime
    path: str
    type: str
    match: Mapping[str, Any]

    @property
    def fields(self) -> list[str]:
        """Which fields are compared, in order."""
        return sorted(self.match)

    @property
    def digest(self) -> str:
        """Of their values."""
        return digest_of(self.match)


@dataclass(frozen=True, slots=True)
class TakenEvent:
    """An event as a step gets it."""

    data: Mapping[str, Any]


def digest_of(values: Mapping[str, Any]) -> str:
    """The digest of fields with their values, whatever their order. `1` and `"1"` differ, `1` and `1.0` do as well."""
    return digest(orjson.dumps(values, option=orjson.OPT_SORT_KEYS))


def digests_of(data: Mapping[str, Any], shapes: Iterable[Iterable[str]]) -> list[str]:
    """What an event is filed under: a digest per set of fields, of those sets that it has all fields of."""
    found: set[str] = set()
    for shape in shapes:
        fields = list(shape)
        if all(name in data for name in fields):
            found.add(digest_of({name: data[name] for name in fields}))
    return sorted(found)
