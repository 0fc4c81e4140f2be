"""The worker's side: run the code of another release over a run's journal, and tell what differs.

The run is not claimed and nothing of it is written: it may go on meanwhile, on another worker or on this one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson

from signoff.core.errors import NonDeterminismError, SignoffError, UnavailableError
from signoff.foundation.database import Database
from signoff.runtime.client.comparing import Difference
from signoff.runtime.client.history import state_of, whole_events
from signoff.runtime.handlers import ReleaseLoader
from signoff.runtime.inputs import scope_of
from signoff.runtime.python_environment import EnvironmentMissingError
from signoff.runtime.python_replay import Replay, prepare
from signoff.runtime.rehearsals import store
from signoff.runtime.settings import RuntimeSettings
from signoff.runtime.state import RunState
from signoff.workflows.model import Workflow

IDLE_S = 0.5
"""Between looks for something to rehearse."""

TAKEN_S = 5.0
"""After which a rehearsal that a worker took counts as given up: it died, or the code takes too long."""

MOST_TAKES = 2
"""Workers that try one rehearsal: code that kills its worker kills no more than these."""

MOST_PASSED = 1000
"""Rehearsals that this worker cannot answer, as far as it remembers them."""

_log = logging.getLogger(__name__)


class Rehearser:
    """Answers what the control plane asks, one at a time, beside the runs of this worker.

    Args:
        database: an open, migrated database.
        releases: finds the other releases.
        settings: the worker's limits: how long code may run from one await to the next.
    """

    def __init__(self, database: Database, releases: ReleaseLoader, settings: RuntimeSettings | None = None) -> None:
        self._database = database
        self._releases = releases
        self._settings = settings or RuntimeSettings()
        self._passed: list[UUID] = []

    async def duty(self, admitted: Callable[[int], None]) -> None:
        """Answer until cancelled.

        Raises:
            UnavailableError: the database is away.
        """
        del admitted  # it starts no runs
        while True:
            if not await self.answer_one():
                await asyncio.sleep(IDLE_S)

    async def answer_one(self) -> bool:
        """Answer what waits longest; false where nothing waits that this worker could answer.

        Raises:
            UnavailableError: the database is away.
        """
        async with self._database.worker_connection() as connection:
            asked = await connection.fetchrow(store.TAKE, TAKEN_S, MOST_TAKES, self._passed)
        if asked is None:
            return False
        last_seq: int | None = None
        differences: list[Difference] | None = None
        problem: str | None = None
        try:
            async with self._database.transaction(asked["org_id"]) as connection:
                state = state_of(await whole_events(connection, asked["org_id"], asked["run_id"]))
            last_seq = state.last_seq
            workflow = await self._releases.workflow(asked["org_id"], asked["release"], asked["workflow"])
            differences = await self._differences(asked["run_id"], state, workflow)
        except EnvironmentMissingError as error:
            self._passed = [*self._passed[-MOST_PASSED:], asked["rehearsal_id"]]
            async with self._database.worker_connection() as connection:
                await connection.execute(store.LEAVE, asked["rehearsal_id"], error.detail)
            return True
        except UnavailableError:
            raise
        except SignoffError as error:
            problem = error.detail
        except Exception as error:  # noqa: BLE001  (whatever it is, the runs that the worker holds go on)
            _log.exception("a rehearsal of run %s broke", asked["run_id"])
            problem = f"an error inside Signoff ({type(error).__name__})"
        told = None if differences is None else orjson.dumps([difference.as_dict() for difference in differences])
        async with self._database.worker_connection() as connection:
            await connection.execute(store.TELL, asked["rehearsal_id"], last_seq, told, problem)
        return True

    async def _differences(self, run_id: UUID, state: RunState, workflow: Workflow) -> list[Difference]:
        if workflow.python is None or state.started_at is None:
            return []
        await prepare(workflow.python, state)
        scope = scope_of(workflow, state.started, state.ended)
        try:
            replay = Replay(
                workflow.python,
                state,
                run_id=run_id,
                labels=scope.labels("input", ()),
                outcomes=frozenset(outcome.name for outcome in workflow.outcomes),
                code_s=self._settings.code_s,
            )
        except NonDeterminismError as error:
            recorded: Any = error.members.get("recorded")
            now: Any = error.members.get("now")
            step = "" if recorded is None else str(recorded["step"])
            return [Difference(step, error.detail, begun=True, recorded=recorded, now=now)]
        replay.driver.close()
        return []
