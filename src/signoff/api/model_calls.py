"""Calls to models, what they cost, how that compares with what vendors report, and what is used of limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, cast
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Security

from signoff.api.delivering import authority_over
from signoff.api.model_call_messages import (
    CostOut,
    CostPage,
    DifferenceOut,
    DifferencePage,
    LimitUseOut,
    LimitUsePage,
    ModelCallOut,
    ModelCallPage,
)
from signoff.api.paging import DEFAULT_PAGE, Limit, visible_page
from signoff.api.problems import documented
from signoff.api.services import ActorOf, Services, ServicesOf, api_key_scheme
from signoff.api.strict_json import StrictRoute
from signoff.capabilities.gateway.limits.reading import list_uses
from signoff.capabilities.gateway.records import (
    COST_BY,
    CallFilter,
    CostFilter,
    list_calls,
    read_call,
    read_costs,
    read_differences,
)
from signoff.capabilities.gateway.records.model import CallSummary
from signoff.catalog.authority import Authority
from signoff.catalog.releases import environment_releases
from signoff.core.actors import Actor
from signoff.core.errors import ForbiddenError, InvalidError, NotFoundError, Problem
from signoff.governance.policy import PolicyRequest
from signoff.governance.policy.requests import call_request, cost_request

MAX_DAYS = 400
"""Days that one answer sums up."""
DEFAULT_DAYS = 30

_NO_CURSOR = "'cursor' is the 'next' of an earlier page."

router = APIRouter(prefix="/v1", tags=["models"], dependencies=[Security(api_key_scheme)], route_class=StrictRoute)

_ENVIRONMENT = r"^[a-z][a-z0-9-]{0,62}$"
Named = Annotated[str, Query(max_length=300, description="Only these; all where empty.")]
Where = Annotated[
    str | None, Query(pattern=_ENVIRONMENT, description="Where they were asked; the server's own otherwise.")
]
Cursor = Annotated[str | None, Query(max_length=2_000, description="The `next` of the page before.")]
OfProject = Annotated[
    str | None, Query(max_length=300, description="Whose; may be left out where only one project is deployed.")
]
First = Annotated[date | None, Query(alias="from", description="The first day, in UTC; 30 days before the last.")]
Last = Annotated[date | None, Query(alias="to", description="The last day, in UTC; today otherwise.")]


@router.get(
    "/model-calls",
    operation_id="listModelCalls",
    summary="List calls to models",
    response_model=ModelCallPage,
    responses=documented(403),
)
async def calls(
    *,
    services: ServicesOf,
    actor: ActorOf,
    run_id: UUID | None = None,
    team: Named = "",
    workflow: Named = "",
    model: Named = "",
    outcome: Named = "",
    project: Named = "",
    environment: Where = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_PAGE,
) -> ModelCallPage:
    """Calls to the gateway, newest first, as far as the policies of their projects show them. They hold no content."""
    where = environment or services.environment
    wanted = CallFilter(run_id, team, workflow, model, outcome, project, where)
    authorities: dict[str, Authority | None] = {}

    async def read(position: str | None, rows: int) -> tuple[list[CallSummary], str | None]:
        async with services.database.transaction(actor.org_id) as connection:
            after = None if position is None else _id(position)
            found = await list_calls(connection, actor.org_id, wanted, after=after, limit=rows + 1)
        return found[:rows], str(found[rows - 1].call_id) if len(found) > rows else None

    async def visible(call: CallSummary) -> bool:
        if call.project not in authorities:
            authorities[call.project] = await _authority(services, actor, call)
        return _may_read(authorities[call.project], actor, call)

    items, following = await visible_page(read, visible, lambda call: str(call.call_id), cursor=cursor, limit=limit)
    return ModelCallPage(items=[ModelCallOut.model_validate(call) for call in items], next=following)


@router.get(
    "/model-calls/{call_id}",
    operation_id="readModelCall",
    summary="Read a call to a model",
    response_model=ModelCallOut,
    responses=documented(403, 404),
)
async def call_of(call_id: UUID, services: ServicesOf, actor: ActorOf) -> ModelCallOut:
    """What is kept of one call: who was considered, every try, tokens, cost, time. It holds no content."""
    async with services.database.transaction(actor.org_id) as connection:
        found = await read_call(connection, actor.org_id, call_id)
    authority = await authority_over(services, actor, found.project, found.environment)
    authority.decide(_call_request(actor, found)).require()
    return ModelCallOut.model_validate(found)


@router.get(
    "/model-costs",
    operation_id="sumModelCosts",
    summary="Sum up what calls to models cost",
    response_model=CostPage,
    responses=documented(403, 404),
)
async def costs(
    *,
    services: ServicesOf,
    actor: ActorOf,
    by: Annotated[str, Query(max_length=200, description=f"Some of: {', '.join(COST_BY)}; with commas.")] = "day",
    project: OfProject = None,
    team: Named = "",
    workflow: Named = "",
    model: Named = "",
    environment: Where = None,
    first: First = None,
    last: Last = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_PAGE,
) -> CostPage:
    """What calls came to, by day, team, workflow, run, step, model and more.

    Sums by run, step, task or prompt go as far back as single calls are kept; all others longer.
    """
    where = environment or services.environment
    named = await _permitted(services, actor, project, where)
    wanted = _days(services, first, last, project=named, environment=where, team=team, workflow=workflow, model=model)
    names = [name.strip() for name in by.split(",") if name.strip()]
    after = None if cursor is None else _after(cursor)
    async with services.database.transaction(actor.org_id) as connection:
        found = await read_costs(connection, actor.org_id, wanted, names, after=after, limit=limit + 1)
    items = [
        CostOut(
            by=dict(zip(names, line.by, strict=True)),
            calls=line.calls,
            failed_calls=line.failed_calls,
            cached_calls=line.cached_calls,
            tries=line.tries,
            input_tokens=line.input_tokens,
            output_tokens=line.output_tokens,
            cost_micro_usd=line.cost_micro_usd,
        )
        for line in found[:limit]
    ]
    following = orjson.dumps(found[limit - 1].by).decode() if len(found) > limit else None
    return CostPage(items=items, next=following)


@router.get(
    "/model-costs/differences",
    operation_id="compareModelCosts",
    summary="Compare estimates, reports and counts",
    response_model=DifferencePage,
    responses=documented(403, 404),
)
async def differences(
    *,
    services: ServicesOf,
    actor: ActorOf,
    project: OfProject = None,
    model: Named = "",
    environment: Where = None,
    first: First = None,
    last: Last = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_PAGE,
) -> DifferencePage:
    """What was set aside before the calls of each model and day, what its vendor reported, and what was counted."""
    where = environment or services.environment
    named = await _permitted(services, actor, project, where)
    wanted = _days(services, first, last, project=named, environment=where, model=model)
    async with services.database.transaction(actor.org_id) as connection:
        found = await read_differences(connection, actor.org_id, wanted, after=cursor, limit=limit + 1)
    items = [DifferenceOut.model_validate(one) for _, one in found[:limit]]
    return DifferencePage(items=items, next=found[limit - 1][0] if len(found) > limit else None)


@router.get(
    "/model-limits",
    operation_id="listModelLimits",
    summary="List what is used of limits",
    response_model=LimitUsePage,
    responses=documented(403, 404),
)
async def limits(
    *,
    services: ServicesOf,
    actor: ActorOf,
    project: OfProject = None,
    of: Named = "",
    holder: Named = "",
    environment: Where = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_PAGE,
) -> LimitUsePage:
    """What is used of quotas and budgets now. One that was not asked for in its last two windows is not among them."""
    where = environment or services.environment
    named = await _permitted(services, actor, project, where)
    after = ("", "", "") if cursor is None else _after(cursor)
    if len(after) != 3:  # noqa: PLR2004  (`of`, `holder` and `counter`)
        raise InvalidError(_NO_CURSOR)
    async with services.database.transaction(actor.org_id) as connection:
        found = await list_uses(
            connection,
            actor.org_id,
            project=named,
            environment=where,
            of=of,
            holder=holder,
            after=after,
            limit=limit + 1,
        )
    last = found[limit - 1] if len(found) > limit else None
    following = None if last is None else orjson.dumps([last.of, last.holder, last.counter]).decode()
    return LimitUsePage(items=[LimitUseOut.model_validate(one) for one in found[:limit]], next=following)


async def _permitted(services: Services, actor: Actor, project: str | None, environment: str) -> str:
    """The project, where the actor may see its costs."""
    if project is None:
        async with services.database.transaction(actor.org_id) as connection:
            deployed = sorted(await environment_releases(connection, actor.org_id, environment))
        if len(deployed) != 1:
            known = ", ".join(deployed) or "none"
            raise InvalidError(f"Say which project's costs: 'project=…'. Deployed to '{environment}': {known}.")
        project = deployed[0]
    authority = await authority_over(services, actor, project, environment)
    authority.decide(cost_request(actor, project=project, environment=environment)).require()
    return project


async def _authority(services: Services, actor: Actor, call: CallSummary) -> Authority | None:
    """Who decides about a project's calls; none where nobody can."""
    try:
        return await authority_over(services, actor, call.project, call.environment)
    except (ForbiddenError, NotFoundError):
        return None


def _may_read(authority: Authority | None, actor: Actor, call: CallSummary) -> bool:
    return authority is not None and authority.decide(_call_request(actor, call)).permit


def _call_request(actor: Actor, call: CallSummary) -> PolicyRequest:
    return call_request(
        actor,
        model=call.model or "none",
        project=call.project,
        team=call.team,
        workflow=call.workflow,
        asked_by=call.principal,
        environment=call.environment,
    )


def _days(services: Services, first: date | None, last: date | None, **facts: str) -> CostFilter:
    until = last or services.now().date()
    since = first or max(until, date.min + timedelta(days=DEFAULT_DAYS)) - timedelta(days=DEFAULT_DAYS)
    if not timedelta(0) <= until - since <= timedelta(days=MAX_DAYS):
        detail = f"'from' is before 'to', by at most {MAX_DAYS} days."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/from", code="limit")])
    named: Mapping[str, str] = facts
    return CostFilter(since, until, **named)


def _id(cursor: str) -> UUID:
    try:
        return UUID(cursor)
    except ValueError:
        raise InvalidError(_NO_CURSOR) from None


def _after(cursor: str) -> list[str]:
    try:
        found: object = orjson.loads(cursor)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, list):
        raise InvalidError(_NO_CURSOR)
    return [str(part) for part in cast("list[object]", found)]
