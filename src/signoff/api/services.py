"""What the operations share: the way to the database, to releases and to policy."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from signoff.api.access import Access
from signoff.api.end_waiting import EndWaiters
from signoff.catalog import ReleaseCatalog
from signoff.catalog.authority import PolicyBook
from signoff.core.actors import Actor
from signoff.core.clock import Clock
from signoff.core.errors import UnauthenticatedError, UnavailableError
from signoff.foundation.database import Connection, Database
from signoff.foundation.settings import ApiSettings
from signoff.runtime.announcing import WAKE_CHANNEL
from signoff.runtime.client import RunSummary, read_run
from signoff.runtime.starting.backlog import Backlog

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """Everything an operation may use.

    Attributes:
        waiters: everybody who waits for a run's end.
        max_wait_s: how long one request may.
        rehearsal_s: how long one waits for a worker to run a release's code over a journal.
        project: what a start without a project means; none where the environment decides.
    """

    database: Database
    clock: Clock
    releases: ReleaseCatalog
    policies: PolicyBook
    access: Access
    waiters: EndWaiters
    max_wait_s: float
    rehearsal_s: float
    project: str | None = None
    backlog: Backlog = field(default_factory=lambda: Backlog(ApiSettings().max_queued_runs))

    @staticmethod
    def over(
        database: Database, clock: Clock, settings: ApiSettings, *, environment: str, project: str | None
    ) -> Services:
        """The services of one environment over a database."""
        releases = ReleaseCatalog(database)
        policies = PolicyBook(database, releases, clock=clock, environment=environment)
        return Services(
            database=database,
            clock=clock,
            releases=releases,
            policies=policies,
            access=Access(releases, policies),
            waiters=EndWaiters(database, most=settings.max_waiters),
            max_wait_s=settings.max_wait_s,
            rehearsal_s=settings.rehearsal_s,
            project=project,
            backlog=Backlog(settings.max_queued_runs),
        )

    @property
    def environment(self) -> str:
        """Which environment this server starts runs in, and whose policies decide beside those that runs pinned."""
        return self.policies.environment

    def now(self) -> datetime:
        """The injected clock's time."""
        return self.clock.now()

    @asynccontextmanager
    async def commanding(self, actor: Actor, run_id: UUID | None = None) -> AsyncGenerator[Connection]:
        """A transaction that gives workers something to do; they are woken once it has committed.

        Args:
            actor: whose organisation it is in.
            run_id: the run that got a message; none where a new run was started.
        """
        async with self.database.transaction(actor.org_id) as connection:
            yield connection
        await self.wake((run_id,))

    async def wake(self, run_ids: Sequence[UUID | None]) -> None:
        """Tell workers of runs that got messages (none: of new runs), once that has committed."""
        try:
            for run_id in run_ids:
                told = "" if run_id is None else str(run_id)
                await self.database.notify(WAKE_CHANNEL, told, others_later=True)
        except UnavailableError as error:
            # It is committed; workers also look by themselves, only a little later.
            _logger.warning("workers could not be woken: %s", error.detail)

    async def permitted_run(
        self,
        actor: Actor,
        action: str,
        run_id: UUID,
        *,
        signal: tuple[str, str] | None = None,
        step: str | None = None,
    ) -> RunSummary:
        """The run, where the actor may do that to it.

        Raises:
            NotFoundError: no such run in the actor's organisation.
            ForbiddenError: policy does not permit the action.
        """
        async with self.database.transaction(actor.org_id) as connection:
            run = await read_run(connection, actor.org_id, run_id)
        await self.access.require_run(actor, action, run, signal=signal, step=step)
        return run


def services_of(request: Request) -> Services:
    """The application's services."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def actor_of(request: Request) -> Actor:
    """Who asks, as the boundary found out.

    Raises:
        UnauthenticatedError: the boundary let a path through that it lists as open, and the operation is not.
    """
    actor = getattr(request.state, "actor", None)
    if not isinstance(actor, Actor):
        raise UnauthenticatedError("This operation needs an API key.")
    return actor


ServicesOf = Annotated[Services, Depends(services_of)]
ActorOf = Annotated[Actor, Depends(actor_of)]

api_key_scheme = HTTPBearer(
    scheme_name="ApiKey",
    bearerFormat="so_<id>_<secret>",
    description="An API key, made by `signoff keys create`.",
    auto_error=False,  # the boundary answers before any operation
)
