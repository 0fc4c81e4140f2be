"""Queues: what they bound, what is in use and waits, and pausing them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response, Security
from pydantic import BaseModel, ConfigDict, Field

from signoff.api.entity_tags import tag_of, tagged
from signoff.api.messages import NAME
from signoff.api.paging import DEFAULT_PAGE, Limit, visible_page
from signoff.api.problems import documented
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.catalog.authority import current_release
from signoff.core.actors import Actor
from signoff.core.errors import ForbiddenError, NotFoundError
from signoff.governance.policy.requests import queue_request
from signoff.runtime.queues import Bounds, queue_path
from signoff.runtime.starting.queue_states import (
    QueueState,
    Share,
    list_queues,
    pause_queue,
    read_queue,
    read_shares,
    resume_queue,
)

router = APIRouter(
    prefix="/v1/queues", tags=["queues"], dependencies=[Security(api_key_scheme)], route_class=StrictRoute
)


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class BoundsOut(_Response):
    """Bounds of one scope; null where it is unbounded."""

    concurrency: int | None = Field(description="Runs under way at once.")
    rate: dict[str, Any] | None = Field(description="`count` runs begin in `period_s`, up to `burst` at once.")


class ShareOut(_Response):
    """What one team or key has of a queue."""

    label: str = Field(description="The team or the key; empty for runs without a team.")
    in_use: int = Field(description="Slots that its runs hold.")
    waiting: int


class QueueOut(_Response):
    """A queue as it stands."""

    project: str
    name: str
    declared: bool = Field(description="False where no release in force declares it any more.")
    whole: BoundsOut
    per_team: BoundsOut
    per_key: BoundsOut
    max_queued: int
    release_while_waiting: bool
    in_use: int | None = Field(description="Slots that runs hold; null where it does not bound runs at once.")
    waiting: int = Field(description="Runs that wait in it now, counted up to 10,000.")
    waiting_since: datetime | None = Field(description="Since when the one waits that waits longest.")
    tokens: float | None = Field(description="Runs that its rate lets begin now; null where it has none.")
    next_token_at: datetime | None = Field(description="When its rate lets the next run begin, where not now.")
    paused: bool
    paused_by: str | None
    paused_reason: str | None
    teams: list[ShareOut] | None = Field(default=None, description="Of one queue: those with most waiting, up to 50.")
    keys: list[ShareOut] | None = Field(default=None, description="Of one queue: those with most waiting, up to 50.")


class QueuePage(_Response):
    """Part of the queues, by project and name."""

    items: list[QueueOut]
    next: str | None


class PauseQueue(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str = Field(default="", max_length=500, examples=["The bank is down."])


async def _require(services: Services, actor: Actor, project: str, name: str, operation: str = "") -> None:
    try:
        release = await current_release(
            services.database, services.releases, actor.org_id, project, services.environment
        )
        authority = await services.policies.authority(actor.org_id, release)
    except NotFoundError as error:
        raise ForbiddenError(f"Denied: no policies can be read for it. {error.detail}") from error
    action = "queue.operate" if operation else "queue.read"
    request = queue_request(
        actor, action, project=project, queue=name, operation=operation, environment=services.environment
    )
    authority.decide(request).require()


async def _permitted(services: Services, actor: Actor, project: str, name: str, operation: str = "") -> QueueState:
    async with services.database.transaction(actor.org_id) as connection:
        state = await read_queue(connection, actor.org_id, services.environment, project, name, now=services.now())
    await _require(services, actor, project, name, operation)
    return state


@router.get("", operation_id="listQueues", summary="List queues", response_model=QueuePage, responses=documented())
async def list_(
    *,
    services: ServicesOf,
    actor: ActorOf,
    cursor: Annotated[str | None, Query(pattern=NAME, description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_PAGE,
) -> QueuePage:
    """The environment's queues that you may read: their bounds, what is in use, what waits and since when."""

    async def read(position: str | None, rows: int) -> tuple[list[QueueState], str | None]:
        async with services.database.transaction(actor.org_id) as connection:
            found = await list_queues(
                connection,
                actor.org_id,
                services.environment,
                after=position or "",
                limit=rows + 1,
                now=services.now(),
            )
        return found[:rows], _cursor(found[rows - 1]) if len(found) > rows else None

    async def visible(state: QueueState) -> bool:
        try:
            await _require(services, actor, state.project, state.queue.name)
        except ForbiddenError:
            return False
        return True

    items, after = await visible_page(read, visible, _cursor, cursor=cursor, limit=limit)
    return QueuePage(items=[_out(state) for state in items], next=after)


@router.get(
    "/{project}/{name}",
    operation_id="readQueue",
    summary="Read a queue",
    response_model=QueueOut,
    responses={304: {"description": "It is as `If-None-Match` says."}} | documented(403, 404),
)
async def read_one(project: str, name: str, request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """One queue, with what its teams and keys have of it. With an `ETag`."""
    state = await _permitted(services, actor, project, name)
    async with services.database.transaction(actor.org_id) as connection:
        teams, keys = await read_shares(connection, actor.org_id, queue_path(services.environment, project, name))
    body = _out(state, teams, keys).model_dump_json().encode()
    return tagged(request, body, tag_of(body))


@router.post(
    "/{project}/{name}/pause",
    operation_id="pauseQueue",
    summary="Pause a queue",
    response_model=QueueOut,
    responses=documented(400, 403, 404, 409, 413),
)
async def pause(project: str, name: str, body: PauseQueue, services: ServicesOf, actor: ActorOf) -> QueueOut:
    """No run begins until it is resumed; starts are taken, and wait. What has begun goes on."""
    await _permitted(services, actor, project, name, "pause")
    place, now = (actor.org_id, services.environment, project, name), services.now()
    async with services.database.transaction(actor.org_id) as connection:
        path = queue_path(services.environment, project, name)
        await pause_queue(connection, actor.org_id, path, actor=actor, reason=body.reason, now=now)
        return _out(await read_queue(connection, *place, now=now))


@router.post(
    "/{project}/{name}/resume",
    operation_id="resumeQueue",
    summary="Resume a queue",
    response_model=QueueOut,
    responses=documented(403, 404, 409),
)
async def resume(project: str, name: str, services: ServicesOf, actor: ActorOf) -> QueueOut:
    """Runs begin again, as its bounds allow."""
    await _permitted(services, actor, project, name, "resume")
    place, now = (actor.org_id, services.environment, project, name), services.now()
    async with services.commanding(actor) as connection:
        await resume_queue(connection, actor.org_id, queue_path(services.environment, project, name), now=now)
        return _out(await read_queue(connection, *place, now=now))


def _cursor(state: QueueState) -> str:
    return f"{state.project}/{state.queue.name}"


def _out(state: QueueState, teams: list[Share] | None = None, keys: list[Share] | None = None) -> QueueOut:
    queue = state.queue
    return QueueOut(
        project=state.project,
        name=queue.name,
        declared=state.declared,
        whole=_bounds(queue.whole),
        per_team=_bounds(queue.per_team),
        per_key=_bounds(queue.per_key),
        max_queued=queue.max_queued,
        release_while_waiting=queue.release_while_waiting,
        in_use=state.in_use,
        waiting=state.waiting,
        waiting_since=state.waiting_since,
        tokens=state.tokens,
        next_token_at=state.next_token_at,
        paused=state.paused_at is not None,
        paused_by=state.paused_by,
        paused_reason=state.paused_reason,
        teams=None if teams is None else [ShareOut.model_validate(share) for share in teams],
        keys=None if keys is None else [ShareOut.model_validate(share) for share in keys],
    )


def _bounds(bounds: Bounds) -> BoundsOut:
    return BoundsOut(concurrency=bounds.concurrency, rate=None if bounds.rate is None else bounds.rate.as_dict())
