"""What Prometheus reads of this process, and how queues and breakers stand now."""

from __future__ import annotations

from collections import Counter

from fastapi import APIRouter, Request, Response, Security

from signoff.api.problems import documented
from signoff.api.services import ActorOf, ServicesOf, api_key_scheme
from signoff.capabilities.gateway.telemetry.metrics import CONTENT_TYPE, CallMetrics, Gauge
from signoff.catalog.releases import environment_releases
from signoff.core.errors import ForbiddenError
from signoff.governance.policy.requests import cost_request
from signoff.runtime.breakers import list_breakers
from signoff.runtime.client.reads import queue_depth

MAX_BREAKERS = 1_000

router = APIRouter(dependencies=[Security(api_key_scheme)])


@router.get(
    "/metrics",
    operation_id="readMetrics",
    summary="Read metrics for Prometheus",
    tags=["model calls"],
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus's text format"}, **documented(403)},
)
async def metrics(request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """Calls to models that this process made since it began, of the deployed projects whose costs the key may see."""
    async with services.database.transaction(actor.org_id) as connection:
        deployed = await environment_releases(connection, actor.org_id, services.environment)
        breakers = await list_breakers(connection, actor.org_id, after=None, limit=MAX_BREAKERS)
        waiting, working = await queue_depth(connection, actor.org_id, now=services.now())
    shown: set[str] = set()
    for project, release in deployed.items():
        authority = (await services.access.jurisdiction(actor.org_id, release)).authority
        if authority.decide(cost_request(actor, project=project, environment=services.environment)).permit:
            shown.add(project)
    if not shown:
        raise ForbiddenError("No deployed project's policies permit `cost.read`, which metrics are shown by.")
    states = Counter((one.target.partition("/")[0], one.state) for one in breakers)
    gauges = [
        Gauge("signoff_runs_queued", "Runs that wait for a worker now.", [((), waiting)]),
        Gauge("signoff_runs_claimed", "Runs that workers hold.", [((), working)]),
        Gauge("signoff_breakers", "Circuit breakers by state.", list(states.items()), ("of", "state")),
    ]
    counted = request.app.state.call_metrics
    assert isinstance(counted, CallMetrics)
    return Response(counted.text(actor.org_id, shown, gauges), media_type=CONTENT_TYPE)
