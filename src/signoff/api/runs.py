"""Runs: start, list, read, cancel, signal; and their journals."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response, Security

from signoff.api.entity_tags import tag_of, tagged
from signoff.api.messages import (
    NAME,
    Accepted,
    JournalEventOut,
    JournalPage,
    RunOrigin,
    RunOut,
    RunPage,
    RunStartedOut,
    RunStatus,
    Signal,
    StartRun,
    StepOut,
)
from signoff.api.paging import DEFAULT_PAGE, Limit, visible_page
from signoff.api.past import as_of, came_from
from signoff.api.problems import documented
from signoff.api.resolutions import KIND, check_resolution
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.starting import options_of, project_of
from signoff.api.step_views import slim, steps_of
from signoff.api.strict_json import StrictRoute
from signoff.catalog.starts import start_workflow
from signoff.core.actors import Actor
from signoff.core.durations import parse_duration_s
from signoff.core.errors import ForbiddenError, InvalidError, LimitError, NotFoundError, Problem
from signoff.runtime.client import JournalEvent, RunSummary, read_journal, send_message
from signoff.runtime.client.history import each_event, events_until
from signoff.runtime.client.operations import ENDED
from signoff.runtime.client.resolutions import bound_resolution
from signoff.runtime.client.searching import FILTER_CHARS, find_runs, parse_filter, with_equal
from signoff.runtime.starting.schedules import KEY_PREFIX

JOURNAL_PAGE = 200
MAX_JOURNAL_PAGE = 1000
MAX_STEPS = 5000
"""Steps that `?steps=true` shows; a run with more is read by its journal."""
RESERVED_KINDS = ("run.", "review.", "step.", "effect.observed")
"""What only the house itself sends: nobody decides a review, or speaks for a worker, through a signal.

`effect.resolution`, a person's word on an effect whose outcome nobody knows, is a signal."""

router = APIRouter(prefix="/v1/runs", tags=["runs"], dependencies=[Security(api_key_scheme)], route_class=StrictRoute)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="The same key gives the same run, for ever; with another workflow or input it is a conflict.",
    ),
]


Wait = Annotated[
    str | None,
    Query(pattern=r"^\d{1,6}(\.\d{1,3})?(ms|s|m)$", description="Answer when the run has ended, or after this: `30s`."),
]


@router.post(
    "",
    operation_id="startRun",
    summary="Start a run",
    status_code=201,
    response_model=RunStartedOut,
    responses={
        200: {"model": RunStartedOut, "description": "An earlier request with this key started it."},
        202: {"model": RunStartedOut, "description": "With `?wait=`: it has not ended within that time, and goes on."},
    }
    | documented(400, 403, 404, 409, 413, 429),
)
async def start(
    *,
    body: StartRun,
    request: Request,
    response: Response,
    services: ServicesOf,
    actor: ActorOf,
    idempotency_key: IdempotencyKey = None,
    wait: Wait = None,
) -> RunStartedOut:
    """Start a run of what the environment points at. Its input is checked against the workflow's schema first."""
    wait_s = _wait_s(services, wait)
    if idempotency_key is not None and idempotency_key.startswith(KEY_PREFIX):
        detail = f"Keys that begin with '{KEY_PREFIX}' are those of schedules."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/Idempotency-Key", code="reserved")])
    project = await project_of(services, actor, body)
    # Workers begin with it while it goes to the disk; also who finds another request's run waits for that.
    async with services.database.transaction(actor.org_id, flushes=False) as connection:
        started = await start_workflow(
            connection,
            services.releases,
            services.policies,
            actor,
            project=project,
            workflow=body.workflow,
            value=body.input,
            now=services.now(),
            idempotency_key=idempotency_key,
            priority=body.priority,
            options=options_of(body, services.now()),
            backlog=services.backlog,
        )
    await services.wake((started.run_id if started.ready else None,))
    await services.database.flushes.wait()
    response.status_code = 201 if started.created else 200
    response.headers["Location"] = str(request.url_for("readRun", run_id=started.run_id).path)
    out = RunStartedOut(run_id=started.run_id, created=started.created, starts_at=started.starts_at)
    if wait_s is None:
        return out
    return await _waited(services, actor, out, response, wait_s)


async def _waited(
    services: Services, actor: Actor, out: RunStartedOut, response: Response, wait_s: float
) -> RunStartedOut:
    """The answer once the run has ended. It has been started, so nothing from here on is a failure of the request."""
    try:
        run = await _found(services, actor, out.run_id)
        if run is None or run.status not in ENDED:
            ended = await services.waiters.ended(out.run_id, wait_s)
            response.status_code = response.status_code if ended else 202
            run = await _found(services, actor, out.run_id)
    except (ForbiddenError, LimitError):  # who may not read it, or wait, knows its id
        response.status_code = 202
        return out
    return out if run is None else out.model_copy(update={"run": _out(run)})


async def _found(services: Services, actor: Actor, run_id: UUID) -> RunSummary | None:
    """The run; none where it is debounced and does not exist yet."""
    try:
        return await services.permitted_run(actor, "run.read", run_id)
    except NotFoundError:
        return None


@router.get("", operation_id="listRuns", summary="List runs", response_model=RunPage, responses=documented())
async def list_(
    *,
    services: ServicesOf,
    actor: ActorOf,
    status: RunStatus | None = None,
    workflow: Annotated[str | None, Query(pattern=NAME)] = None,
    filter_: Annotated[
        str, Query(alias="filter", max_length=FILTER_CHARS, description="Such as `status = 'failed' and cents > 1000`.")
    ] = "",
    cursor: Annotated[UUID | None, Query(description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_PAGE,
) -> RunPage:
    """The organisation's runs that you may read, newest first."""
    wanted = with_equal(parse_filter(filter_, now=services.now()), status=status, workflow=workflow)

    async def read(position: str | None, rows: int) -> tuple[list[RunSummary], str | None]:
        before = None if position is None else UUID(position)
        async with services.database.transaction(actor.org_id) as connection:
            found = await find_runs(connection, actor.org_id, wanted, before=before, limit=rows + 1)
        return found[:rows], str(found[rows - 1].run_id) if len(found) > rows else None

    items, after = await visible_page(
        read,
        lambda run: services.access.may_read_run(actor, run),
        lambda run: str(run.run_id),
        cursor=None if cursor is None else str(cursor),
        limit=limit,
    )
    return RunPage(items=[_out(run) for run in items], next=after)


@router.get(
    "/{run_id}",
    name="readRun",
    operation_id="readRun",
    summary="Read a run",
    response_model=RunOut,
    responses={304: {"description": "It is as `If-None-Match` says."}} | documented(403, 404),
)
async def read(
    *,
    run_id: UUID,
    request: Request,
    services: ServicesOf,
    actor: ActorOf,
    steps: Annotated[bool, Query(description="Also what became of each step, from the journal.")] = False,
    at: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="As of that event of its journal.")] = None,
    wait: Wait = None,
) -> Response:
    """One run: where it stands, what it waits for, what it used. With an `ETag`."""
    wait_s = _wait_s(services, wait)
    run = await services.permitted_run(actor, "run.read", run_id)
    if wait_s is not None and run.status not in ENDED:
        with contextlib.suppress(LimitError):  # too many wait already: it is told as it is
            await services.waiters.ended(run_id, wait_s)
        run = await services.permitted_run(actor, "run.read", run_id)
    out = _out(run)
    if at is not None:
        async with services.database.transaction(actor.org_id) as connection:
            out = as_of(run, await events_until(connection, actor.org_id, run_id, at))
    elif steps:
        found, origin = await _steps(services, actor, run_id)
        out = out.model_copy(update={"steps": found, "origin": origin})
    body = out.model_dump_json().encode()
    return tagged(request, body, tag_of(body))


@router.get(
    "/{run_id}/journal",
    operation_id="readJournal",
    summary="Read a run's journal",
    response_model=JournalPage,
    responses=documented(403, 404),
)
async def journal(
    run_id: UUID,
    services: ServicesOf,
    actor: ActorOf,
    cursor: Annotated[int, Query(ge=0, le=2**31 - 1, description="The `next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_JOURNAL_PAGE)] = JOURNAL_PAGE,
) -> JournalPage:
    """Everything that happened in the run, in order."""
    await services.permitted_run(actor, "run.read", run_id)
    async with services.database.transaction(actor.org_id) as connection:
        found = await read_journal(connection, actor.org_id, run_id, after=cursor, limit=limit + 1)
        more = len(found) > limit
        page = found[:limit]
        if page and not more:  # its size may have ended the page
            more = bool(await read_journal(connection, actor.org_id, run_id, after=page[-1].seq, limit=1))
    return JournalPage(items=[_event(event) for event in page], next=str(page[-1].seq) if more else None)


@router.post(
    "/{run_id}/signals",
    operation_id="signalRun",
    summary="Send a signal to a step",
    status_code=202,
    response_model=Accepted,
    responses=documented(400, 403, 404, 409, 413, 429),
)
async def signal(run_id: UUID, body: Signal, services: ServicesOf, actor: ActorOf) -> Accepted:
    """Something for a step that waits. It may come before the step waits; it is kept."""
    if body.kind.startswith(RESERVED_KINDS):
        detail = f"'kind' may not begin with {', '.join(RESERVED_KINDS)}: only Signoff itself sends those."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/kind", code="reserved")])
    run = await services.permitted_run(actor, "run.signal", run_id, signal=(body.step, body.kind))
    data = body.data
    if body.kind == KIND and run.status not in ENDED:
        release = await services.releases.load(actor.org_id, run.release)
        check_resolution(release.project, run.workflow, body.step, body.data)
        async with services.database.transaction(actor.org_id) as connection:
            data = await bound_resolution(connection, actor.org_id, run_id, body.step, body.data)
    async with services.commanding(actor, run_id) as connection:
        message_id = await send_message(
            connection,
            org_id=actor.org_id,
            run_id=run_id,
            path=body.step,
            kind=body.kind,
            data=data,
            sent_by=str(actor),
            now=services.now(),
        )
    return Accepted(run_id=run_id, message_id=message_id)


def _wait_s(services: Services, wait: str | None) -> float | None:
    if wait is None:
        return None
    seconds = parse_duration_s(wait)
    if seconds > services.max_wait_s:
        detail = f"'wait' is at most {services.max_wait_s:g}s; the run goes on all the same: read it again."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/wait", code="too-long")])
    return seconds


async def _steps(services: Services, actor: Actor, run_id: UUID) -> tuple[list[StepOut], RunOrigin | None]:
    """What became of each step, and where the run came from.

    Of each event only what that needs is kept, so that a long journal fits.
    """
    events: list[JournalEvent] = []
    origin = None
    async with services.database.transaction(actor.org_id) as connection:
        async for event in each_event(connection, actor.org_id, run_id):
            if event.seq == 1:
                origin = came_from(event.data)
            events.append(slim(event))
    steps = steps_of(events)
    if len(steps) > MAX_STEPS:
        detail = f"The run has {len(steps)} steps; at most {MAX_STEPS} are shown so. Read its journal page by page."
        raise LimitError(detail)
    return steps, origin


def _out(run: RunSummary) -> RunOut:
    return RunOut.model_validate(run.as_dict())


def _event(event: JournalEvent) -> JournalEventOut:
    data: dict[str, Any] = dict(event.data)
    return JournalEventOut(seq=event.seq, recorded_at=event.recorded_at, kind=event.kind, data=data)
