"""Schedules: list, read, pause, resume, trigger, backfill, and when they are due next."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response, Security

from signoff.api.entity_tags import tag_of, tagged
from signoff.api.messages import NAME
from signoff.api.paging import DEFAULT_PAGE, Limit, visible_page
from signoff.api.problems import documented
from signoff.api.schedule_messages import (
    BackfilledOut,
    BackfillSchedule,
    FiringOut,
    PauseSchedule,
    ScheduleOut,
    SchedulePage,
    TimesOut,
    TriggeredOut,
)
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.catalog.authority import current_release
from signoff.catalog.schedule_runs import backfill, trigger
from signoff.catalog.scheduling import ScheduleStarter
from signoff.core.actors import Actor
from signoff.core.errors import ForbiddenError, NotFoundError
from signoff.governance.policy.requests import schedule_request
from signoff.runtime.starting import SchedulePlace
from signoff.runtime.starting.operating import (
    FiringRecord,
    ScheduleState,
    list_schedules,
    pause_schedule,
    read_firings,
    read_schedule,
    resume_schedule,
)

MOST_TIMES = 1000
"""The most times that one answer tells of what is to come."""

router = APIRouter(
    prefix="/v1/schedules", tags=["schedules"], dependencies=[Security(api_key_scheme)], route_class=StrictRoute
)


TriggerKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="The same key gives the same run of this schedule, for ever.",
    ),
]


async def _permitted(
    services: Services, actor: Actor, project: str, name: str, operation: str = ""
) -> tuple[SchedulePlace, ScheduleState]:
    """The schedule, where the actor may do that to it by today's policies."""
    place = SchedulePlace(actor.org_id, services.environment, project, name)
    async with services.database.transaction(actor.org_id) as connection:
        state = await read_schedule(connection, place)
    await _require(services, actor, state, operation)
    return place, state


async def _require(services: Services, actor: Actor, state: ScheduleState, operation: str = "") -> None:
    try:
        release = await current_release(
            services.database, services.releases, actor.org_id, state.project, services.environment
        )
        authority = await services.policies.authority(actor.org_id, release)
    except NotFoundError as error:
        raise ForbiddenError(f"Denied: no policies can be read for it. {error.detail}") from error
    request = schedule_request(
        actor,
        "schedule.operate" if operation else "schedule.read",
        project=state.project,
        schedule=state.schedule.name,
        workflow=state.schedule.workflow,
        operation=operation,
        environment=services.environment,
    )
    authority.decide(request).require()


@router.get(
    "", operation_id="listSchedules", summary="List schedules", response_model=SchedulePage, responses=documented()
)
async def list_(
    *,
    services: ServicesOf,
    actor: ActorOf,
    cursor: Annotated[str | None, Query(pattern=NAME, description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_PAGE,
) -> SchedulePage:
    """The environment's schedules that you may read, by project and name."""

    async def read(position: str | None, rows: int) -> tuple[list[ScheduleState], str | None]:
        project, _, name = (position or "").partition("/")
        after = (project, name) if position else None
        async with services.database.transaction(actor.org_id) as connection:
            found = await list_schedules(connection, actor.org_id, services.environment, after=after, limit=rows + 1)
        return found[:rows], _cursor(found[rows - 1]) if len(found) > rows else None

    async def visible(state: ScheduleState) -> bool:
        try:
            await _require(services, actor, state)
        except ForbiddenError:
            return False
        return True

    items, after = await visible_page(read, visible, _cursor, cursor=cursor, limit=limit)
    return SchedulePage(items=[_out(state) for state in items], next=after)


@router.get(
    "/{project}/{name}",
    operation_id="readSchedule",
    summary="Read a schedule",
    response_model=ScheduleOut,
    responses={304: {"description": "It is as `If-None-Match` says."}} | documented(403, 404),
)
async def read_one(project: str, name: str, request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """One schedule with what became of its latest times. With an `ETag`."""
    place, state = await _permitted(services, actor, project, name)
    async with services.database.transaction(actor.org_id) as connection:
        firings = await read_firings(connection, place)
    body = _out(state, firings).model_dump_json().encode()
    return tagged(request, body, tag_of(body))


@router.post(
    "/{project}/{name}/pause",
    operation_id="pauseSchedule",
    summary="Pause a schedule",
    response_model=ScheduleOut,
    responses=documented(400, 403, 404, 409, 413),
)
async def pause(project: str, name: str, body: PauseSchedule, services: ServicesOf, actor: ActorOf) -> ScheduleOut:
    """Nothing of it is due until it is resumed. Runs that it started go on."""
    place, _ = await _permitted(services, actor, project, name, "pause")
    async with services.database.transaction(actor.org_id) as connection:
        await pause_schedule(connection, place, actor=actor, reason=body.reason, now=services.now())
        return _out(await read_schedule(connection, place))


@router.post(
    "/{project}/{name}/resume",
    operation_id="resumeSchedule",
    summary="Resume a schedule",
    response_model=ScheduleOut,
    responses=documented(403, 404, 409),
)
async def resume(project: str, name: str, services: ServicesOf, actor: ActorOf) -> ScheduleOut:
    """It is due again from its next time on; the times of the pause are not run."""
    place, _ = await _permitted(services, actor, project, name, "resume")
    async with services.database.transaction(actor.org_id) as connection:
        return _out(await resume_schedule(connection, place, now=services.now()))


@router.post(
    "/{project}/{name}/trigger",
    operation_id="triggerSchedule",
    summary="Start a schedule's run now",
    status_code=201,
    response_model=TriggeredOut,
    responses={200: {"model": TriggeredOut, "description": "An earlier request with this key started it."}}
    | documented(400, 403, 404, 409),
)
async def trigger_now(
    *,
    project: str,
    name: str,
    response: Response,
    services: ServicesOf,
    actor: ActorOf,
    idempotency_key: TriggerKey = None,
) -> TriggeredOut:
    """A run as if it were due now, started by the schedule's own actor, whatever overlap and pause say."""
    place, _ = await _permitted(services, actor, project, name, "trigger")
    starter = ScheduleStarter(services.database, services.releases, services.policies)
    await starter.prepare(place)
    async with services.commanding(actor) as connection:
        started = await trigger(connection, place, starter, now=services.now(), key=idempotency_key)
    if not started.created:
        response.status_code = 200
    return TriggeredOut(run_id=started.run_id, created=started.created)


@router.post(
    "/{project}/{name}/backfill",
    operation_id="backfillSchedule",
    summary="Run the times of a span again",
    response_model=BackfilledOut,
    responses=documented(400, 403, 404, 409, 413, 429),
)
async def backfill_span(
    project: str, name: str, body: BackfillSchedule, services: ServicesOf, actor: ActorOf
) -> BackfilledOut:
    """The times of the span are run, each once: one that was run before is not run again."""
    place, _ = await _permitted(services, actor, project, name, "backfill")
    starter = ScheduleStarter(services.database, services.releases, services.policies)
    await starter.prepare(place)
    async with services.commanding(actor) as connection:
        found = await backfill(
            connection,
            place,
            None if body.dry_run else starter,
            first=body.first,
            last=body.last,
            now=services.now(),
        )
    return BackfilledOut(times=found.times, before=found.before)


@router.get(
    "/{project}/{name}/next",
    operation_id="nextTimes",
    summary="When a schedule is due next",
    response_model=TimesOut,
    responses=documented(403, 404),
)
async def next_times(
    project: str,
    name: str,
    services: ServicesOf,
    actor: ActorOf,
    count: Annotated[int, Query(ge=1, le=MOST_TIMES, description="How many.")] = 10,
) -> TimesOut:
    """Its next nominal times in UTC, paused or not."""
    _, state = await _permitted(services, actor, project, name)
    return TimesOut(times=list(islice(state.schedule.timetable.upward(services.now()), count)))


def _cursor(state: ScheduleState) -> str:
    return f"{state.project}/{state.schedule.name}"


def _out(state: ScheduleState, firings: list[FiringRecord] | None = None) -> ScheduleOut:
    schedule, timetable = state.schedule, state.schedule.timetable
    return ScheduleOut(
        project=state.project,
        name=schedule.name,
        about=schedule.about,
        workflow=schedule.workflow,
        cron=timetable.cron,
        every_s=timetable.every_s,
        time_zone=timetable.time_zone,
        overlap=schedule.overlap,
        catch_up=schedule.catch_up,
        paused=state.paused,
        paused_by=state.paused_by,
        paused_reason=state.paused_reason,
        next_at=state.next_at,
        last_run_id=state.last_run_id,
        input=dict(schedule.input),
        firings=None
        if firings is None
        else [
            FiringOut(
                nominal_at=firing.nominal_at,
                cause=firing.cause,
                status=firing.status,
                recorded_at=firing.recorded_at,
                run_id=firing.run_id,
                detail=firing.detail,
            )
            for firing in firings
        ],
    )
