"""The real API on loopback over a real database, with a small project that needs no model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from signoff.api import ApiServer, create_app
from signoff.capabilities.gateway import Gateway
from signoff.catalog import load_project_files, point_environment, register
from signoff.core.actors import Actor
from signoff.core.clock import Clock, SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.foundation.settings import ApiSettings
from signoff.governance.identity import create_key
from signoff.runtime import RuntimeSettings
from signoff.steps import open_worker

FILES: Mapping[str, str] = {
    "signoff.yaml": """
project: desk
roles:
  clerk: Starts and reads.
  lead: Decides, steers and reads.
  reader: Reads.
""",
    "schemas/ask.json": """
{"type": "object", "properties": {"text": {"type": "string"}, "cents": {"type": "integer", "minimum": 0}},
 "required": ["text", "cents"], "additionalProperties": false}
""",
    "workflows/ask.yaml": """
workflow: desk/ask
version: 1.0.0
about: A person looks at every one.
owner: team/desk
risk: low
input: schemas/ask.json
steps:
  decision:
    review: Pay this?
    by: role/lead
    propose: {cents: "${input.cents}"}
    editable: [cents]
    show: [input.text]
    expire: 1d
  told:
    requires: decision
    emit: desk.answered.v1
    payload: {cents: "${decision.cents}"}
outcome:
  answered: told.done
  rejected: decision.result in ['rejected', 'expired']
""",
    "workflows/count.yaml": """
workflow: desk/count
version: 1.0.0
about: Ends at once.
owner: team/desk
risk: low
input: schemas/ask.json
steps:
  sum:
    set: {cents: "${input.cents + 1}"}
outcome:
  counted: sum.done
""",
    "policies/desk.cedar": """
@id("clerks-start") permit (principal in Role::"clerk", action == Action::"run.start", resource);
@id("leads-decide") permit (principal in Role::"lead", action == Action::"review.decide", resource);
@id("leads-steer")
permit (
  principal in Role::"lead",
  action in [
    Action::"run.cancel", Action::"run.signal", Action::"run.terminate", Action::"run.pause", Action::"run.retry",
    Action::"run.skip", Action::"run.prioritise", Action::"run.migrate", Action::"run.fork"
  ],
  resource
);
@id("staff-reads")
permit (principal, action in [Action::"run.read", Action::"review.read"], resource)
when { principal in Role::"clerk" || principal in Role::"lead" || principal in Role::"reader" };
@id("tell") permit (principal, action == Action::"event.emit", resource);
""",
}

ASK: Mapping[str, Any] = {"workflow": "desk/ask", "input": {"text": "My jug broke.", "cents": 1250}}
COUNT: Mapping[str, Any] = {"workflow": "desk/count", "input": {"text": "one", "cents": 1}}
TESTER = Actor(DEFAULT_ORG_ID, "system", "tests")
FAST = RuntimeSettings(poll_s=0.1, park_after_s=0.1)


def write_project(directory: Path, files: Mapping[str, str] = FILES) -> Path:
    """The project as a directory."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return directory


async def deployed(
    database: Database, files: Mapping[str, str] = FILES, *, org_id: UUID = DEFAULT_ORG_ID, environment: str = "dev"
) -> str:
    """The project, registered and current in an environment."""
    project = load_project_files({name: text.encode() for name, text in files.items()})
    actor = Actor(org_id, "system", "tests")
    async with database.transaction(org_id) as connection:
        digest = await register(connection, org_id, project, actor)
        await point_environment(connection, org_id, project.name, environment, digest, actor=actor)
    return digest


def plain_client(url: str, headers: Mapping[str, str] | None = None, timeout_s: float = 60) -> httpx.AsyncClient:
    """A client for a server on loopback, which has no TLS: reading whom to trust would take longer than most tests."""
    return httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=timeout_s, verify=False)


@dataclass
class Api:
    """A running server, and clients for it."""

    database: Database
    url: str
    clock: Clock

    async def key(self, *roles: str, org_id: UUID = DEFAULT_ORG_ID, name: str = "tester", team: str = "") -> str:
        """A new API key's text."""
        async with self.database.transaction(org_id) as connection:
            creator = Actor(org_id, "system", "tests")
            _, text = await create_key(
                connection, org_id, name, roles, created_by=creator, now=self.clock.now(), kind="user", team=team
            )
        return text

    @asynccontextmanager
    async def client(self, *roles: str, **options: Any) -> AsyncGenerator[httpx.AsyncClient]:
        """A client with a key of those roles."""
        headers = {"Authorization": f"Bearer {await self.key(*roles, **options)}"}
        async with plain_client(self.url, headers=headers) as client:
            yield client


@asynccontextmanager
async def serving(
    database: Database,
    *,
    settings: ApiSettings | None = None,
    clock: Clock | None = None,
    project: str | None = None,
    gateway: Gateway | None = None,
) -> AsyncGenerator[Api]:
    """The API on a free port while the block lasts."""
    used = clock or SystemClock()
    server = ApiServer(
        create_app(database, settings or ApiSettings(), used, project=project, gateway=gateway), "127.0.0.1", 0
    )
    task = asyncio.create_task(server.serve())
    try:
        yield Api(database, server.url, used)
    finally:
        server.stop()
        await asyncio.wait_for(task, 20)


@asynccontextmanager
async def working(database: Database, clock: Clock | None = None) -> AsyncGenerator[None]:
    """A worker while the block lasts."""
    async with open_worker(database, clock=clock or SystemClock(), settings=FAST) as worker:
        task = asyncio.create_task(worker.run())
        try:
            await asyncio.wait_for(worker.ready(), 20)
            yield
        finally:
            worker.stop()
            await asyncio.wait_for(task, 30)


async def until(
    client: httpx.AsyncClient, path: str, reached: Callable[[dict[str, Any]], bool], timeout_s: float = 20
) -> dict[str, Any]:
    """What a path gives once it is as asked for."""
    deadline_s = asyncio.get_running_loop().time() + timeout_s
    while True:
        found = (await client.get(path)).json()
        if reached(found):
            return found
        assert asyncio.get_running_loop().time() < deadline_s, found
        await asyncio.sleep(0.02)


async def started(client: httpx.AsyncClient, body: Mapping[str, Any] = ASK, **headers: str) -> str:
    """The id of a run that was started now."""
    response = await client.post("/v1/runs", json=body, headers=headers)
    assert response.status_code == 201, response.text
    return response.json()["run_id"]
