"""Events from outside, for runs that wait for them."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response, Security
from pydantic import BaseModel, ConfigDict, Field

from signoff.api.messages import JsonObject
from signoff.api.problems import documented
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.catalog.releases import environment_releases
from signoff.core.actors import Actor
from signoff.core.errors import ForbiddenError
from signoff.governance.policy import send_event_request
from signoff.runtime.waits import IncomingEvent, Posted, post_event

router = APIRouter(prefix="/v1", dependencies=[Security(api_key_scheme)], route_class=StrictRoute)

NOTIFIED_RUNS = 20
"""Runs of one event that are woken one by one; the others are found by the workers' own looks."""


class SendEvent(BaseModel):
    """An event in the JSON format of CloudEvents 1.0. Attributes that are not listed here are not taken."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    specversion: str = Field(default="1.0", pattern=r"^1\.0$")
    id: str = Field(min_length=1, max_length=300, description="Unique within its source: the same one twice is one.")
    source: str = Field(default="", max_length=300, description="Who it comes from.", examples=["/payments"])
    type: str = Field(min_length=1, max_length=300, examples=["payment.received.v1"])
    subject: str | None = Field(default=None, max_length=300)
    time: datetime | None = Field(default=None, description="When it happened.")
    datacontenttype: str = Field(default="application/json", pattern=r"^application/json$")
    data: JsonObject = Field(default_factory=dict, description="What waits match their fields with.")


class EventTaken(BaseModel):
    """It is stored: runs that wait for it have it, and those that will within its time find it."""

    model_config = ConfigDict(frozen=True)

    id: str
    created: bool = Field(description="False where the same event had come before, and nothing was changed.")
    runs: int = Field(description="How many runs were waiting for it.")


@router.post(
    "/events",
    operation_id="sendEvent",
    summary="Send an event to runs that wait for it",
    tags=["events"],
    status_code=202,
    response_model=EventTaken,
    responses=documented(400, 403, 413, 429),
)
async def send(body: SendEvent, services: ServicesOf, actor: ActorOf, response: Response) -> EventTaken:
    """Give an event to every run that waits for its type and its values; it is kept for those that wait later."""
    projects = await _permitting(services, actor, body)
    event = IncomingEvent(
        org_id=actor.org_id,
        event_id=body.id,
        source=body.source,
        type=body.type,
        data=body.data,
        sent_by=str(actor),
        projects=projects,
    )
    posted = await _post(services, actor, event)
    if not posted.created:
        response.status_code = 200
    return EventTaken(id=body.id, created=posted.created, runs=len(posted.run_ids))


async def _post(services: Services, actor: Actor, event: IncomingEvent) -> Posted:
    async with services.database.transaction(actor.org_id) as connection:
        posted = await post_event(connection, event, now=services.now())
    await services.wake(posted.run_ids[:NOTIFIED_RUNS])
    return posted


async def _permitting(services: Services, actor: Actor, body: SendEvent) -> tuple[str, ...]:
    """The projects whose policies let this event in.

    Raises:
        ForbiddenError: none does.
    """
    async with services.database.transaction(actor.org_id) as connection:
        deployed = await environment_releases(connection, actor.org_id, services.environment)
    found: list[str] = []
    for project, release in deployed.items():
        authority = (await services.access.jurisdiction(actor.org_id, release)).authority
        request = send_event_request(actor, event_type=body.type, source=body.source, environment=services.environment)
        if authority.decide(request).permit:
            found.append(project)
    if not found:
        raise ForbiddenError(f"Denied: no project's policies permit event.send of '{body.type}' to {actor}.")
    return tuple(sorted(found))
