"""Bring claimed runs into memory: journals, inboxes and pinned releases, a batch at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from signoff.core.actors import Actor, ActorKind
from signoff.core.errors import NonDeterminismError, SignoffError, UnavailableError
from signoff.core.money import Cost
from signoff.foundation.database import Connection, Record
from signoff.runtime import store
from signoff.runtime.artifacts import MARK, fetch, find_references, put_back
from signoff.runtime.calls.children import may_call
from signoff.runtime.calls.telling import tell_parent
from signoff.runtime.claims import store as claims_store
from signoff.runtime.codec import CodecError, DamagedError
from signoff.runtime.crashes import check_crashes
from signoff.runtime.engine import Engine
from signoff.runtime.events import Event, EventKind, decode, encode, moment, require_next, unreadable
from signoff.runtime.execution import RunExecution, received
from signoff.runtime.handlers import Message, ReleaseLoader, RunFacts
from signoff.runtime.journal import Entry, Row
from signoff.runtime.operating import shown_release, taken_back
from signoff.runtime.python_replay import prepare
from signoff.runtime.state import RunState
from signoff.runtime.stuck_runs import answer_stuck
from signoff.runtime.views import stuck_view, view_of
from signoff.workflows.model import Workflow
from signoff.workflows.python.errors import CommandMismatchError, ForeignAwaitError, NonResponsiveError

KNOWN_ACTORS = 1_024
"""How many of those who started runs are kept: each person or schedule starts many."""

STUCK_RETRY_S = 60.0  # a run whose definition cannot be had or does not fit is looked at again after this
HANGING_RETRY_S = 21_600.0  # one whose code holds the worker up: six hours, as looking holds it up again

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
        journals: dict[UUID, list[Record]] = {row["run_id"]: [] for row in claimed}
        messages: list[Record] = []
        for row in await connection.fetch(claims_store.LOAD, session_id, store.written(journals)):
            (messages if row["seq"] is None else journals[row["run_id"]]).append(row)
        inboxes = _inboxes(messages)
        loaded: list[RunExecution] = []
        known: dict[tuple[UUID, str, str], tuple[Any, Workflow]] = {}
        for row in claimed:
            run_id = row["run_id"]
            if run_id not in inboxes:
                continue  # taken from us in between; the next append will find out
            inbox, state = inboxes[run_id], RunState()
            try:
                events, size_bytes, laden = _decoded(journals[run_id])
                held = await self._put_back(connection, row["org_id"], run_id, events) if laden else 0
                _replay(state, events)
                execution = await self._execution(run_id, row["org_id"], state, inbox[1], known)
                execution.journal_bytes = size_bytes + held
                execution.artifact_bytes = held
                execution.began_at, execution.queued = row["began_at"], row["queue"] is not None
                if row.get("crashes"):
                    limit = self._engine.settings.crash_limit
                    await check_crashes(connection, run_id, state, inbox[0], limit=limit)
                execution.receive(*inbox)
            except UnavailableError:
                raise
            except Exception as error:  # noqa: BLE001  (whatever it is, it concerns this run alone)
                whole = 0 < state.last_seq == len(journals[run_id])
                stuck = _Stuck(run_id, row["org_id"], state, inbox, whole=whole)
                if not await self._set_aside(stuck, error):
                    await connection.execute(store.RELEASE_RUNS, session_id, [run_id], self._engine.clock.now())
                continue
            loaded.append(execution)
        return loaded

    async def _put_back(self, connection: Connection, org_id: UUID, run_id: UUID, events: list[Event]) -> int:
        """Put the values in place that events name by reference; returns their size in bytes."""
        laden = [place for place, event in enumerate(events) if MARK in event.data]
        references = [reference for place in laden for reference in find_references(events[place].data)]
        most = self._engine.settings.artifact_run_bytes
        values, total = await fetch(connection, org_id, run_id, references, most_bytes=most)
        for place in laden:
            events[place] = replace(events[place], data=put_back(events[place].data, values))
        return total

    async def inboxes(self, connection: Connection, run_ids: Collection[UUID], session_id: UUID) -> dict[UUID, Inbox]:
        """Messages and generations of those runs that this session still owns."""
        return _inboxes(await connection.fetch(claims_store.LOAD_INBOX, session_id, list(run_ids)))

    async def _execution(
        self,
        run_id: UUID,
        org_id: UUID,
        state: RunState,
        gen: int,
        known: dict[tuple[UUID, str, str], tuple[Any, Workflow]],
    ) -> RunExecution:
        """The run, of what the batch has found already or now."""
        started = state.started
        key = (org_id, started["release"], started["workflow"])
        if key not in known:
            release: Any = await self._releases.load(org_id, started["release"])
            known[key] = release, await self._releases.workflow(*key)
        release, workflow = known[key]
        if workflow.digest != started["workflow_digest"]:
            raise NonDeterminismError(
                f"the run began with {started['workflow']} {started['workflow_digest'][:12]}, but its release now"
                f" compiles to {workflow.digest[:12]}",
                recorded=started["workflow_digest"],
                compiled=workflow.digest,
            )
        assert state.started_at is not None
        if workflow.python is not None:
            await prepare(workflow.python, state)
        return RunExecution(
            self._engine, _facts(run_id, org_id, state, workflow), workflow, release, state=state, gen=gen
        )

    async def _set_aside(self, stuck: _Stuck, error: Exception) -> bool:
        """The run cannot go on by itself: it is parked for a person, neither corrupted nor failed; or cancelled by one.

        False where a message came in between: it has to be looked at again.
        """
        known = isinstance(error, SignoffError)
        _log.error("run %s is stuck: %s", stuck.run_id, error, exc_info=None if known else error)
        data: dict[str, Any] = {"code": "internal", "detail": f"{type(error).__name__} while it was loaded"}
        if isinstance(error, SignoffError):
            data = {"code": error.code, "detail": error.detail, **error.members}
        state, gen, now = stuck.state, stuck.inbox[1], self._engine.clock.now()
        entry = Entry(stuck.org_id, stuck.run_id)
        detail = str(data["detail"])
        moved = stuck.whole and (_moved_back(stuck, entry, error, now) or self._answer_stuck(stuck, entry, detail, now))
        if state.end is not None:
            entry.finish_gen, entry.view = gen, view_of(state, now)
            entry.solo = tell_parent(stuck.org_id, stuck.run_id, state, now)
        elif moved:
            entry.park, entry.view = (gen, now), view_of(state, now)
        else:
            if stuck.whole and (state.stuck is None or state.stuck.get("detail") != data["detail"]):
                stuck.add(entry, "run.stuck", data, now)
            pause_s = HANGING_RETRY_S if isinstance(error, NonResponsiveError) else STUCK_RETRY_S
            entry.park, entry.view = (gen, now + timedelta(seconds=pause_s)), stuck_view(state, now, data)
        entry.written = asyncio.get_running_loop().create_future()
        self._engine.journal.submit(entry)
        taken = await entry.written
        if taken:
            self._engine.gone(stuck.run_id, state.end is not None)
        return taken

    def _answer_stuck(self, stuck: _Stuck, entry: Entry, detail: str, now: datetime) -> bool:
        """Take what people can do to it all the same; true where it was moved to another release."""
        moved, done = False, set[UUID]()
        # Looked through twice: what came before a word that ends the run is late once that is taken.
        for path, message in (*stuck.inbox[0], *stuck.inbox[0]):
            if message.message_id in done:
                continue
            if message.message_id in stuck.state.messages:
                done.add(message.message_id)
                entry.drained.append(message.message_id)
                continue
            found = answer_stuck(stuck.state, path, message, detail)
            if found is None:
                continue
            answer, events = found
            done.add(message.message_id)
            entry.drained.append(message.message_id)
            stuck.add(entry, "message.received", received(path, message, answer.disposition, answer.reason), now)
            for kind, data in events:
                stuck.add(entry, kind, data, now)
                if kind == "run.migrated":
                    moved = True
                    entry.solo = shown_release(stuck.run_id, data)
        return moved


@dataclass(frozen=True, slots=True)
class _Stuck:
    """A run that cannot be brought to life. `whole`: its journal could be folded to its end, so it can be added to."""

    run_id: UUID
    org_id: UUID
    state: RunState
    inbox: Inbox
    whole: bool

    def add(self, entry: Entry, kind: EventKind, data: Mapping[str, Any], now: datetime) -> None:
        encoded = encode(data)
        row = Row(self.state.last_seq + 1, kind, now, encoded)
        self.state.apply(Event(row.seq, kind, now, decode(encoded)))
        entry.rows.append(row)


def _moved_back(stuck: _Stuck, entry: Entry, error: Exception, now: datetime) -> bool:
    """Whether the move that has just brought the run to this code was taken back, as the code asks for something else.

    What YAML would do is compared before a move; of code it is known once a worker has run it over the journal.
    """
    if not isinstance(error, (CommandMismatchError, ForeignAwaitError, NonResponsiveError)):
        return False
    recorded: Mapping[str, Any] = error.members.get("recorded") or {}
    data = taken_back(stuck.state, error.detail, str(recorded.get("step", "")))
    if data is None:
        return False
    stuck.add(entry, "run.migrated", data, now)
    entry.solo = shown_release(stuck.run_id, data)
    return True


def _inboxes(rows: Sequence[Record]) -> dict[UUID, Inbox]:
    found: dict[UUID, Inbox] = {}
    for row in rows:
        messages, _ = found.setdefault(row["run_id"], ([], row["gen"]))
        if row["message_id"] is not None:
            message = Message(row["message_id"], row["kind"], row["sent_by"], decode(row["data"]))
            messages.append((row["path"], message))
    return found


def _decoded(journal: Sequence[Record]) -> tuple[list[Event], int, bool]:
    """The events, their size in bytes, and whether any of them names values by reference."""
    events: list[Event] = []
    size_bytes, laden = 0, False
    for row in journal:
        encoded = row["data"]
        try:
            data = decode(encoded)
        except CodecError as error:
            raise unreadable(row["seq"], error) from error
        size_bytes += len(encoded)
        laden = laden or MARK in data
        events.append(Event(row["seq"], row["kind"], row["recorded_at"], data))
    return events, size_bytes, laden


def _replay(state: RunState, events: Sequence[Event]) -> None:
    for event in events:
        require_next(event.seq, state.last_seq)
        state.apply(event)
    if state.started_at is None:
        raise DamagedError("the journal does not begin with the start of a run")


def _facts(run_id: UUID, org_id: UUID, state: RunState, workflow: Workflow) -> RunFacts:
    started = state.started
    assert state.started_at is not None
    parent: Mapping[str, Any] | None = started.get("parent")
    continued = started.get("continued_from")
    # By place, in the order of the fields: by name they take twice as long.
    return RunFacts(
        run_id,
        org_id,
        workflow.name,
        workflow.version,
        started["release"],
        workflow.risk,
        _actor(org_id, started["started_by"]),
        state.started_at,
        _cost_limit(workflow, parent),
        None if continued is None else UUID(continued["chain_id"]),
        None if continued is None else moment(continued["chain_started_at"]),
        0 if parent is None else parent["depth"],
        started.get("team", ""),
        _ceilings(run_id, workflow, started) if parent is not None or workflow.limits.cost is not None else (),
        bool(started.get("dry")),
    )


def _actor(org_id: UUID, data: Mapping[str, Any]) -> Actor:
    return _known_actor(org_id, data["kind"], data["id"], tuple(data.get("roles", ())), data.get("team", ""))


@lru_cache(maxsize=KNOWN_ACTORS)
def _known_actor(org_id: UUID, kind: ActorKind, name: str, roles: tuple[str, ...], team: str) -> Actor:
    return Actor(org_id, kind, name, frozenset(roles), team)


def _ceilings(run_id: UUID, workflow: Workflow, started: Mapping[str, Any]) -> tuple[tuple[UUID, Cost], ...]:
    """The limits of cost that it shares with other runs. One that continues another goes on under that one's."""
    parent: Mapping[str, Any] = started.get("parent") or {}
    ceilings: Sequence[tuple[str, int]] = parent.get("ceilings", ())
    found = [(UUID(whose), Cost(most)) for whose, most in ceilings]
    if workflow.limits.cost is not None and may_call(workflow):
        before = started.get("continued_from")
        found.append((run_id if before is None else UUID(before["chain_id"]), workflow.limits.cost))
    return tuple(found)


def _cost_limit(workflow: Workflow, parent: Mapping[str, Any] | None) -> Cost | None:
    """Its own limit, and what was left of its caller's when that called it."""
    if parent is None:
        return workflow.limits.cost
    limits = [] if workflow.limits.cost is None else [workflow.limits.cost]
    if "cost_left_micro_usd" in parent:
        limits.append(Cost(parent["cost_left_micro_usd"]))
    return min(limits, default=None)
