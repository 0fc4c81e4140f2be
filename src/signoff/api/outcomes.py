"""Outcomes: what the runs of workflows came to, counted, beside their goals."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, Security
from pydantic import AwareDatetime

from signoff.api.delivering import authority_over
from signoff.api.entity_tags import tag_of, tagged
from signoff.api.outcome_messages import OutcomePage, WorkflowOutcomesOut
from signoff.api.paging import DEFAULT_PAGE, Limit, visible_page
from signoff.api.problems import documented
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.catalog import Project
from signoff.catalog.authority import Authority
from signoff.catalog.delivery.listing import find_release
from signoff.catalog.outcomes.counting import Window, count_outcomes, window_of
from signoff.catalog.outcomes.model import WorkflowOutcomes
from signoff.catalog.releases import environment_releases
from signoff.core.actors import Actor
from signoff.core.errors import NotFoundError
from signoff.governance.policy.requests import outcome_request

router = APIRouter(
    prefix="/v1/outcomes", tags=["outcomes"], dependencies=[Security(api_key_scheme)], route_class=StrictRoute
)

_ENVIRONMENT = r"^[a-z][a-z0-9-]{0,62}$"
Name = Annotated[str | None, Query(max_length=300, description="Only this one; every one that is deployed otherwise.")]
Place = tuple[Project, str]
"""A workflow by its project, as deployed, and its name."""


@router.get(
    "",
    operation_id="countOutcomes",
    summary="Count outcomes",
    response_model=OutcomePage,
    responses={304: {"description": "It is as `If-None-Match` says."}} | documented(403, 404, 409, 429),
)
async def count(
    *,
    request: Request,
    services: ServicesOf,
    actor: ActorOf,
    project: Name = None,
    workflow: Name = None,
    environment: Annotated[
        str | None, Query(pattern=_ENVIRONMENT, description="Where runs were started; the server's own otherwise.")
    ] = None,
    release: Annotated[
        str | None,
        Query(
            pattern=r"^[0-9a-f]{7,64}$", description="Only runs that have it; how it begins is enough with `project`."
        ),
    ] = None,
    since: Annotated[AwareDatetime | None, Query(description="The day 30 days before the end otherwise.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Now otherwise; at most 400 days after `since`.")] = None,
    cursor: Annotated[str | None, Query(max_length=400, description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_PAGE,
) -> Response:
    """What the runs of each workflow that started in a window came to.

    How often, what share, what it cost, how many without a person; and its goals beside what was measured. Forks count
    nowhere. With an `ETag`.
    """
    where = environment or services.environment
    digest = None if release is None else await _release(services, actor, project, release)
    window = window_of(where, since, until, now=services.now(), release=digest)
    places, authorities = await _places(services, actor, where, project=project, workflow=workflow)

    async def read(position: str | None, rows: int) -> tuple[list[Place], str | None]:
        after = [place for place in places if position is None or _cursor(place) > position]
        return after[:rows], _cursor(after[rows - 1]) if len(after) > rows else None

    async def visible(place: Place) -> bool:
        asked = outcome_request(actor, project=place[0].name, workflow=place[1], environment=where)
        return authorities[place[0].name].decide(asked).permit

    found, following = await visible_page(read, visible, _cursor, cursor=cursor, limit=limit)
    counted = await _counted(services, actor, found, window)
    page = OutcomePage(
        environment=where,
        since=window.since,
        until=until,
        items=[WorkflowOutcomesOut.model_validate(item.as_dict()) for item in counted],
        next=following,
    )
    body = page.model_dump_json().encode()
    return tagged(request, body, tag_of(body))


async def _counted(services: Services, actor: Actor, places: list[Place], window: Window) -> list[WorkflowOutcomes]:
    if not places:
        return []
    async with services.database.transaction(actor.org_id) as connection:
        return await count_outcomes(connection, actor.org_id, places, window)


async def _places(
    services: Services, actor: Actor, environment: str, *, project: str | None, workflow: str | None
) -> tuple[list[Place], dict[str, Authority]]:
    """Every workflow that is deployed there, or the one that is named, in the order of cursors; and who decides.

    A workflow that is named may have left its project since: its runs are counted all the same.
    """
    async with services.database.transaction(actor.org_id) as connection:
        deployed = await environment_releases(connection, actor.org_id, environment)
    places: list[Place] = []
    authorities: dict[str, Authority] = {}
    for name, digest in deployed.items():
        if project is not None and name != project:
            continue
        authorities[name] = await authority_over(services, actor, name, environment)
        loaded = (await services.releases.load(actor.org_id, digest)).project
        if workflow is None:
            places += [(loaded, one) for one in loaded.workflows]
        elif workflow in loaded.workflows or project is not None:
            places.append((loaded, workflow))
    return sorted(places, key=_cursor), authorities


async def _release(services: Services, actor: Actor, project: str | None, start: str) -> str:
    """The whole digest. Without a project it is given whole: only a project's releases are looked through."""
    if project is None:
        if not re.fullmatch(r"[0-9a-f]{64}", start):
            raise NotFoundError("Which project's release? Give 'project' too, or the whole digest.")
        return start
    async with services.database.transaction(actor.org_id) as connection:
        return (await find_release(connection, actor.org_id, project, start)).digest


def _cursor(place: Place) -> str:
    return f"{place[0].name}/{place[1]}"
