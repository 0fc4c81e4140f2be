"""A project whose models are scripted, on a real worker: what becomes of answers, and of texts that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from support.api_cases import FAST, deployed
from support.engine import ended, journal, until

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.provider import ProviderFactory
from signoff.capabilities.reviews import ReviewDecision, decide, list_reviews
from signoff.capabilities.validation.filters import Filter
from signoff.catalog.authority import PolicyBook
from signoff.catalog.models import ModelSpec
from signoff.catalog.releases import ReleaseCatalog
from signoff.catalog.starts import start_workflow
from signoff.core.actors import Actor
from signoff.core.clock import SystemClock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.runtime.client import JournalEvent
from signoff.steps import open_worker, prepare_release
from signoff.testing import ScriptedProvider

LEAD = Actor(DEFAULT_ORG_ID, "user", "ana", frozenset({"lead"}))
HEAD = """workflow: desk/reply
version: 1.0.0
about: Answers a message.
owner: team/desk
risk: low
"""
INPUT = """input:
  type: object
  properties: {text: {type: string, x-signoff: {trust: trusted}}}
  required: [text]
limits: {cost: 1 USD}
"""
POLICY = """
@id("all") permit (principal, action in [
  Action::"run.start", Action::"review.read", Action::"review.decide", Action::"model.call", Action::"tool.call",
  Action::"retrieve", Action::"event.emit"], resource);
"""
MAIL_PY = "def send(arguments):\n    return {'sent': arguments['body']}\n"
MAIL = """tool: mail.send
about: Sends a mail.
effect: write
trigger: any
python: "tools/mail.py:send"
input:
  type: object
  properties:
    to: {type: string, x-signoff: {sink: any}}
    body: {type: string, x-signoff: {sink: any}}
  required: [to, body]
output: {type: object, properties: {sent: {type: string}}, required: [sent]}
idempotency: {recovery: ask}
"""


def project(steps: str, *, head: str = HEAD, given: str = INPUT, **files: str) -> dict[str, str]:
    """A project with one workflow of these steps and outcomes; `prompts__sort_md` is `prompts/sort.md`."""
    named = {_path(name): text for name, text in files.items()}
    return {
        "signoff.yaml": "project: desk\nroles: {lead: Decides.}\n",
        "policies/all.cedar": POLICY,
        "workflows/reply.yaml": head + given + steps,
        **named,
    }


def _path(name: str) -> str:
    folder, _, rest = name.rpartition("__")
    stem, _, ending = rest.rpartition("_")
    return f"{folder.replace('__', '/')}/{stem}.{ending}" if folder else f"{stem}.{ending}"


@dataclass(frozen=True)
class Stage:
    """A worker with the project deployed."""

    database: Database
    policies: PolicyBook
    releases: ReleaseCatalog

    async def start(self, value: Mapping[str, Any] | None = None, workflow: str = "desk/reply") -> UUID:
        """A new run."""
        async with self.database.transaction(DEFAULT_ORG_ID) as connection:
            started = await start_workflow(
                connection,
                self.releases,
                self.policies,
                LEAD,
                project="desk",
                workflow=workflow,
                value={"text": "Hello."} if value is None else value,
                now=SystemClock().now(),
            )
        return started.run_id

    async def ended(self, run_id: UUID) -> tuple[str, str | None]:
        """Its status and outcome, once it has ended."""
        found = await ended(self.database, run_id, 60)
        return found.status, found.outcome

    async def decided(self, run_id: UUID, values: Mapping[str, Any] | None = None) -> None:
        """A person approves what the run waits for, perhaps with other values."""
        await until(self.database, run_id, lambda run: any(one["kind"] == "review" for one in run.waiting_for), 60)
        async with self.database.transaction(DEFAULT_ORG_ID) as connection:
            now = SystemClock().now()
            [review] = (await list_reviews(connection, DEFAULT_ORG_ID, now=now, run_id=run_id)).reviews
            authority = await self.policies.authority(
                DEFAULT_ORG_ID, await self.releases.load(DEFAULT_ORG_ID, review.release)
            )
            decision = ReviewDecision("approve", values or {}, digest=review.digest)
            await decide(connection, LEAD, review.review_id, decision, authorise=authority.decide, now=now)

    async def events(self, run_id: UUID) -> list[JournalEvent]:
        """Its journal."""
        return await journal(self.database, run_id)

    async def facts(self, run_id: UUID, name: str) -> list[Mapping[str, Any]]:
        """What its steps noted under a name."""
        events = await self.events(run_id)
        return [event.data["data"] for event in events if event.kind == "step.noted" and event.data["name"] == name]

    async def step(self, run_id: UUID, path: str) -> Mapping[str, Any]:
        """How a step ended."""
        events = await self.events(run_id)
        return next(event.data for event in events if event.kind == "step.ended" and event.data["step"] == path)


@asynccontextmanager
async def staged(
    database: Database,
    files: Mapping[str, str],
    models: Mapping[str, ScriptedProvider] | None = None,
    *,
    filters: Mapping[str, Filter] | None = None,
    factories: Mapping[str, ProviderFactory] | None = None,
    **options: Any,
) -> AsyncGenerator[Stage]:
    """The project deployed, and a worker for it while the block lasts.

    Args:
        models: who answers, by the name that `models.yaml` gives it.
        filters: instead of those that are installed.
        factories: of providers that are no scripts.
        options: of the gateway, such as `limits`.
    """
    scripts, clock = models or {}, SystemClock()

    def made(spec: ModelSpec) -> ScriptedProvider:
        return scripts[spec.name]

    kinds = {**(factories or {}), "scripted": made, "openai_compatible": made}
    gateway = Gateway(kinds, clock=clock, environment={}, **options)
    digest = await deployed(database, files)
    releases = ReleaseCatalog(database)
    release = await releases.load(DEFAULT_ORG_ID, digest)
    await prepare_release(database, DEFAULT_ORG_ID, release, clock=clock, gateway=gateway)
    policies = PolicyBook(database, releases, clock=clock, environment="dev")
    async with open_worker(
        database, clock=clock, settings=FAST, gateway=gateway, variables={}, filters=filters
    ) as worker:
        task = asyncio.create_task(worker.run())
        try:
            await asyncio.wait_for(worker.ready(), 60)
            yield Stage(database, policies, releases)
        finally:
            worker.stop()
            await asyncio.wait_for(task, 60)
            await gateway.aclose()
