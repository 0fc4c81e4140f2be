"""Environments of a project: where each points, what a release would change, and the fenced move to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response, Security

from signoff.api.delivering import authority_over, environment_tag, project_of_files, seen_version
from signoff.api.delivery_messages import (
    EnvironmentMoved,
    EnvironmentOut,
    EnvironmentPage,
    MoveEnvironment,
    MovePage,
    PlanOut,
    PlanRelease,
    RollBack,
)
from signoff.api.entity_tags import tagged
from signoff.api.paging import DEFAULT_PAGE, Limit
from signoff.api.problems import PreconditionFailedError, documented
from signoff.api.releases import prepare_indexes, require_prompt_change, require_workflow_changes
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.api.views import environment_out, move_out, moved_out
from signoff.capabilities.gateway.pricing import estimated_price
from signoff.catalog import Project
from signoff.catalog.authority import Authority
from signoff.catalog.delivery.differences import NOTHING, compare_projects
from signoff.catalog.delivery.environments import (
    Environment,
    EnvironmentMovedError,
    Moved,
    Operation,
    list_environments,
    move_environment,
    read_environment,
    require_earlier,
    require_environment,
    rollback_target,
)
from signoff.catalog.delivery.facts import behind_facts, release_facts
from signoff.catalog.delivery.listing import ReleaseDetail, find_release
from signoff.catalog.delivery.publishing import make_plan, publish, require_sound
from signoff.catalog.delivery.quality import OVERRIDE, override_facts, require_quality, shortfalls_of
from signoff.catalog.registry.versions import versioning_of
from signoff.catalog.releases import environment_history
from signoff.core.actors import Actor
from signoff.core.errors import InvalidError
from signoff.governance.policy.requests import release_request

router = APIRouter(
    prefix="/v1/projects/{project}/environments",
    tags=["environments"],
    dependencies=[Security(api_key_scheme)],
    route_class=StrictRoute,
)


@dataclass(frozen=True, slots=True)
class _Move:
    """A permitted move that is about to be made."""

    current: Environment
    release: ReleaseDetail
    project: Project
    operation: Operation
    reason: str
    override_quality: str | None = None


@router.get(
    "",
    operation_id="listEnvironments",
    summary="List environments",
    response_model=EnvironmentPage,
    responses=documented(403, 404),
)
async def list_(*, project: str, services: ServicesOf, actor: ActorOf) -> EnvironmentPage:
    """Every environment of the project that points at a release, by name."""
    await _require_read(services, actor, project)
    async with services.database.transaction(actor.org_id) as connection:
        found = await list_environments(connection, actor.org_id, project)
    return EnvironmentPage(items=[environment_out(environment) for environment in found])


@router.get(
    "/{environment}",
    operation_id="readEnvironment",
    summary="Read an environment",
    response_model=EnvironmentOut,
    responses={304: {"description": "It is as `If-None-Match` says."}} | documented(403, 404),
)
async def read(*, project: str, environment: str, request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """Where it points, since when, who moved it there and why. Its `ETag` is what a move of it names."""
    await _require_read(services, actor, project, environment)
    current = await _environment(services, actor, project, environment)
    return tagged(request, environment_out(current).model_dump_json().encode(), environment_tag(current))


@router.get(
    "/{environment}/history",
    operation_id="readEnvironmentHistory",
    summary="Read an environment's history",
    response_model=MovePage,
    responses=documented(403, 404),
)
async def history(
    *,
    project: str,
    environment: str,
    services: ServicesOf,
    actor: ActorOf,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_PAGE,
) -> MovePage:
    """Every move of the environment, newest first: who, when, where to, why. Nobody can change it."""
    await _require_read(services, actor, project, environment)
    async with services.database.transaction(actor.org_id) as connection:
        found = await environment_history(
            connection, actor.org_id, project, environment, limit=limit + 1, before=cursor
        )
    items = [move_out(move) for move in found[:limit]]
    return MovePage(items=items, next=str(found[limit - 1].version) if len(found) > limit else None)


@router.post(
    "/{environment}/plan",
    operation_id="planEnvironment",
    summary="What a release would change",
    response_model=PlanOut,
    responses=documented(400, 403, 404, 409, 413, 429),
)
async def plan(
    *, project: str, environment: str, body: PlanRelease, response: Response, services: ServicesOf, actor: ActorOf
) -> PlanOut:
    """What deploying these files, or this release, would change. Changes nothing. Its `ETag` is the environment's."""
    await _require_read(services, actor, project, environment)
    new = await _planned(services, actor, project, body)
    require_environment(new, environment)
    current = await _environment(services, actor, project, environment)
    async with services.database.transaction(actor.org_id) as connection:
        versioning = await versioning_of(connection, actor.org_id, new)
        quality = await shortfalls_of(connection, actor.org_id, new)
    old = None if current.release is None else (await services.releases.load(actor.org_id, current.release)).project
    made = await make_plan(current, old, new, versioning, estimated_price, quality=quality)
    response.headers["ETag"] = environment_tag(current)
    return PlanOut.model_validate(made.as_dict())


async def _planned(services: Services, actor: Actor, project: str, body: PlanRelease) -> Project:
    if (body.files is None) == (body.release is None):
        raise InvalidError("Name either 'files' or 'release'.")
    if body.files is not None:
        return await project_of_files(body.files, project)
    return (await _release(services, actor, project, body.release or ""))[1]


@router.post(
    "/{environment}/deploy",
    operation_id="deployRelease",
    summary="Point an environment at a release",
    response_model=EnvironmentMoved,
    responses=documented(400, 403, 404, 409, 412, 413, 428),
)
async def deploy(
    *,
    project: str,
    environment: str,
    body: MoveEnvironment,
    request: Request,
    response: Response,
    services: ServicesOf,
    actor: ActorOf,
) -> EnvironmentMoved:
    """Point it at a release, if it still is as `If-Match` says: of two who decided on the same, the second is told.

    Refused where a prompt misses a quality threshold, unless `override_quality` says why and policy permits it. A
    repeated request finds its own first one. A snapshot of `signoff dev` is published by it.
    """
    authority = await authority_over(services, actor, project, environment)
    current = await _environment(services, actor, project, environment)
    seen = seen_version(request, current)
    detail, loaded = await _release(services, actor, project, body.release)
    move = _Move(current, detail, loaded, "deploy", body.reason, body.override_quality)
    moved = await _moved(services, actor, authority, move, seen, dry_run=body.dry_run)
    response.headers["ETag"] = environment_tag(moved.environment)
    return moved_out(moved)


@router.post(
    "/{environment}/rollback",
    operation_id="rollBack",
    summary="Return an environment to its release before",
    response_model=EnvironmentMoved,
    responses=documented(400, 403, 404, 409, 412, 413, 428),
)
async def rollback(
    *,
    project: str,
    environment: str,
    body: RollBack,
    request: Request,
    response: Response,
    services: ServicesOf,
    actor: ActorOf,
) -> EnvironmentMoved:
    """Back to what it pointed at before, if it still is as `If-Match` says. Runs under way keep their release."""
    authority = await authority_over(services, actor, project, environment)
    current = await _environment(services, actor, project, environment)
    seen = seen_version(request, current)
    start = body.release
    if start is None:
        async with services.database.transaction(actor.org_id) as connection:
            start = await rollback_target(connection, current, actor.org_id)
    detail, loaded = await _release(services, actor, project, start)
    move = _Move(current, detail, loaded, "rollback", body.reason)
    moved = await _moved(services, actor, authority, move, seen, dry_run=body.dry_run)
    response.headers["ETag"] = environment_tag(moved.environment)
    return moved_out(moved)


async def _moved(
    services: Services, actor: Actor, authority: Authority, move: _Move, seen: int, *, dry_run: bool
) -> Moved:
    """Ask policy, publish where nobody stands behind it yet, and move under the fence."""
    current, loaded = move.current, move.project
    if move.operation == "deploy":
        require_environment(loaded, current.name)
    old = NOTHING
    if current.release is not None:
        old = (await services.releases.load(actor.org_id, current.release)).project
    changes = await asyncio.to_thread(compare_projects, old, loaded)
    facts = {
        **release_facts(changes, old, loaded),
        **behind_facts(actor, move.release.published_by),
        "operation": move.operation,
        "before": current.release or "",
    }
    digest = move.release.digest
    asked = release_request(
        actor, "release.promote", project=loaded.name, release=digest, environment=current.name, facts=facts
    )
    authority.decide(asked).require()
    if move.release.published_at is None:
        await _require_publishable(services, actor, authority, old, loaded)
    override = None
    if move.operation == "deploy" and current.release != digest:
        override = await _require_quality(services, actor, authority, move, facts)
    if dry_run:
        if move.operation == "rollback":
            async with services.database.transaction(actor.org_id) as connection:
                await require_earlier(connection, actor.org_id, loaded.name, current.name, digest)
        if current.version != seen and current.release != digest:
            raise PreconditionFailedError(f"Environment '{current.name}' is at version {current.version}.")
        return Moved(current, current.release, changed=False)
    await prepare_indexes(services, actor, loaded)
    try:
        async with services.database.transaction(actor.org_id) as connection:
            if move.release.published_at is None:
                await publish(connection, actor.org_id, loaded, actor=actor, message=move.reason, now=services.now())
            return await move_environment(
                connection,
                actor.org_id,
                loaded.name,
                current.name,
                digest,
                actor=actor,
                seen=seen,
                operation=move.operation,
                reason=move.reason,
                quality_override=override,
            )
    except EnvironmentMovedError as error:
        raise PreconditionFailedError(error.detail, **error.members) from error


async def _require_quality(
    services: Services, actor: Actor, authority: Authority, move: _Move, facts: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What the history keeps of thresholds that were passed over; nothing where all are reached."""
    async with services.database.transaction(actor.org_id) as connection:
        shortfalls = await shortfalls_of(connection, actor.org_id, move.project)
    if not shortfalls:
        return None
    environment = move.current.name
    if move.override_quality is None:
        require_quality(shortfalls, environment)
    asked = release_request(
        actor,
        OVERRIDE,
        project=move.project.name,
        release=move.release.digest,
        environment=environment,
        facts={**facts, **override_facts(shortfalls)},
    )
    authority.decide(asked).require()
    return {"reason": move.override_quality, "shortfalls": [shortfall.as_dict() for shortfall in shortfalls]}


async def _require_publishable(
    services: Services, actor: Actor, authority: Authority, old: Project, loaded: Project
) -> None:
    await asyncio.to_thread(require_sound, loaded)
    changes = await asyncio.to_thread(compare_projects, old, loaded)
    asked = release_request(
        actor,
        "release.register",
        project=loaded.name,
        environment=services.environment,
        facts=release_facts(changes, old, loaded),
    )
    authority.decide(asked).require()
    require_workflow_changes(services, actor, authority, current=old, new=loaded, changes=changes)
    async with services.database.transaction(actor.org_id) as connection:
        versioning = await versioning_of(connection, actor.org_id, loaded)
    versioning.require()
    for version in versioning.new:
        require_prompt_change(services, actor, authority, current=old, new=loaded, version=version)


async def _release(services: Services, actor: Actor, project: str, start: str) -> tuple[ReleaseDetail, Project]:
    async with services.database.transaction(actor.org_id) as connection:
        detail = await find_release(connection, actor.org_id, project, start)
    return detail, (await services.releases.load(actor.org_id, detail.digest)).project


async def _environment(services: Services, actor: Actor, project: str, name: str) -> Environment:
    async with services.database.transaction(actor.org_id) as connection:
        return await read_environment(connection, actor.org_id, project, name)


async def _require_read(services: Services, actor: Actor, project: str, environment: str | None = None) -> None:
    authority = await authority_over(services, actor, project, environment)
    asked = release_request(actor, "release.read", project=project, environment=environment or services.environment)
    authority.decide(asked).require()
