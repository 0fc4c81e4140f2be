"""The gateway of a process that serves models: with limits, breakers and records that all processes share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager

from signoff.capabilities.gateway import Gateway
from signoff.capabilities.gateway.asking import Caller, Recorder, Recorders
from signoff.capabilities.gateway.caching import KeptAnswers
from signoff.capabilities.gateway.limits import LimitLedger
from signoff.capabilities.gateway.records import CallRecorder
from signoff.capabilities.gateway.telemetry.metrics import CallMetrics
from signoff.capabilities.gateway.telemetry.tracing import CallTelemetry
from signoff.capabilities.validation.filters import Filter
from signoff.catalog.model_limits import ModelLimit
from signoff.catalog.releases import ReleaseCatalog
from signoff.core.clock import Clock
from signoff.foundation.database import Database
from signoff.foundation.settings import TelemetrySettings
from signoff.foundation.telemetry import exporting
from signoff.runtime.breakers import Breakers
from signoff.steps.filtering import DeploymentFilters
from signoff.steps.history import ModelHistory
from signoff.steps.rooms import RoomSettings, default_rooms


@asynccontextmanager
async def open_gateway(
    database: Database,
    *,
    clock: Clock,
    models_profile: str | None = None,
    environment: Mapping[str, str] | None = None,
    rooms: RoomSettings | None = None,
    metrics: CallMetrics | None = None,
    telemetry: TelemetrySettings | None = None,
    filters: Mapping[str, Filter] | None = None,
) -> AsyncGenerator[Gateway]:
    """A gateway while the block lasts; at its end what was set aside is settled, and records are written.

    Args:
        database: an open, migrated database.
        clock: the injected clock.
        models_profile: the profile of the projects' `models.yaml` to use.
        environment: where `${env.NAME}` of models is looked up; the process's where not given.
        rooms: limits of models' calls, breakers, records and kept answers.
        metrics: counts calls, for Prometheus.
        telemetry: where spans and measurements go; nowhere where not given.
        filters: content filters by name, instead of those that are installed.
    """
    rooms = rooms or default_rooms()
    releases = ReleaseCatalog(database)

    async def limits_of(caller: Caller) -> Sequence[ModelLimit]:
        return (await releases.load(caller.org_id, caller.release)).project.models.limits

    ledger = LimitLedger(database, limits_of, settings=rooms.limits)
    recorder = CallRecorder(database, clock, rooms.records)
    told: list[Recorder] = [recorder]
    if metrics is not None:
        metrics.dropped = lambda: recorder.dropped
        told.append(metrics)
    leaving = ExitStack()
    exported = leaving.enter_context(exporting(telemetry or TelemetrySettings()))
    if exported is not None:
        told.append(CallTelemetry(*exported))
    gateway = Gateway(
        clock=clock,
        environment=environment,
        profile=models_profile,
        limits=ledger,
        cache=KeptAnswers(database, clock, rooms.cache),
        recorder=Recorders(told),
        settings=rooms.resilience,
        filters=DeploymentFilters(filters),
        past=ModelHistory(database, clock),
        breakers=Breakers(database, clock=clock, settings=rooms.breakers, chance=random.random),
    )
    try:
        yield gateway
    finally:
        await gateway.aclose()
        await ledger.aclose()
        await recorder.aclose()
        # What waits for the collector goes now, off the loop: it may be slow.
        await asyncio.to_thread(leaving.close)
