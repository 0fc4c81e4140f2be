"""What there is to start, what was emitted, and who asks."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Security

from signoff.api.messages import EventOut, EventPage, Me, WorkflowList, WorkflowOut
from signoff.api.paging import DEFAULT_PAGE, Limit, visible_page
from signoff.api.problems import documented
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.catalog.releases import environment_releases
from signoff.core.actors import Actor
from signoff.core.labels import join_all
from signoff.governance.policy import start_request
from signoff.runtime.client import read_run
from signoff.runtime.client.emitted import EmittedEvent, list_events

router = APIRouter(prefix="/v1", dependencies=[Security(api_key_scheme)], route_class=StrictRoute)


@router.get(
    "/workflows",
    operation_id="listWorkflows",
    summary="List the workflows you may start",
    tags=["workflows"],
    response_model=WorkflowList,
    responses=documented(403),
)
async def workflows(services: ServicesOf, actor: ActorOf) -> WorkflowList:
    """What the environment's projects have, as far as policy lets you start it, with each one's input schema."""
    async with services.database.transaction(actor.org_id) as connection:
        deployed = await environment_releases(connection, actor.org_id, services.environment)
    items: list[WorkflowOut] = []
    for project, release in deployed.items():
        items += await _startable(services, actor, project, release)
    return WorkflowList(items=items)


async def _startable(services: Services, actor: Actor, project: str, release: str) -> list[WorkflowOut]:
    jurisdiction = await services.access.jurisdiction(actor.org_id, release)
    found: list[WorkflowOut] = []
    for workflow in jurisdiction.project.workflows.values():
        request = start_request(
            actor,
            workflow=workflow.name,
            version=workflow.version,
            risk=workflow.risk,
            labels=join_all(workflow.input_labels.values()),
            environment=services.environment,
        )
        if jurisdiction.authority.decide(request).permit:
            out = WorkflowOut(
                project=project,
                workflow=workflow.name,
                version=workflow.version,
                about=workflow.about,
                owner=workflow.owner,
                risk=workflow.risk,
                release=release,
                input_schema=dict(workflow.input_schema),
            )
            found.append(out)
    return found


@router.get(
    "/events",
    operation_id="listEvents",
    summary="List emitted events",
    tags=["events"],
    response_model=EventPage,
    responses=documented(410),
)
async def events(
    services: ServicesOf,
    actor: ActorOf,
    run_id: UUID | None = None,
    cursor: Annotated[UUID | None, Query(description="The `next` of the page before, or the last id you have.")] = None,
    limit: Limit = DEFAULT_PAGE,
) -> EventPage:
    """What workflows emitted, oldest first, of runs that you may read."""
    readable: dict[UUID, bool] = {}

    async def read(position: str | None, rows: int) -> tuple[list[EmittedEvent], str | None]:
        after = None if position is None else UUID(position)
        async with services.database.transaction(actor.org_id) as connection:
            found = await list_events(connection, actor.org_id, after=after, run_id=run_id, limit=rows + 1)
        return found[:rows], str(found[rows - 1].event_id) if len(found) > rows else None

    async def visible(event: EmittedEvent) -> bool:
        if event.run_id not in readable:
            async with services.database.transaction(actor.org_id) as connection:
                run = await read_run(connection, actor.org_id, event.run_id)
            readable[event.run_id] = await services.access.may_read_run(actor, run)
        return readable[event.run_id]

    items, following = await visible_page(
        read,
        visible,
        lambda event: str(event.event_id),
        cursor=None if cursor is None else str(cursor),
        limit=limit,
    )
    return EventPage(items=[_event(event) for event in items], next=following)


@router.get("/me", operation_id="readMe", summary="Who am I", tags=["me"], response_model=Me, responses=documented())
async def me(services: ServicesOf, actor: ActorOf) -> Me:
    """Who the key stands for, and which environment this server serves."""
    return Me(
        kind=actor.kind,
        id=actor.id,
        roles=sorted(actor.roles),
        organisation_id=actor.org_id,
        environment=services.environment,
    )


def _event(event: EmittedEvent) -> EventOut:
    return EventOut(
        event_id=event.event_id,
        run_id=event.run_id,
        type=event.type,
        emitted_at=event.emitted_at,
        data=dict(event.data),
    )
