"""Labels of prompt versions: where they point, and the fenced move to another version."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response, Security

from signoff.api.delivering import authority_over
from signoff.api.delivery_messages import LabelOut, LabelPage, MoveLabel
from signoff.api.entity_tags import listed, tag_of, tagged
from signoff.api.paging import DEFAULT_PAGE, Limit
from signoff.api.problems import PreconditionFailedError, PreconditionRequiredError, documented
from signoff.api.prompts import prompt_question
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.api.views import label_out
from signoff.catalog.authority import Authority
from signoff.catalog.labels.moving import (
    LABEL,
    Label,
    LabelMovedError,
    label_history,
    list_labels,
    move_label,
    read_label,
)
from signoff.catalog.registry.versions import ReleasedVersion, prompt_history, released_version
from signoff.core.actors import Actor

router = APIRouter(
    prefix="/v1/projects/{project}/prompts",
    tags=["prompts"],
    dependencies=[Security(api_key_scheme)],
    route_class=StrictRoute,
)

Name = Annotated[str, Path(pattern=LABEL, description="Such as production.")]


@router.get(
    "/{prompt:path}/labels",
    operation_id="listPromptLabels",
    summary="List a prompt's labels",
    response_model=LabelPage,
    responses={304: {"description": "It is as `If-None-Match` says."}} | documented(403, 404),
)
async def list_(*, project: str, prompt: str, request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """Where each label of the prompt points, by name; at most 50. With an `ETag`."""
    await _readable(services, actor, project, prompt)
    async with services.database.transaction(actor.org_id) as connection:
        found = await list_labels(connection, actor.org_id, project, prompt)
    page = LabelPage(items=[label_out(project, prompt, label) for label in found])
    body = page.model_dump_json().encode()
    return tagged(request, body, tag_of(body))


@router.get(
    "/{prompt:path}/labels/{label}",
    operation_id="readPromptLabel",
    summary="Read a label of a prompt",
    response_model=LabelOut,
    responses={304: {"description": "It is as `If-None-Match` says."}} | documented(403, 404),
)
async def read(
    *, project: str, prompt: str, label: Name, request: Request, services: ServicesOf, actor: ActorOf
) -> Response:
    """Where it points, since when, who moved it there and why. Its `ETag` is what a move of it names."""
    await _readable(services, actor, project, prompt)
    async with services.database.transaction(actor.org_id) as connection:
        found = await read_label(connection, actor.org_id, project, prompt, label)
    return tagged(request, label_out(project, prompt, found).model_dump_json().encode(), _tag(found))


@router.get(
    "/{prompt:path}/labels/{label}/history",
    operation_id="readPromptLabelHistory",
    summary="Read a label's history",
    response_model=LabelPage,
    responses=documented(403, 404),
)
async def history(
    *,
    project: str,
    prompt: str,
    label: Name,
    services: ServicesOf,
    actor: ActorOf,
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_PAGE,
) -> LabelPage:
    """Every move of the label, newest first: who, when, from where to where, why. Nobody can change it."""
    await _readable(services, actor, project, prompt)
    async with services.database.transaction(actor.org_id) as connection:
        found = await label_history(connection, actor.org_id, project, prompt, label, before=cursor, limit=limit + 1)
    items = [label_out(project, prompt, move) for move in found[:limit]]
    return LabelPage(items=items, next=str(found[limit - 1].place) if len(found) > limit else None)


@router.put(
    "/{prompt:path}/labels/{label}",
    operation_id="movePromptLabel",
    summary="Point a label at a version",
    response_model=LabelOut,
    responses=documented(400, 403, 404, 409, 412, 413, 428, 429),
)
async def move(
    *,
    project: str,
    prompt: str,
    label: Name,
    body: MoveLabel,
    request: Request,
    response: Response,
    services: ServicesOf,
    actor: ActorOf,
) -> LabelOut:
    """Point it at a released version (or nowhere), if it still is as `If-Match` says. Repeated, it finds its first one.

    A label says what people think of a version; what runs is decided by releases. Policy is asked `prompt.label`.
    """
    newest, authority = await _readable(services, actor, project, prompt)
    async with services.database.transaction(actor.org_id) as connection:
        current = await read_label(connection, actor.org_id, project, prompt, label)
        chosen = body.version or current.version or newest.version
        target = await released_version(connection, actor.org_id, project, prompt, chosen)
    facts = {"label": label, "before": current.version or "", "operation": "move" if body.version else "remove"}
    authority.decide(prompt_question(services, actor, "prompt.label", target, facts)).require()
    seen = _seen(request, current)
    try:
        async with services.database.transaction(actor.org_id) as connection:
            moved, _ = await move_label(
                connection,
                actor,
                project=project,
                prompt=prompt,
                label=label,
                version=body.version,
                seen=seen,
                reason=body.reason,
                now=services.now(),
            )
    except LabelMovedError as error:
        raise PreconditionFailedError(error.detail, **error.members) from error
    response.headers["ETag"] = _tag(moved)
    return label_out(project, prompt, moved)


async def _readable(services: Services, actor: Actor, project: str, prompt: str) -> tuple[ReleasedVersion, Authority]:
    """The prompt's highest version, where the actor may read it."""
    authority = await authority_over(services, actor, project)
    async with services.database.transaction(actor.org_id) as connection:
        newest = (await prompt_history(connection, actor.org_id, project, prompt, limit=1))[0]
    authority.decide(prompt_question(services, actor, "prompt.read", newest)).require()
    return newest, authority


def _tag(label: Label) -> str:
    return f'"{label.place}"'


def _seen(request: Request, current: Label) -> int:
    """The place that the mover says to have seen: `If-Match`, or `If-None-Match: *` for a new label.

    Raises:
        PreconditionRequiredError: neither says anything.
        PreconditionFailedError: it is no place, or there is such a label already.
    """
    if request.headers.get("if-none-match", "").strip() == "*":
        if current.place:
            raise PreconditionFailedError(f"Label '{current.label}' is at its place {current.place}.")
        return 0
    tags = listed(request.headers.get("if-match", ""))
    if not tags or tags == ["*"]:
        raise PreconditionRequiredError(
            "Say which place of the label you decided on: 'If-Match' with its ETag; of a new one 'If-None-Match: *'."
        )
    text = tags[0].strip('"')
    if len(tags) != 1 or not text.isdecimal() or len(text) > 18:  # noqa: PLR2004  (digits of a bigint)
        raise PreconditionFailedError(f"No place of label '{current.label}' has the tag {tags[0][:40]}.")
    return int(text)
