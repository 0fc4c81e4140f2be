"""Who gets in: every route needs a key, shows nothing of another organisation, and does nothing without policy."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from support.api_cases import ASK, FILES, TESTER, Api, deployed, serving, started, until, working
from support.review_cases import another_organisation

from signoff.api import create_app
from signoff.api.boundary import OPEN_PATHS
from signoff.api.compatible.routes import endpoint_of
from signoff.core.clock import SystemClock
from signoff.core.ids import uuid7
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.foundation.settings import ApiSettings
from signoff.governance.identity import list_keys, revoke_key

BODIES: dict[str, Mapping[str, Any]] = {
    "/v1/runs/{run_id}/skip": {"step": "decision", "reason": "done by hand"},
    "/v1/runs/{run_id}/priority": {"priority": 1},
    "/v1/runs/{run_id}/migrate": {"release": "current"},
    "/v1/runs/migrate": {"release": "current"},
    "/v1/runs/bulk": {"operation": "cancel"},
    **{f"/v1/runs/{{run_id}}/{name}": {} for name in ("terminate", "pause", "resume", "retry", "fork")},
    "/v1/runs": ASK,
    "/v1/runs/{run_id}/cancel": {"reason": "why not"},
    "/v1/runs/{run_id}/signals": {"step": "decision", "data": {}},
    "/v1/schedules/{project}/{name}/pause": {"reason": "why not"},
    "/v1/schedules/{project}/{name}/backfill": {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"},
    "/v1/queues/{project}/{name}/pause": {"reason": "why not"},
    "/v1/projects/{project}/releases": {"files": {}},
    "/v1/projects/{project}/environments/{environment}/plan": {"files": {}},
    "/v1/projects/{project}/environments/{environment}/deploy": {"release": "0" * 64},
    "/v1/projects/{project}/environments/{environment}/rollback": {},
    "/v1/projects/{project}/prompts/{prompt:path}/versions/{version}/scores": {
        "metric": "accuracy",
        "value": 1,
        "n": 1,
        "dataset": "d",
        "model": "m",
    },
    "/v1/projects/{project}/prompts/{prompt:path}/labels/{label}": {"version": "1.0.0"},
    "/v1/reviews/{review_id}/decision": {"decision": "approve", "digest": "0" * 64},
}


def _routes(database: Database) -> list[tuple[str, str]]:
    """Every method and path that the application knows, whoever added it."""
    found: list[tuple[str, str]] = []
    pending = list(create_app(database, ApiSettings(), SystemClock()).routes)
    while pending:
        route = pending.pop()
        original = getattr(route, "original_router", None)
        if original is not None:
            pending += original.routes
        elif isinstance(route, APIRoute):
            found += [(method, route.path) for method in route.methods or ()]
        else:
            path = getattr(route, "path", None)
            assert path is not None, route
            found += [(method, path) for method in getattr(route, "methods", None) or {"GET"}]
    return sorted(set(found))


def _filled(path: str) -> str:
    return path.replace("{run_id}", str(uuid7())).replace("{review_id}", str(uuid.uuid4()))


async def _ask(client: httpx.AsyncClient, method: str, path: str, filled: str | None = None) -> httpx.Response:
    return await client.request(method, filled or _filled(path), json=BODIES.get(path))


async def test_every_route_but_the_open_ones_needs_a_key(api: Api, database: Database) -> None:
    routes = _routes(database)
    assert len(routes) >= 15
    assert {"/v1/runs", "/v1/reviews/{review_id}/decision", "/v1/me"} <= {path for _, path in routes}
    async with httpx.AsyncClient(base_url=api.url, timeout=60) as stranger:
        for method, path in routes:
            response = await _ask(stranger, method, path)
            assert (response.status_code == 401) == (path not in OPEN_PATHS), (method, path, response.status_code)
            if response.status_code == 401:
                served = endpoint_of(path) is not None
                form = "application/json" if served else "application/problem+json"
                assert response.headers["content-type"] == form, (method, path)
                assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_path_that_is_not_there_needs_a_key_too(api: Api) -> None:
    async with httpx.AsyncClient(base_url=api.url, timeout=60) as stranger:
        assert (await stranger.get("/v1/secrets")).status_code == 401
        assert (await stranger.get("/docs/")).status_code == 401
        assert (await stranger.get("//docs")).status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer nonsense", "Basic so_x", f"Bearer so_{'0' * 16}_{'0' * 64}", "Bearer so_\u00e9"],
)
async def test_what_is_no_key_opens_nothing(api: Api, header: str) -> None:
    async with httpx.AsyncClient(base_url=api.url, timeout=60) as stranger:
        response = await stranger.get("/v1/me", headers=[(b"Authorization", header.encode("latin-1"))])
    assert response.status_code == 401


async def test_a_revoked_key_opens_nothing_from_then_on(api: Api, database: Database) -> None:
    async with api.client("clerk") as client:
        assert (await client.get("/v1/me")).status_code == 200
        async with database.transaction(DEFAULT_ORG_ID) as connection:
            (key,) = await list_keys(connection, DEFAULT_ORG_ID)
            await revoke_key(connection, DEFAULT_ORG_ID, key.key_id, revoked_by=TESTER, now=SystemClock().now())
        assert (await client.get("/v1/me")).status_code == 401


async def test_another_organisation_sees_and_reaches_nothing(api: Api, database: Database, database_url: str) -> None:
    elsewhere = another_organisation(database_url)
    await deployed(database, org_id=elsewhere)
    async with (
        working(database),
        api.client("clerk", "lead") as ours,
        api.client("clerk", "lead", org_id=elsewhere) as theirs,
    ):
        run_id = await started(ours)
        reviews = await until(ours, "/v1/reviews", lambda page: bool(page["items"]))
        review_id = reviews["items"][0]["review_id"]
        for method, path in _routes(database):
            filled = path.replace("{run_id}", run_id).replace("{review_id}", review_id).replace("{digest}", "0" * 64)
            filled = filled.replace("{call_id}", run_id).replace("{label}", "candidate")
            filled += f"?other={run_id}&before=1.0.0&after=1.0.1" if path.endswith("/difference") else ""
            if path in OPEN_PATHS or method == "HEAD":
                continue
            response = await _ask(theirs, method, path, filled)
            if "{" in path:
                assert response.status_code == 404, (method, path, response.text)
            elif path == "/v1/models":
                assert response.json()["data"] == []
            elif path in {"/metrics", "/v1/model-costs", "/v1/model-costs/differences", "/v1/model-limits"}:
                assert response.status_code == 403, response.text  # no policy of theirs shows anybody what is spent
            elif method == "GET" and path not in {"/v1/me", "/v1/workflows"}:
                assert response.json()["items"] == [], path
                assert run_id not in response.text, path
        assert (await ours.get(f"/v1/runs/{run_id}")).json()["status"] in {"waiting", "running"}


async def test_an_idempotency_key_of_another_organisation_is_another_key(
    api: Api, database: Database, database_url: str
) -> None:
    elsewhere = another_organisation(database_url)
    await deployed(database, org_id=elsewhere)
    async with api.client("clerk") as ours, api.client("clerk", org_id=elsewhere) as theirs:
        headers = {"Idempotency-Key": "same"}
        one = await started(ours, ASK, **headers)
        other = await started(theirs, ASK, **headers)
    assert one != other


async def test_what_no_policy_permits_is_forbidden_and_lists_show_nothing_of_it(api: Api) -> None:
    async with api.client("clerk") as clerk, api.client() as nobody:
        run_id = await started(clerk)
        assert (await nobody.post("/v1/runs", json=ASK)).status_code == 403
        for path in (f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/journal"):
            response = await nobody.get(path)
            assert response.status_code == 403
            assert "run.read" in response.json()["detail"]
        assert (await nobody.get("/v1/runs")).json() == {"items": [], "next": None}
        assert (await nobody.get("/v1/workflows")).json()["items"] == []
        assert (await clerk.post(f"/v1/runs/{run_id}/cancel", json={})).status_code == 403
        assert (await clerk.post(f"/v1/runs/{run_id}/signals", json={"step": "x"})).status_code == 403


async def test_a_right_that_todays_policy_revokes_does_not_live_on_in_old_runs(database: Database) -> None:
    # Each its own server: a policy book takes what is current as known for two seconds.
    await deployed(database)
    async with serving(database) as api, api.client("clerk", "reader") as client:
        run_id = await started(client)
        assert (await client.get(f"/v1/runs/{run_id}")).status_code == 200
    stricter = FILES["policies/desk.cedar"].replace('Action::"run.read", ', "")
    await deployed(database, {**FILES, "policies/desk.cedar": stricter})
    async with serving(database) as api, api.client("clerk", "reader") as client:
        assert (await client.get(f"/v1/runs/{run_id}")).status_code == 403
        assert (await client.get("/v1/runs")).json()["items"] == []
