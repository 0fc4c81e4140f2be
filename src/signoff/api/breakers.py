"""How the circuit breakers of tools and models stand."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Security
from pydantic import BaseModel, ConfigDict, Field

from signoff.api.paging import DEFAULT_PAGE, Limit, visible_page
from signoff.api.problems import documented
from signoff.api.services import ActorOf, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.catalog.releases import environment_releases
from signoff.governance.policy.requests import breaker_request
from signoff.runtime.breakers import Breaker, list_breakers

router = APIRouter(prefix="/v1", dependencies=[Security(api_key_scheme)], route_class=StrictRoute)


class BreakerOut(BaseModel):
    """One breaker. A tool or model that never failed has none."""

    model_config = ConfigDict(from_attributes=True)

    target: str = Field(description="`tool/NAME`, or `models/NAME+NAME` of a route's models.")
    state: Literal["closed", "open", "half_open"]
    failures: int = Field(description="Failures in the window, as of the last one.")
    slow_calls: int = Field(description="Slow calls in the window, as of the last one.")
    trips: int = Field(description="How often in a row it was opened.")
    retry_at: datetime | None = Field(description="When the next call may be let through.")
    reason: str = Field(description="The kind of the latest failure, or `slow`.")
    changed_at: datetime


class BreakerPage(BaseModel):
    """Part of the breakers, by target."""

    items: list[BreakerOut]
    next: str | None


@router.get(
    "/breakers",
    operation_id="listBreakers",
    summary="List circuit breakers",
    tags=["breakers"],
    response_model=BreakerPage,
    responses=documented(403),
)
async def breakers(
    services: ServicesOf,
    actor: ActorOf,
    cursor: Annotated[str | None, Query(max_length=300, description="The `next` of the page before.")] = None,
    limit: Limit = DEFAULT_PAGE,
) -> BreakerPage:
    """The tools and models that have failed lately, by target, as far as a deployed project's policies show them."""
    async with services.database.transaction(actor.org_id) as connection:
        deployed = await environment_releases(connection, actor.org_id, services.environment)
    authorities = [
        (await services.access.jurisdiction(actor.org_id, release)).authority for release in deployed.values()
    ]

    async def read(position: str | None, rows: int) -> tuple[list[Breaker], str | None]:
        async with services.database.transaction(actor.org_id) as connection:
            found = await list_breakers(connection, actor.org_id, after=position, limit=rows + 1)
        return found[:rows], found[rows - 1].target if len(found) > rows else None

    async def visible(breaker: Breaker) -> bool:
        request = breaker_request(actor, target=breaker.target, environment=services.environment)
        return any(authority.decide(request).permit for authority in authorities)

    items, following = await visible_page(read, visible, lambda breaker: breaker.target, cursor=cursor, limit=limit)
    return BreakerPage(items=[BreakerOut.model_validate(breaker) for breaker in items], next=following)
