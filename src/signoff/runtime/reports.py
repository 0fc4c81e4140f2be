"""What a worker saw of an effect whose run it does not own any more: told to the run, so that it is never silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from signoff.core.clock import Clock
from signoff.core.errors import SignoffError, UnavailableError
from signoff.core.ids import uuid7
from signoff.foundation.database import Database
from signoff.runtime import client
from signoff.runtime.announcing import WAKE_CHANNEL
from signoff.runtime.effects import OBSERVED, SYSTEM

REPORT_TRIES = 300  # to tell what a fenced worker saw while the database is away: failovers take minutes
REPORT_PAUSE_S = 1.0
UNREPORTED = "what became of %s of run %s could not be reported: %s"
REPORTS_AT_ONCE = 2  # of a worker; each takes a connection of the pool that everything else needs too
LAST_REPORTS_S = 5.0  # that a worker which stops gives the reports under way

_log = logging.getLogger(__name__)


class Reporter:
    """Sends a worker's reports beside everything else, also when the session that they are of is lost."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._under_way: dict[asyncio.Task[None], tuple[str, UUID]] = {}
        self._room = asyncio.Semaphore(REPORTS_AT_ONCE)
        self._closed = False

    def report(self, session_id: UUID, org_id: UUID, run_id: UUID, path: str, data: Mapping[str, Any]) -> None:
        """Send it to the run's inbox, whoever has the run by then; tried for a while where the database is away."""
        if self._closed:
            _log.error(UNREPORTED, path, run_id, "the worker has stopped")
            return
        task = asyncio.create_task(self._send(session_id, org_id, run_id, path, data))
        self._under_way[task] = path, run_id
        task.add_done_callback(self._under_way.pop)

    async def finish(self) -> None:
        """Let the reports under way end: what they are sent by is closed next. They get `LAST_REPORTS_S`."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=LAST_REPORTS_S)

    def close(self) -> None:
        """Give up what is still under way, and say so: the effects that nobody hears of stay in doubt."""
        self._closed = True
        for task, (path, run_id) in self._under_way.items():
            if task.cancel():
                _log.error(UNREPORTED, path, run_id, "the worker stops")

    async def _send(self, session_id: UUID, org_id: UUID, run_id: UUID, path: str, data: Mapping[str, Any]) -> None:
        message_id = uuid7(time_ms=int(self._clock.now().timestamp() * 1000))
        tries = 0
        while True:
            tries += 1
            try:
                async with self._room, self._database.transaction(org_id) as connection:
                    await client.send_message(
                        connection,
                        org_id=org_id,
                        run_id=run_id,
                        path=path,
                        kind=OBSERVED,
                        data=data,
                        sent_by=f"{SYSTEM}worker-{session_id}",
                        now=self._clock.now(),
                        message_id=message_id,
                    )
                return await self._database.notify(WAKE_CHANNEL, str(run_id))
            except SignoffError as error:
                if tries == REPORT_TRIES or not isinstance(error, UnavailableError):
                    _log.error(UNREPORTED, path, run_id, error.detail)
                    return None
            except Exception:  # noqa: BLE001  (whatever it is, nobody else hears of it)
                _log.exception(UNREPORTED, path, run_id, "an error inside Signoff")
                return None
            await self._clock.sleep(REPORT_PAUSE_S)
