"""Releases of a project: make one, list, read, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, Security

from signoff.api.delivering import authority_over, project_of_files
from signoff.api.delivery_messages import MakeRelease, ReleaseMade, ReleaseOut, ReleasePage
from signoff.api.entity_tags import tag_of, tagged
from signoff.api.paging import DEFAULT_PAGE, Limit
from signoff.api.problems import documented
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.api.views import made_out, release_out
from signoff.catalog import Project, Release
from signoff.catalog.authority import Authority
from signoff.catalog.delivery.differences import NOTHING, compare_projects
from signoff.catalog.delivery.environments import read_environment
from signoff.catalog.delivery.facts import change_facts, changed_workflows, owners_before, release_facts
from signoff.catalog.delivery.listing import delete_release, find_release, is_published, page_releases, release_use
from signoff.catalog.delivery.model import Change
from signoff.catalog.delivery.publishing import publish, require_sound
from signoff.catalog.registry.versions import NewVersion, Versioning, versioning_of
from signoff.core.actors import Actor
from signoff.core.errors import ForbiddenError
from signoff.governance.policy import PolicyRequest
from signoff.governance.policy.requests import prompt_request, release_request, workflow_change_request

router = APIRouter(
    prefix="/v1/projects/{project}/releases",
    tags=["releases"],
    dependencies=[Security(api_key_scheme)],
    route_class=StrictRoute,
)


@router.post(
    "",
    operation_id="makeRelease",
    summary="Keep a project as a release",
    status_code=201,
    response_model=ReleaseMade,
    responses={200: {"description": "These files were released before, or it is a dry run.", "model": ReleaseMade}}
    | documented(400, 403, 404, 409, 413, 429),
)
async def make(
    *, project: str, body: MakeRelease, response: Response, services: ServicesOf, actor: ActorOf
) -> ReleaseMade:
    """An immutable snapshot, named by its content: the same files are the same release, so a repeated request is none.

    Each workflow that changes is asked about by itself (`workflow.change`), and each prompt that has a new version
    (`prompt.change`), which must say what changed.
    """
    authority = await authority_over(services, actor, project)
    loaded = await project_of_files(body.files, project)
    await asyncio.to_thread(require_sound, loaded)
    current = await _current(services, actor, project)
    async with services.database.transaction(actor.org_id) as connection:
        versioning = await versioning_of(connection, actor.org_id, loaded)
    await _require_permitted(services, actor, authority, current=current, new=loaded, versioning=versioning)
    if body.dry_run:
        versioning.require()
        response.status_code = 200
        async with services.database.transaction(actor.org_id) as connection:
            existed = await is_published(connection, actor.org_id, loaded.name, loaded.digest)
        return made_out(loaded, versioning, created=False, existed=existed)
    await prepare_indexes(services, actor, loaded)
    async with services.database.transaction(actor.org_id) as connection:
        published = await publish(
            connection, actor.org_id, loaded, actor=actor, message=body.message, now=services.now()
        )
    response.status_code = 201 if published.created else 200
    return made_out(loaded, published.versioning, created=published.created, existed=not published.created)


async def _current(services: Services, actor: Actor, project: str) -> Project:
    """What the server's environment has of the project."""
    async with services.database.transaction(actor.org_id) as connection:
        found = await read_environment(connection, actor.org_id, project, services.environment)
    if found.release is None:
        return NOTHING
    return (await services.releases.load(actor.org_id, found.release)).project


async def _require_permitted(
    services: Services, actor: Actor, authority: Authority, *, current: Project, new: Project, versioning: Versioning
) -> None:
    changes = await asyncio.to_thread(compare_projects, current, new)
    authority.decide(
        release_request(
            actor,
            "release.register",
            project=new.name,
            environment=services.environment,
            facts=release_facts(changes, current, new),
        )
    ).require()
    require_workflow_changes(services, actor, authority, current=current, new=new, changes=changes)
    for version in versioning.new:
        require_prompt_change(services, actor, authority, current=current, new=new, version=version)


def require_workflow_changes(
    services: Services,
    actor: Actor,
    authority: Authority,
    *,
    current: Project,
    new: Project,
    changes: Iterable[Change],
) -> None:
    """Return only where the actor may change each workflow whose document is another."""
    for change in changed_workflows(changes, current, new):
        request = workflow_change_request(
            actor,
            project=new.name,
            workflow=change.name,
            version=change.version,
            risk=change.risk,
            owners=change.owners,
            environment=services.environment,
            facts=change.facts,
        )
        _require_owned(authority, request, change.owners, services.environment)


def require_prompt_change(
    services: Services, actor: Actor, authority: Authority, *, current: Project, new: Project, version: NewVersion
) -> None:
    """Return only where the actor may bring that version of a prompt."""
    prompt = version.prompt
    request = prompt_request(
        actor,
        "prompt.change",
        project=new.name,
        prompt=prompt.name,
        version=prompt.version,
        owners=owners_before(current, prompt),
        data_class=prompt.data_class,
        environment=services.environment,
        facts=change_facts(new, version),
    )
    _require_owned(authority, request, owners_before(current, prompt), services.environment)


def _require_owned(authority: Authority, request: PolicyRequest, owners: tuple[str, ...], environment: str) -> None:
    """Return only where policy permits it; a denial says who could, as most policies ask for an owner."""
    try:
        authority.decide(request).require()
    except ForbiddenError as error:
        whose = f"owned by {', '.join(owners)}" if owners else "owned by nobody"
        raise ForbiddenError(f"{error.detail} In '{environment}' it is {whose}.", **error.members) from error


async def prepare_indexes(services: Services, actor: Actor, project: Project) -> None:
    """Build what is not built yet of the project's knowledge, so that a release which is deployed can be searched."""
    if project.knowledge:
        from signoff.steps import prepare_release  # noqa: PLC0415  (embeds: only where there is something to embed)

        release = Release(project.digest, project)
        await prepare_release(services.database, actor.org_id, release, clock=services.clock)


@router.get(
    "", operation_id="listReleases", summary="List releases", response_model=ReleasePage, responses=documented(403, 404)
)
async def list_(
    *,
    project: str,
    services: ServicesOf,
    actor: ActorOf,
    cursor: Annotated[
        str | None, Query(pattern=r"^[0-9a-f]{64}$", description="The `next` of the page before.")
    ] = None,
    limit: Limit = DEFAULT_PAGE,
) -> ReleasePage:
    """The releases of a project, newest first, with who stands behind each."""
    await _require(services, actor, project, "release.read")
    async with services.database.transaction(actor.org_id) as connection:
        found = await page_releases(connection, actor.org_id, project, after=cursor, limit=limit + 1)
    items = [release_out(detail) for detail in found[:limit]]
    return ReleasePage(items=items, next=found[limit - 1].digest if len(found) > limit else None)


@router.get(
    "/{release}",
    operation_id="readRelease",
    summary="Read a release",
    response_model=ReleaseOut,
    responses={304: {"description": "It is as `If-None-Match` says."}} | documented(403, 404, 409),
)
async def read(*, project: str, release: str, request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """A release by its digest or the beginning of it, and what uses it. With an `ETag`."""
    await _require(services, actor, project, "release.read", release)
    async with services.database.transaction(actor.org_id) as connection:
        detail = await find_release(connection, actor.org_id, project, release)
        use = await release_use(connection, actor.org_id, detail.digest)
    body = release_out(detail, use).model_dump_json().encode()
    return tagged(request, body, tag_of(body))


@router.delete(
    "/{release}",
    operation_id="deleteRelease",
    summary="Delete a release",
    status_code=204,
    responses=documented(403, 404, 409),
)
async def delete(*, project: str, release: str, services: ServicesOf, actor: ActorOf) -> Response:
    """Delete a release that no environment, run or waiting start needs; the database itself looks. For ever."""
    await _require(services, actor, project, "release.delete", release)
    async with services.database.transaction(actor.org_id) as connection:
        detail = await find_release(connection, actor.org_id, project, release)
        await delete_release(connection, actor.org_id, detail.digest)
    return Response(status_code=204)


async def _require(services: Services, actor: Actor, project: str, action: str, release: str = "") -> None:
    authority = await authority_over(services, actor, project)
    authority.decide(
        release_request(actor, action, project=project, release=release, environment=services.environment)
    ).require()
