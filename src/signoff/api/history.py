"""A run's history: what it was as of any event, its timeline, and why it is where it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Security
from pydantic import BaseModel, ConfigDict, Field

from signoff.api.problems import documented
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.core.actors import Actor
from signoff.core.errors import LimitError, SignoffError
from signoff.runtime.client import JournalEvent, RunSummary, read_state
from signoff.runtime.client.explaining import explain, explain_debounced, explain_stuck, read_debounced, read_place
from signoff.runtime.client.history import each_event, timeline
from signoff.workflows.model import every_step

TIMELINE_EVENTS = 20_000
"""A longer journal is read by its pages."""

router = APIRouter(prefix="/v1/runs", tags=["runs"], dependencies=[Security(api_key_scheme)], route_class=StrictRoute)


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class SpanOut(_Response):
    """A stretch of a run's time."""

    step: str = Field(description="Whose; empty for the run itself.")
    kind: str = Field(description="`try`, `wait`, `backoff` (until the next try), or `pause` of the run.")
    started_at: datetime
    ended_at: datetime | None = Field(description="Null where it lasts.")
    attempt: int
    detail: str
    by: str = Field(description="Who or what ended it.")


class CausedOut(_Response):
    """An event, and who or what caused it."""

    seq: int
    recorded_at: datetime
    kind: str
    step: str
    cause: str


class TimelineOut(_Response):
    """How a run's time passed."""

    run_id: UUID
    status: str
    started_at: datetime
    ended_at: datetime | None
    spans: list[SpanOut]
    events: list[CausedOut]


class ReasonOut(_Response):
    """One thing that a run waits for, or that became of it."""

    text: str
    step: str
    since: datetime | None
    until: datetime | None = Field(description="When it ends by itself; null where only somebody can end it.")
    who: str = Field(description="Who can end it.")
    commands: list[str] = Field(description="How, exactly.")
    facts: dict[str, Any] = Field(
        description="Of an effect that a person looks up or undoes by hand: what was sent, its key, what it undoes. "
        "Of a run that cannot be loaded: what differs, with file and line."
    )


class ExplanationOut(_Response):
    """Why a run is where it is."""

    run_id: UUID
    status: str
    summary: str
    reasons: list[ReasonOut]


@router.get(
    "/{run_id}/timeline",
    operation_id="readTimeline",
    summary="Read a run's timeline",
    responses=documented(403, 404, 429),
)
async def read_timeline(run_id: UUID, services: ServicesOf, actor: ActorOf) -> TimelineOut:
    """Every try, wait, time before a next try and pause; and each event with who or what caused it."""
    run = await services.permitted_run(actor, "run.read", run_id)
    needs = await _needs(services, actor, run)
    events: list[JournalEvent] = []
    async with services.database.transaction(actor.org_id) as connection:
        async for event in each_event(connection, actor.org_id, run_id):
            events.append(event)
            if len(events) > TIMELINE_EVENTS:
                raise LimitError(f"The journal has more than {TIMELINE_EVENTS} events; read it page by page.")
    found = timeline(events, needs)
    return TimelineOut(
        run_id=run_id,
        status=run.status,
        started_at=run.started_at,
        ended_at=run.ended_at,
        spans=[SpanOut.model_validate(span, from_attributes=True) for span in found.spans],
        events=[CausedOut.model_validate(event, from_attributes=True) for event in found.events],
    )


@router.get("/{run_id}/explain", operation_id="explainRun", summary="Explain a run", responses=documented(403, 404))
async def read_explanation(run_id: UUID, services: ServicesOf, actor: ActorOf) -> ExplanationOut:
    """Why it is where it is, what it waits for, who can end that, and with which command."""
    async with services.database.transaction(actor.org_id) as connection:
        debounced = await read_debounced(connection, actor.org_id, run_id)
    if debounced is not None:
        told, beginning = debounced
        await services.access.require_run(actor, "run.read", beginning.summary(told.first_at))
        explained = explain_debounced(run_id, told, services.now())
        return ExplanationOut.model_validate(explained, from_attributes=True)
    run = await services.permitted_run(actor, "run.read", run_id)
    async with services.database.transaction(actor.org_id) as connection:
        place = await read_place(connection, actor.org_id, run_id)
        if run.status == "stuck":
            explained = explain_stuck(run, place)
        else:
            explained = explain(run, await read_state(connection, actor.org_id, run_id), place, services.now())
    return ExplanationOut.model_validate(explained, from_attributes=True)


async def _needs(services: Services, actor: Actor, run: RunSummary) -> Mapping[str, frozenset[str]]:
    """Which steps each step waits for, as far as the release can be read."""
    try:
        release = await services.releases.load(actor.org_id, run.release)
    except SignoffError:
        return {}
    workflow = release.project.workflows.get(run.workflow)
    return {} if workflow is None else {step.name: step.waits_for for step in every_step(workflow.steps)}
