"""Bring claimed runs into memory: journals, inboxes and pinned releases, a batch at a time."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from signoff.core.actors import Actor
from signoff.core.errors import NonDeterminismError, SignoffError
from signoff.foundation.database import Connection, Record
from signoff.runtime import store
from signoff.runtime.engine import Engine
from signoff.runtime.events import Event, decode, encode
from signoff.runtime.execution import RunExecution
from signoff.runtime.handlers import Message, ReleaseLoader, RunFacts
from signoff.runtime.journal import Entry, Row
from signoff.runtime.state import RunState
from signoff.runtime.views import view_of
from signoff.workflows.model import Workflow

STUCK_RETRY_S = 60.0  # a run whose definition cannot be had or does not fit is looked at again after this

Inbox = tuple[list[tuple[str, Message]], int]

_log = logging.getLogger(__name__)


class Loader:
    """Turns claimed rows into executions."""

    def __init__(self, engine: Engine, releases: ReleaseLoader) -> None:
        self._engine = engine
        self._releases = releases

    async def load(self, connection: Connection, claimed: Sequence[Record], session_id: UUID) -> list[RunExecution]:
        """The claimed runs in memory, their messages received. One that cannot be loaded is parked, with its reason."""
        if not claimed:
            return []
        run_ids = [row["run_id"] for row in claimed]
        journals: dict[UUID, RunState] = {run_id: RunState() for run_id in run_ids}
        for row in await connection.fetch(store.LOAD_JOURNALS, run_ids):
            event = Event(row["seq"], row["kind"], row["recorded_at"], decode(row["data"]))
            journals[row["run_id"]].apply(event)
        inboxes = await self.inboxes(connection, run_ids, session_id)
        loaded: list[RunExecution] = []
        for row in claimed:
            run_id, org_id = row["run_id"], row["org_id"]
            if run_id not in inboxes:
                continue  # taken from us in between; the next append will find out
            messages, gen = inboxes[run_id]
            try:
                execution = await self._execution(run_id, org_id, journals[run_id], gen)
            except SignoffError as error:
                self._park_stuck(run_id, org_id, journals[run_id], gen, error)
                continue
            execution.receive(messages, gen)
            loaded.append(execution)
        return loaded

    async def inboxes(self, connection: Connection, run_ids: Collection[UUID], session_id: UUID) -> dict[UUID, Inbox]:
        """Messages and generations of those runs that this session still owns."""
        found: dict[UUID, Inbox] = {}
        for row in await connection.fetch(store.LOAD_INBOX, session_id, list(run_ids)):
            messages, _ = found.setdefault(row["run_id"], ([], row["gen"]))
            if row["message_id"] is not None:
                message = Message(row["message_id"], row["kind"], row["sent_by"], decode(row["data"]))
                messages.append((row["path"], message))
        return found

    async def _execution(self, run_id: UUID, org_id: UUID, state: RunState, gen: int) -> RunExecution:
        started = state.started
        release: Any = await self._releases.load(org_id, started["release"])
        workflow = await self._releases.workflow(org_id, started["release"], started["workflow"])
        if workflow.digest != started["workflow_digest"]:
            raise NonDeterminismError(
                f"the run began with {started['workflow']} {started['workflow_digest'][:12]}, but its release now"
                f" compiles to {workflow.digest[:12]}; run it with the Signoff version that started it, or cancel it",
                recorded=started["workflow_digest"],
                compiled=workflow.digest,
            )
        assert state.started_at is not None
        return RunExecution(
            self._engine, _facts(run_id, org_id, state, workflow), workflow, release, state=state, gen=gen
        )

    def _park_stuck(self, run_id: UUID, org_id: UUID, state: RunState, gen: int, error: SignoffError) -> None:
        """The run cannot go on by itself: it is parked for a person, neither corrupted nor failed."""
        _log.error("run %s is stuck: %s", run_id, error.detail)
        now = self._engine.clock.now()
        entry = Entry(org_id, run_id, park=(gen, now + timedelta(seconds=STUCK_RETRY_S)))
        data = {"code": error.code, "detail": error.detail, **error.members}
        if state.stuck is None or state.stuck.get("detail") != error.detail:
            encoded = encode(data)
            row = Row(state.last_seq + 1, "run.stuck", now, encoded)
            state.apply(Event(row.seq, row.kind, now, decode(encoded)))
            entry.rows.append(row)
        entry.view = view_of(state, now)
        self._engine.journal.submit(entry)


def _facts(run_id: UUID, org_id: UUID, state: RunState, workflow: Workflow) -> RunFacts:
    started = state.started
    assert state.started_at is not None
    return RunFacts(
        run_id=run_id,
        org_id=org_id,
        workflow=workflow.name,
        version=workflow.version,
        release=started["release"],
        risk=workflow.risk,
        started_by=Actor.from_dict(org_id, started["started_by"]),
        started_at=state.started_at,
        cost_limit=workflow.limits.cost,
    )
