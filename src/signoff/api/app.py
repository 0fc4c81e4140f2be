"""The application: routes, errors, the boundary around them, and the document that describes it all."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse
from starlette.types import Receive, Scope, Send

from signoff.api import (
    artifacts,
    breakers,
    catalogue,
    environments,
    events,
    health,
    history,
    messages,
    metrics,
    model_calls,
    moving,
    operations,
    outcomes,
    problems,
    prompt_labels,
    prompts,
    queues,
    releases,
    reviews,
    runs,
    schedules,
)
from signoff.api.boundary import Boundary
from signoff.api.compatible import routes as served
from signoff.api.compatible.calls import Served
from signoff.api.compatible.keys import KnownKeys
from signoff.api.compatible.placing import Places
from signoff.api.reading import page_of
from signoff.api.services import Services
from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.telemetry.metrics import CallMetrics
from signoff.core.clock import Clock
from signoff.foundation.database import Database
from signoff.foundation.settings import ApiSettings

_ABOUT = """Start, watch and steer runs of governed workflows, and decide their reviews.

Every operation under `/v1` needs an API key (`Authorization: Bearer so_…`) and is decided by the project's policies.
Every error is a problem (RFC 9457, `application/problem+json`). Lists are pages: pass `next` as `cursor`."""


ROUTERS = (
    # The first that matches answers: these are asked most.
    served.router,
    runs.router,
    artifacts.router,
    operations.router,
    history.router,
    moving.router,
    reviews.router,
    catalogue.router,
    releases.router,
    environments.router,
    prompt_labels.router,
    prompts.router,
    outcomes.router,
    model_calls.router,
    schedules.router,
    queues.router,
    breakers.router,
    events.router,
    health.router,
    metrics.router,
)


def create_app(
    database: Database,
    settings: ApiSettings,
    clock: Clock,
    *,
    environment: str = "dev",
    project: str | None = None,
    gateway: Gateway | None = None,
    call_metrics: CallMetrics | None = None,
) -> FastAPI:
    """The API over an open database.

    Args:
        database: open for as long as the application is used.
        settings: limits of requests.
        clock: the injected clock.
        environment: what runs are started in, and whose policies decide beside those that runs pinned.
        project: what a start without a project means; where none, the only project that has the workflow.
        gateway: answers what the vendors' SDKs ask; closed by whoever made it. None serves no models.
        call_metrics: what the gateway counts its calls in, for `/metrics`.
    """
    app = _Api(
        title="Signoff",
        version=version("signoff"),
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = Services.over(database, clock, settings, environment=environment, project=project)
    app.state.call_metrics = call_metrics or CallMetrics()
    app.state.served = Served(Places(app.state.services), gateway, settings)
    for router in ROUTERS:
        app.include_router(router)
    app.add_api_route("/docs", _docs, include_in_schema=False, response_class=HTMLResponse)
    app.openapi = lambda: _openapi(app)
    problems.install(app)
    bounds: dict[str, Any] = {
        "database": database,
        "now": clock.now,
        "max_body_bytes": settings.max_body_bytes,
        "max_project_bytes": settings.max_project_bytes,
        "max_chat_bytes": settings.max_chat_bytes,
        "known_keys": KnownKeys(database, clock, fresh_s=settings.key_fresh_s),
    }
    app.add_middleware(Boundary, **bounds)
    app.served_boundary = Boundary(app.router, **bounds)
    return app


class _Api(FastAPI):
    """The application.

    Calls to models go from their boundary to their handler: the framework's own layers add nothing to them, and look at
    each message that is sent.

    Attributes:
        served_boundary: the boundary of calls to models, which answers every error itself.
    """

    served_boundary: Boundary | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self.served_boundary is not None and scope["type"] == "http" and served.handler_of(scope) is not None:
            scope["app"] = self
            await self.served_boundary(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def _docs(request: Request) -> HTMLResponse:
    # Self-contained: no script or style from elsewhere reads what a person does here.
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
    return HTMLResponse(page_of(request.app.openapi()), headers=headers)


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, summary=None
        )
        components = document["components"]["schemas"]
        for model in (messages.Problem, messages.ProblemItem):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schema.pop("$defs", None)
            components[model.__name__] = schema
        for name in ("HTTPValidationError", "ValidationError"):
            components.pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema
