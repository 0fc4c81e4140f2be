"""The prompt registry: released versions, their differences, and the scores beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response, Security

from signoff.api.delivering import authority_over
from signoff.api.delivery_messages import AddScore, PromptDifference, PromptPage, PromptVersionOut, ScoreOut
from signoff.api.entity_tags import tag_of, tagged
from signoff.api.paging import DEFAULT_PAGE, Limit, visible_page
from signoff.api.problems import documented
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.api.views import prompt_out, score_out
from signoff.catalog.authority import Authority
from signoff.catalog.labels.beside import beside
from signoff.catalog.registry.differences import contract_changes, side_by_side
from signoff.catalog.registry.scores import Measurement, add_score
from signoff.catalog.registry.versions import (
    ReleasedVersion,
    list_prompts,
    prompt_history,
    released_version,
    version_source,
)
from signoff.core.actors import Actor
from signoff.governance.policy import PolicyRequest
from signoff.governance.policy.requests import prompt_request

router = APIRouter(
    prefix="/v1/projects/{project}/prompts",
    tags=["prompts"],
    dependencies=[Security(api_key_scheme)],
    route_class=StrictRoute,
)

Version = Annotated[str, Path(max_length=40, description="Three numbers.")]
GivenVersion = Annotated[str, Query(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$", description="Three numbers.")]
Cursor = Annotated[str | None, Query(max_length=200, description="The `next` of the page before.")]
IdempotencyKey = Annotated[
    str | None, Header(pattern=r"^[\x21-\x7e]{1,200}$", description="The same key keeps one score.")
]


@router.get(
    "", operation_id="listPrompts", summary="List prompts", response_model=PromptPage, responses=documented(403, 404)
)
async def list_(
    *, project: str, services: ServicesOf, actor: ActorOf, cursor: Cursor = None, limit: Limit = DEFAULT_PAGE
) -> PromptPage:
    """The latest released version of each prompt that you may read, by name, with its scores."""
    authority = await authority_over(services, actor, project)

    async def read(position: str | None, rows: int) -> tuple[list[ReleasedVersion], str | None]:
        async with services.database.transaction(actor.org_id) as connection:
            found = await list_prompts(connection, actor.org_id, project, after=position, limit=rows + 1)
        return found[:rows], found[rows - 1].name if len(found) > rows else None

    async def visible(version: ReleasedVersion) -> bool:
        return authority.decide(prompt_question(services, actor, "prompt.read", version)).permit

    items, following = await visible_page(read, visible, lambda version: version.name, cursor=cursor, limit=limit)
    return PromptPage(items=[await _shown(services, actor, version) for version in items], next=following)


@router.get(
    "/{prompt:path}/versions",
    operation_id="listPromptVersions",
    summary="List a prompt's versions",
    response_model=PromptPage,
    responses=documented(403, 404),
)
async def versions(
    *,
    project: str,
    prompt: str,
    services: ServicesOf,
    actor: ActorOf,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_PAGE,
) -> PromptPage:
    """Every released version of a prompt, the highest first: its changelog, with the scores of each."""
    authority = await authority_over(services, actor, project)
    async with services.database.transaction(actor.org_id) as connection:
        found = await prompt_history(connection, actor.org_id, project, prompt, before=cursor, limit=limit + 1)
        around = await beside(connection, actor.org_id, project, prompt, [one.version for one in found[:limit]])
    if found:
        authority.decide(prompt_question(services, actor, "prompt.read", found[0])).require()
    items = [prompt_out(version, around[version.version]) for version in found[:limit]]
    return PromptPage(items=items, next=found[limit - 1].version if len(found) > limit else None)


@router.get(
    "/{prompt:path}/versions/{version}",
    operation_id="readPromptVersion",
    summary="Read a version of a prompt",
    response_model=PromptVersionOut,
    responses={304: {"description": "It is as `If-None-Match` says."}} | documented(403, 404),
)
async def read(
    *, project: str, prompt: str, version: Version, request: Request, services: ServicesOf, actor: ActorOf
) -> Response:
    """One released version with its file as it was, and its scores. With an `ETag`."""
    found, _ = await permitted_version(services, actor, "prompt.read", project=project, prompt=prompt, version=version)
    async with services.database.transaction(actor.org_id) as connection:
        _, source, _ = await version_source(connection, actor.org_id, project, prompt, version)
        around = await beside(connection, actor.org_id, project, prompt, [version])
    body = prompt_out(found, around[version], source).model_dump_json().encode()
    return tagged(request, body, tag_of(body))


@router.get(
    "/{prompt:path}/difference",
    operation_id="comparePromptVersions",
    summary="Compare two versions of a prompt",
    response_model=PromptDifference,
    responses=documented(403, 404),
)
async def difference(
    *,
    project: str,
    prompt: str,
    services: ServicesOf,
    actor: ActorOf,
    before: GivenVersion,
    after: GivenVersion,
) -> PromptDifference:
    """Two versions side by side: what their contracts differ in, which version that demands, and every line."""
    for version in (before, after):
        await permitted_version(services, actor, "prompt.read", project=project, prompt=prompt, version=version)
    async with services.database.transaction(actor.org_id) as connection:
        file, old, _ = await version_source(connection, actor.org_id, project, prompt, before)
        _, new, _ = await version_source(connection, actor.org_id, project, prompt, after)
    changes, bump = await asyncio.to_thread(contract_changes, file, old, new)
    lines = await asyncio.to_thread(side_by_side, old, new)
    return PromptDifference(
        prompt=prompt,
        before=before,
        after=after,
        bump=bump,
        changes=[change.as_dict() for change in changes],
        lines=[pair.as_dict() for pair in lines],
    )


@router.post(
    "/{prompt:path}/versions/{version}/scores",
    operation_id="addPromptScore",
    summary="Keep a score beside a version",
    status_code=201,
    response_model=ScoreOut,
    responses={200: {"description": "The request with this key was kept before.", "model": ScoreOut}}
    | documented(400, 403, 404, 409, 413),
)
async def score(
    *,
    project: str,
    prompt: str,
    version: Version,
    body: AddScore,
    response: Response,
    services: ServicesOf,
    actor: ActorOf,
    idempotency_key: IdempotencyKey = None,
) -> ScoreOut:
    """What an evaluation measured. Nothing is replaced: the newest of a metric, data set and model is shown."""
    found, authority = await permitted_version(
        services, actor, "prompt.read", project=project, prompt=prompt, version=version
    )
    authority.decide(prompt_question(services, actor, "prompt.score", found)).require()
    measurement = Measurement(body.metric, body.value, body.n, body.dataset, body.model)
    async with services.database.transaction(actor.org_id) as connection:
        kept, created = await add_score(
            connection,
            actor,
            project=project,
            prompt=prompt,
            version=version,
            measurement=measurement,
            now=services.now(),
            idempotency_key=idempotency_key,
        )
    response.status_code = 201 if created else 200
    return score_out(found, kept)


async def permitted_version(
    services: Services, actor: Actor, action: str, *, project: str, prompt: str, version: str
) -> tuple[ReleasedVersion, Authority]:
    """The version, where the actor may do that to it."""
    authority = await authority_over(services, actor, project)
    async with services.database.transaction(actor.org_id) as connection:
        found = await released_version(connection, actor.org_id, project, prompt, version)
    authority.decide(prompt_question(services, actor, action, found)).require()
    return found, authority


def prompt_question(
    services: Services, actor: Actor, action: str, version: ReleasedVersion, facts: Mapping[str, Any] | None = None
) -> PolicyRequest:
    """What policy is asked about a released version."""
    return prompt_request(
        actor,
        action,
        project=version.project,
        prompt=version.name,
        version=version.version,
        owners=version.owners,
        data_class=version.data_class,
        environment=services.environment,
        facts=facts,
    )


async def _shown(services: Services, actor: Actor, version: ReleasedVersion) -> PromptVersionOut:
    async with services.database.transaction(actor.org_id) as connection:
        around = await beside(connection, actor.org_id, version.project, version.name, [version.version])
    return prompt_out(version, around[version.version])
