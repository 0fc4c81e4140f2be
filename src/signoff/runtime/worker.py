"""The worker process: holds a session, claims runs, keeps them going, gives them back.

Any number of workers on any number of machines share the work through PostgreSQL alone. A worker that loses its session
(declared dead, or the database went away) drops everything it holds in memory and begins a new session: what it knew is
in the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import Callable, Mapping, Sequence

from signoff.core.clock import Clock
from signoff.core.errors import UnavailableError
from signoff.foundation.database import Database
from signoff.runtime.breakers import BreakerSettings
from signoff.runtime.duties import Duty
from signoff.runtime.handlers import PureHandler, ReleaseLoader, StepHandler
from signoff.runtime.reports import Reporter
from signoff.runtime.session import Session
from signoff.runtime.settings import RuntimeSettings

_log = logging.getLogger(__name__)


class Worker:
    """Runs workflows until stopped.

    Args:
        database: where everything is.
        handlers: one per verb.
        pure: one per verb that only computes.
        releases: finds what runs pinned.
        clock: the injected clock.
        settings: the worker's limits.
        chance: random numbers from 0 to 1, for jitter.
        breakers: when tools and models that keep failing are left alone.
        duties: what else it does while it holds a session, such as firing schedules.
    """

    def __init__(
        self,
        database: Database,
        *,
        handlers: Sequence[StepHandler],
        pure: Sequence[PureHandler],
        releases: ReleaseLoader,
        clock: Clock,
        settings: RuntimeSettings | None = None,
        chance: Callable[[], float] = random.random,
        breakers: BreakerSettings | None = None,
        duties: Sequence[Duty] = (),
    ) -> None:
        self._database = database
        self._handlers = {handler.verb: handler for handler in handlers}
        self._pure = {handler.verb: handler for handler in pure}
        self._releases = releases
        self._clock = clock
        self._chance = chance
        self._breakers = breakers or BreakerSettings()
        self._settings = settings or RuntimeSettings()
        self._duties = duties
        self._reporter = Reporter(database, clock)
        self._stopping = asyncio.Event()
        self._session: Session | None = None
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Work until `stop`. A database that is away is waited for; nothing is lost meanwhile."""
        try:
            await self._sessions()
            await self._reporter.finish()
        finally:
            self._reporter.close()

    async def _sessions(self) -> None:
        """One after the other, each until it is lost."""
        said = ""
        while not self._stopping.is_set():
            began_s = self._clock.monotonic_s()
            session = self._session = Session(
                self._database,
                session_id=uuid.uuid4(),
                handlers=self._handlers,
                pure=self._pure,
                releases=self._releases,
                clock=self._clock,
                settings=self._settings,
                stopping=self._stopping,
                ready=self._ready,
                chance=self._chance,
                breakers=self._breakers,
                reporter=self._reporter,
                duties=self._duties,
            )
            try:
                await session.run()
            except UnavailableError as error:
                if error.detail != said or self._clock.monotonic_s() - began_s > self._settings.lease_s:
                    _log.warning("the worker starts a new session: %s", error.detail)  # once, however long that lasts
                said = error.detail
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.poll_s / 4):
                        await self._stopping.wait()

    def stop(self) -> None:
        """Claim nothing more, let steps under way finish for `drain_s`, give every run back, then return from `run`."""
        self._stopping.set()
        if self._session is not None:
            self._session.wake()

    async def ready(self) -> None:
        """Return once a session is open and runs are being claimed."""
        await self._ready.wait()

    @property
    def statistics(self) -> Mapping[str, int]:
        """Figures of the current session: resident runs, group commits and events written."""
        session = self._session
        return {} if session is None else session.statistics
