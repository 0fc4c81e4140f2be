"""Every error is a problem (RFC 9457), says what is wrong, and tells nothing of the inside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest
from support.api_cases import ASK, Api, deployed, serving, started

from signoff.foundation.database import Database
from signoff.foundation.settings import ApiSettings, DatabaseSettings


def _is_problem(response: httpx.Response, status: int) -> dict[str, object]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert {"type", "title", "detail", "instance", "request_id"} <= body.keys()
    assert body["request_id"] == response.headers["x-request-id"]
    return body


async def test_wrong_paths_and_methods(api: Api) -> None:
    async with api.client("clerk") as client:
        _is_problem(await client.get("/v2/runs"), 404)
        response = await client.delete("/v1/runs")
        _is_problem(response, 405)
        assert "allow" in response.headers


@pytest.mark.parametrize(
    "content",
    [
        b'{"workflow": "desk/ask", "input": ',
        b'{"workflow": "desk/ask", "input": {"text": "x", "cents": NaN}}',
        b'{"workflow": "desk/ask", "input": {"text": "\\ud800", "cents": 1}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
async def test_what_is_no_json_is_a_bad_request(api: Api, content: bytes) -> None:
    async with api.client("clerk") as client:
        response = await client.post("/v1/runs", content=content, headers={"Content-Type": "application/json"})
    _is_problem(response, 400)


async def test_deep_json_is_refused_and_harms_nothing(api: Api) -> None:
    deep = b'{"workflow": "desk/ask", "input": {"text": ' + b"[" * 500 + b"]" * 500 + b', "cents": 1}}'
    async with api.client("clerk") as client:
        response = await client.post("/v1/runs", content=deep, headers={"Content-Type": "application/json"})
        assert response.status_code in {400, 422}
        await started(client)


async def test_a_body_that_is_not_announced_as_json_is_not_guessed(api: Api) -> None:
    async with api.client("clerk") as client:
        response = await client.post("/v1/runs", content=b"workflow=x", headers={"Content-Type": "text/plain"})
    _is_problem(response, 422)


async def test_large_bodies_are_cut_off_whether_announced_or_not(database: Database) -> None:
    await deployed(database)
    async with serving(database, settings=ApiSettings(max_body_bytes=2048)) as api, api.client("clerk") as client:
        body = {**ASK, "input": {"text": "x" * 3000, "cents": 1}}
        _is_problem(await client.post("/v1/runs", json=body), 413)

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b" " * 1000

        _is_problem(await client.post("/v1/runs", content=pieces()), 413)
        await started(client)


async def test_an_input_beyond_the_engines_limit_is_too_large(api: Api) -> None:
    async with api.client("clerk") as client:
        response = await client.post("/v1/runs", json={**ASK, "input": {"text": "x" * 300_000, "cents": 1}})
    _is_problem(response, 413)


async def test_an_error_of_ours_is_logged_and_not_told(
    api: Api, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with api.client("clerk") as client:
        await started(client)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE run_view RENAME TO gone")
        with caplog.at_level(logging.ERROR, "signoff"):
            response = await client.get("/v1/runs", headers={"X-Request-Id": "my-request"})
    body = _is_problem(response, 500)
    assert body["request_id"] == "my-request"
    assert "run_view" not in response.text
    assert any("my-request" in record.getMessage() for record in caplog.records)


async def test_a_database_that_is_away_is_unavailable_and_the_process_still_alive(database_url: str) -> None:
    settings = DatabaseSettings(url=database_url, recovery_wait_s=0)
    database = await Database.open(settings)
    await deployed(database)
    async with serving(database) as api:
        key = await api.key("clerk")
        async with httpx.AsyncClient(base_url=api.url, headers={"Authorization": f"Bearer {key}"}) as client:
            assert (await client.get("/health/ready")).status_code == 200
            await database.close()
            response = await client.get("/v1/runs")
            _is_problem(response, 503)
            assert response.headers["retry-after"] == "1"
            _is_problem(await client.get("/health/ready"), 503)
            assert (await client.get("/health/live")).json() == {"status": "ok"}


async def test_a_request_id_that_could_forge_a_log_line_is_replaced(api: Api) -> None:
    async with api.client() as client:
        response = await client.get("/v1/me", headers={"X-Request-Id": "a b; forged"})
        kept = await client.get("/v1/me", headers={"X-Request-Id": "trace-1.2_3"})
    assert response.headers["x-request-id"] != "a b; forged"
    assert kept.headers["x-request-id"] == "trace-1.2_3"
    assert kept.headers["cache-control"] == "no-store"
    assert kept.headers["x-content-type-options"] == "nosniff"


async def test_a_request_under_way_is_finished_when_the_server_stops(database: Database, database_url: str) -> None:
    await deployed(database)
    with psycopg.connect(database_url) as blocker:
        async with serving(database) as api:
            client_of = api.client("clerk")
            client = await client_of.__aenter__()
            blocker.execute("LOCK TABLE run IN ACCESS EXCLUSIVE MODE")
            asking = asyncio.create_task(client.post("/v1/runs", json=ASK))
            await _until_blocked(database_url)
            asyncio.get_running_loop().call_later(0.3, blocker.rollback)
        response = await asking
        await client_of.__aexit__(None, None, None)
    assert response.status_code == 201


async def _until_blocked(database_url: str) -> None:
    """Return once a session of the database waits for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(database_url, autocommit=True) as connection:
        while True:
            row = connection.execute(waits).fetchone()
            if row is not None and row[0]:
                return
            await asyncio.sleep(0.01)
