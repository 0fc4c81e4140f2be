"""Put a worker together: every verb's handler, the capabilities behind them, policy beside them."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.retrieval import IndexFacts, build_index
from signoff.capabilities.retrieval import IndexSettings as RetrievalSettings
from signoff.capabilities.tools import ToolRunner
from signoff.capabilities.validation.filters import Filter
from signoff.catalog import Release
from signoff.catalog.authority import PolicyBook
from signoff.catalog.releases import ReleaseCatalog
from signoff.catalog.retention import retention_policies
from signoff.catalog.scheduling import Scheduler
from signoff.core.clock import Clock
from signoff.foundation.database import Database
from signoff.governance.policy import start_request
from signoff.governance.privacy.sealing import VaultKeys
from signoff.governance.privacy.vault import Vaults
from signoff.runtime import RuntimeSettings, Worker
from signoff.runtime.duties import Duty
from signoff.runtime.handlers import StepCall, StepHandler
from signoff.runtime.rehearsals import Rehearser
from signoff.runtime.retention import Retention, RetentionSettings
from signoff.steps.ai import AiStep
from signoff.steps.call import CallStep
from signoff.steps.check import CheckStep
from signoff.steps.decide import DecideStep
from signoff.steps.embedding import IndexEmbedder
from signoff.steps.emit import EmitStep
from signoff.steps.model import ModelStep
from signoff.steps.retrieve import RetrieveStep
from signoff.steps.review import ReviewStep
from signoff.steps.rooms import RoomSettings, default_rooms
from signoff.steps.served import open_gateway
from signoff.steps.services import Services, required
from signoff.steps.set import SetStep
from signoff.steps.tool import ToolStep
from signoff.steps.wait import WaitStep
from signoff.workflows.model import Workflow

CHUNK_MIN_SHARE = 4  # a chunk is closed at the next good place once it has a quarter of the most


@asynccontextmanager
async def open_worker(
    database: Database,
    *,
    clock: Clock,
    environment: str = "dev",
    settings: RuntimeSettings | None = None,
    rooms: RoomSettings | None = None,
    models_profile: str | None = None,
    gateway: Gateway | None = None,
    variables: Mapping[str, str] | None = None,
    archives: Path = Path(".signoff/archives"),
    filters: Mapping[str, Filter] | None = None,
) -> AsyncGenerator[Worker]:
    """A worker with every verb, its capabilities open while the block lasts.

    Args:
        database: an open, migrated database.
        clock: the injected clock.
        environment: whose current policies decide beside those that a run pinned.
        settings: the engine's limits; those of `rooms` where not given.
        rooms: the other rooms' limits.
        models_profile: the profile of the projects' `models.yaml` to use.
        gateway: another gateway, for tests; closed by whoever made it.
        variables: a deployment's own values of project settings (`SIGNOFF_SETTING_…`); the process's environment
            where not given.
        archives: what archives of finished runs are below.
        filters: on outgoing text, by name, instead of those that are installed.
    """
    rooms = rooms or default_rooms()
    settings = settings or rooms.engine
    releases = ReleaseCatalog(database)
    async with AsyncExitStack() as opened:
        used = gateway or await opened.enter_async_context(
            open_gateway(database, clock=clock, models_profile=models_profile, filters=filters, rooms=rooms)
        )
        tools = ToolRunner(clock=clock, settings=rooms.tools)
        opened.push_async_callback(tools.close)
        services = Services(
            database=database,
            releases=releases,
            policies=PolicyBook(database, releases, clock=clock, environment=environment),
            gateway=used,
            tools=tools,
            clock=clock,
            variables=dict(os.environ) if variables is None else variables,
            filters=filters,
            vaults=Vaults(VaultKeys.of(rooms.vault)),
        )
        yield Worker(
            database,
            handlers=_handlers(services, settings),
            pure=[SetStep(), CheckStep(), DecideStep()],
            releases=releases,
            clock=clock,
            settings=settings,
            breakers=rooms.breakers,
            duties=_duties(services, settings, rooms.retention, archives),
        )


def _duties(services: Services, settings: RuntimeSettings, kept: RetentionSettings, archives: Path) -> list[Duty]:
    """What a worker does beside runs."""
    database, releases = services.database, services.releases
    policies_of = partial(retention_policies, database, releases)
    return [
        Scheduler(database, releases, services.policies, services.clock).run,
        Retention(database, policies_of, clock=services.clock, archives=archives, settings=kept).duty,
        Rehearser(database, releases, settings).duty,
    ]


def _handlers(services: Services, settings: RuntimeSettings | None) -> list[StepHandler]:
    """One for each verb that acts."""
    permit = partial(_permit_call, services)
    return [
        AiStep(services),
        ModelStep(services),
        ToolStep(services),
        RetrieveStep(services),
        ReviewStep(services),
        EmitStep(services),
        WaitStep(services.database),
        CallStep(services.database, services.releases, permit=permit, settings=settings),
    ]


async def _permit_call(services: Services, call: StepCall, workflow: Workflow) -> None:
    """Policy's answer to `run.start` of a workflow that a run calls: asked for whoever started the run."""
    request = start_request(
        call.run.started_by,
        workflow=workflow.name,
        version=workflow.version,
        risk=workflow.risk,
        labels=call.labels,
        environment=services.environment,
    )
    required(call, await services.authority(call), request)


async def prepare_release(
    database: Database,
    org_id: UUID,
    release: Release,
    *,
    clock: Clock,
    models_profile: str | None = None,
    gateway: Gateway | None = None,
) -> list[IndexFacts]:
    """Build the release's indexes, each only where the same documents were not indexed before.

    Raises:
        DefinitionError: a document cannot be indexed.
        StepError: no local model embeds.
    """
    project = release.project
    used = gateway or Gateway(clock=clock, profile=models_profile)
    built: list[IndexFacts] = []
    try:
        embedding = project.models.route("embed", None, profile=models_profile)
        for name, documents in project.knowledge.items():
            size = project.index_settings[name].chunk_size
            built.append(
                await build_index(
                    lambda: database.transaction(org_id),
                    org_id,
                    release=release.digest,
                    name=name,
                    documents=list(documents),
                    embedder=IndexEmbedder(used, project.models, embedding[0].name) if embedding else None,
                    now=clock.now(),
                    settings=RetrievalSettings(
                        chunk_characters_min=max(1, size // CHUNK_MIN_SHARE), chunk_characters_max=size
                    ),
                )
            )
    finally:
        if gateway is None:
            await used.aclose()
    return built
