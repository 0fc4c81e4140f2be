"""Runs and releases: move runs to another release, fork them, and tell two runs apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Request, Response, Security
from pydantic import Field

from signoff.api.bulk import count_readable
from signoff.api.messages import JsonObject, RunStartedOut
from signoff.api.moving_messages import (
    BulkMigration,
    DifferenceOut,
    ForkRun,
    MigrateRun,
    MigrationOut,
    RunDifferenceOut,
)
from signoff.api.operation_messages import BulkItem, BulkResult
from signoff.api.operations import OnceKey
from signoff.api.problems import documented
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.catalog.delivery.listing import find_release
from signoff.catalog.model import Release
from signoff.catalog.releases import environment_release
from signoff.core.actors import Actor
from signoff.core.errors import (
    ForbiddenError,
    InvalidError,
    NotFoundError,
    SignoffError,
    UnavailableError,
    did_you_mean,
)
from signoff.core.samples import sample_of
from signoff.core.schemas import validate
from signoff.governance.policy import start_request
from signoff.runtime.client import RunSummary, read_state
from signoff.runtime.client.comparing import Difference, only_code_tells
from signoff.runtime.client.forking import Fork, fork
from signoff.runtime.client.migrating import Move, migrate, would_move
from signoff.runtime.client.searching import find_runs, parse_filter
from signoff.runtime.rehearsals import rehearse
from signoff.runtime.state import RunState
from signoff.workflows.model import Workflow, every_step

CURRENT = "current"
DIGEST_CHARS = 64

router = APIRouter(prefix="/v1/runs", tags=["runs"], dependencies=[Security(api_key_scheme)], route_class=StrictRoute)


@router.post(
    "/{run_id}/migrate", operation_id="migrateRun", summary="Move a run to another release",
    responses=documented(400, 403, 404, 409, 413, 429, 503),
)  # fmt: skip
async def move(
    run_id: UUID, body: MigrateRun, services: ServicesOf, actor: ActorOf, key: OnceKey = None
) -> MigrationOut:
    """What would differ; and, unless it is a dry run or the run's past would be another one, the move itself."""
    run = await services.permitted_run(actor, "run.migrate", run_id)
    return await _moved(services, actor, run, body, key)


@router.post(
    "/migrate", operation_id="migrateRuns", summary="Move many runs to another release",
    responses=documented(400, 403, 404, 409, 413),
)  # fmt: skip
async def move_many(body: BulkMigration, services: ServicesOf, actor: ActorOf, key: OnceKey = None) -> BulkResult:
    """One batch of the runs that a filter finds, newest first; each compared by itself. Go on with `next`."""
    wanted = parse_filter(body.filter, now=services.now())
    async with services.database.transaction(actor.org_id) as connection:
        runs = await find_runs(connection, actor.org_id, wanted, before=body.cursor, limit=body.limit + 1)
    matched, counted = (None, None) if body.cursor is not None else await count_readable(services, actor, wanted)
    batch = runs[: body.limit]
    items = [await _one_moved(services, actor, run, body, key) for run in batch]
    after = batch[-1].run_id if len(runs) > body.limit else None
    return BulkResult(matched=matched, counted_up_to=counted, items=items, next=after)


async def _one_moved(
    services: Services, actor: Actor, run: RunSummary, body: BulkMigration, key: str | None
) -> BulkItem:
    item = BulkItem(run_id=run.run_id, workflow=run.workflow, status=run.status, result="refused")
    try:
        await services.access.require_run(actor, "run.migrate", run)
        found = await _moved(services, actor, run, body, key)
    except UnavailableError:
        raise
    except SignoffError as error:
        detail = "; ".join([error.detail, *(problem.detail for problem in error.problems)])
        result = "forbidden" if isinstance(error, ForbiddenError) else "refused"
        return item.model_copy(update={"result": result, "detail": detail})
    told = [difference for difference in found.differences if found.possible or difference.begun]
    detail = "; ".join(f"{difference.step}: {difference.what}".lstrip(": ") for difference in told)
    if not found.possible:
        return item.model_copy(update={"detail": detail})
    return item.model_copy(update={"result": "would" if body.dry_run else "asked", "detail": detail})


async def _moved(services: Services, actor: Actor, run: RunSummary, body: MigrateRun, key: str | None) -> MigrationOut:
    target = await _release(services, actor, run, body.release)
    workflow, old = _workflow(target, run.workflow), await _old_workflow(services, actor, run)
    asked = Move(release=target.digest, workflow=workflow, old=old, reason=body.reason, key=key)
    if only_code_tells(old, workflow) and run.ended_at is None and run.release != target.digest:
        found = await rehearse(
            services.database,
            actor,
            run.run_id,
            release=target.digest,
            workflow=run.workflow,
            timeout_s=services.rehearsal_s,
        )
        asked = replace(asked, rehearsed=found.differences, rehearsed_at=found.last_seq)
    message_id: UUID | None = None
    if body.dry_run:
        async with services.database.transaction(actor.org_id) as connection:
            differences = await would_move(connection, actor, run.run_id, asked)
    else:
        async with services.commanding(actor, run.run_id) as connection:
            done, differences = await migrate(connection, actor, run.run_id, asked, now=services.now())
        message_id = done.message_id
    return MigrationOut(
        run_id=run.run_id,
        release_before=run.release,
        release=target.digest,
        differences=[_difference(difference) for difference in differences],
        possible=not any(difference.begun for difference in differences),
        message_id=message_id,
    )


def _difference(difference: Difference) -> DifferenceOut:
    return DifferenceOut(**difference.as_dict())


async def _release(services: Services, actor: Actor, run: RunSummary, wanted: str | None) -> Release:
    """The release that is meant: a digest or how it begins, the environment's of the same project, or the run's own."""
    if wanted is None:
        return await services.releases.load(actor.org_id, run.release)
    if len(wanted) == DIGEST_CHARS:
        return await services.releases.load(actor.org_id, wanted)
    own = await services.releases.load(actor.org_id, run.release)
    async with services.database.transaction(actor.org_id) as connection:
        if wanted == CURRENT:
            digest = await environment_release(connection, actor.org_id, own.project.name, services.environment)
        else:
            digest = (await find_release(connection, actor.org_id, own.project.name, wanted)).digest
    return await services.releases.load(actor.org_id, digest)


def _workflow(release: Release, name: str) -> Workflow:
    known = release.project.workflows
    if name not in known:
        hint = did_you_mean(name, tuple(known)) or ""
        raise NotFoundError(f"Release {release.digest[:12]} has no workflow '{name}'. {hint}".rstrip())
    return known[name]


async def _old_workflow(services: Services, actor: Actor, run: RunSummary) -> Workflow | None:
    """What the run executes, where its release can be had and still compiles to it."""
    try:
        release = await services.releases.load(actor.org_id, run.release)
    except UnavailableError:
        raise
    except SignoffError:
        return None
    return release.project.workflows.get(run.workflow)


@router.post(
    "/{run_id}/fork",
    operation_id="forkRun",
    summary="Fork a run",
    status_code=201,
    responses={200: {"model": RunStartedOut, "description": "An earlier request with this key made it."}}
    | documented(400, 403, 404, 409, 413),
)
async def fork_run(
    *,
    run_id: UUID,
    body: ForkRun,
    request: Request,
    response: Response,
    services: ServicesOf,
    actor: ActorOf,
    key: OnceKey = None,
) -> RunStartedOut:
    """A new run that begins with this one's past. Its effects are dry, unless `live_effects` is permitted and asked."""
    run = await services.permitted_run(actor, "run.fork", run_id)
    if body.live_effects:
        await services.access.require_run(actor, "run.fork_live", run)
    release = await _release(services, actor, run, body.release)
    workflow = _workflow(release, run.workflow)
    if body.input is not None:
        problems = validate(workflow.input_schema, body.input)
        if problems:
            raise InvalidError(f"The input does not match the schema of '{run.workflow}'.", problems=problems)
    decision = await _may_start(services, actor, release, workflow)
    asked = Fork(
        source=run_id,
        at=body.at,
        workflow=workflow,
        old=await _old_workflow(services, actor, run),
        release=release.digest,
        input=body.input,
        actor=actor,
        live=body.live_effects,
        samples=_samples(release, workflow),
        reason=body.reason,
        decision=decision,
        key=key,
        project=release.project.name,
    )
    async with services.commanding(actor) as connection:
        made = await fork(connection, asked, now=services.now())
    response.status_code = 201 if made.created else 200
    response.headers["Location"] = str(request.url_for("readRun", run_id=made.run_id).path)
    return RunStartedOut(run_id=made.run_id, created=made.created)


async def _may_start(services: Services, actor: Actor, release: Release, workflow: Workflow) -> Mapping[str, Any]:
    """Policy's permission to start such a run, as for any other."""
    authority = await services.policies.authority(actor.org_id, release)
    request = start_request(
        actor,
        workflow=workflow.name,
        version=workflow.version,
        risk=workflow.risk,
        environment=services.environment,
    )
    decision = authority.decide(request)
    decision.require()
    return decision.as_dict()


def _samples(release: Release, workflow: Workflow) -> dict[str, Any]:
    """Per step that has an effect, what its tool could answer by its contract."""
    found: dict[str, Any] = {}
    for step in every_step(workflow.steps):
        tool = release.project.tools.get(step.target) if step.verb == "tool" else None
        if tool is not None:
            sample = sample_of(tool.output_schema)
            if isinstance(sample, dict) and not validate(tool.output_schema, sample):
                found[step.name] = sample
        elif step.verb == "emit":
            found[step.name] = {}
    return found


@router.get(
    "/{run_id}/difference",
    operation_id="compareRuns",
    summary="Compare two runs",
    responses=documented(403, 404),
)
async def difference(
    run_id: UUID,
    other: Annotated[UUID, Field(description="The run to compare with, such as a fork.")],
    services: ServicesOf,
    actor: ActorOf,
) -> RunDifferenceOut:
    """The ends of both, what of their inputs differs, and the steps that ended otherwise or gave something else."""
    first = await services.permitted_run(actor, "run.read", run_id)
    second = await services.permitted_run(actor, "run.read", other)
    async with services.database.transaction(actor.org_id) as connection:
        states = [await read_state(connection, actor.org_id, run.run_id) for run in (first, second)]
    ends, inputs = [_end(first), _end(second)], _differing_inputs(*(state.started["input"] for state in states))
    return RunDifferenceOut(runs=ends, input=inputs, steps=_differing(*states))


def _end(run: RunSummary) -> JsonObject:
    names = ("run_id", "release", "status", "outcome", "error")
    facts = run.as_dict()
    return {name: facts[name] for name in names}


def _differing_inputs(first: JsonObject, second: JsonObject) -> list[JsonObject]:
    """The members that differ, by name; null where one of them does not have it."""
    names = [*first, *(name for name in second if name not in first)]
    found = [{"name": name, "first": first.get(name), "second": second.get(name)} for name in names]
    return [item for item in found if item["first"] != item["second"]]


def _differing(first: RunState, second: RunState) -> list[JsonObject]:
    paths = [*first.steps, *(path for path in second.steps if path not in first.steps)]
    found: list[JsonObject] = []
    for path in paths:
        sides = [_side(first, path), _side(second, path)]
        if sides[0] != sides[1]:
            found.append({"step": path, "first": sides[0], "second": sides[1]})
    return found


def _side(state: RunState, path: str) -> JsonObject | None:
    record = state.steps.get(path)
    if record is None or (record.attempt == 0 and record.state is None):
        return None
    if record.state is None:
        return {"status": "begun", "result": None, "output": None, "error": record.error}
    end = record.state
    error = record.error if end.status == "failed" else None
    return {"status": end.status, "result": end.result, "output": dict(end.output), "error": error}
