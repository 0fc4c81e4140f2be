"""Why a run is where it is, in plain words: what it waits for, who can end that, and with which command.

A pure function of what the database says of the run; the words are for people who have never read a journal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from signoff.foundation.database import Connection
from signoff.runtime.client import store
from signoff.runtime.client.beginning import Beginning
from signoff.runtime.client.explaining_effects import effect_facts
from signoff.runtime.client.explaining_starts import (
    COUNTED,
    Debounced,
    Standing,
    Use,
    debounced_text,
    gate_text,
    span,
    worker_text,
)
from signoff.runtime.client.model import RunSummary
from signoff.runtime.client.origins import origin_of, origin_text
from signoff.runtime.queues import Queue
from signoff.runtime.state import RunState, StepRecord


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run that has not ended is in the queue.

    Attributes:
        host: of the worker that has it; none where no worker has.
        process_id: of that worker.
        due_at: when it is looked at again.
        priority: 1 is first.
        queue: the queue with limits that it belongs to, if any.
        gate: what it waits for there: `key`, `queue` or `back`.
        team: whose it is.
        standing: how that queue stands for it, where it waits at its gate.
        ahead: runs of its key or team before it at the same gate, or before it for a worker; counted up to `COUNTED`.
        not_before: when a delayed run may begin.
        workers: how many workers are alive.
        messages: how many messages wait for it.
    """

    due_at: datetime
    priority: int
    workers: int
    messages: int = 0
    host: str | None = None
    process_id: int | None = None
    queue: str | None = None
    queue_key: str | None = None
    gate: str | None = None
    team: str = ""
    standing: Standing | None = None
    ahead: int = 0
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that a run waits for, or that became of it.

    Attributes:
        text: what, in words.
        step: of which step; empty for the run itself.
        since: since when.
        until: when it ends by itself; none where only somebody can end it.
        who: who can end it.
        commands: how, exactly.
        facts: of an effect that a person has to look up or undo by hand: what is known of it, by name.
    """

    text: str
    step: str = ""
    since: datetime | None = None
    until: datetime | None = None
    who: str = ""
    commands: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a run is where it is: one sentence, and what is behind it."""

    run_id: UUID
    status: str
    summary: str
    reasons: tuple[Reason, ...] = ()


async def read_place(connection: Connection, org_id: UUID, run_id: UUID) -> Place | None:
    """Where a run is in the queue; none where it has ended."""
    row = await connection.fetchrow(store.PLACE, org_id, run_id, COUNTED)
    if row is None:
        return None
    place = Place(**dict(row.items()))
    if place.gate is None or place.queue is None:
        return place
    standing = await connection.fetchrow(store.STANDING, org_id, place.queue, COUNTED)
    if standing is None:
        return place
    uses = await connection.fetch(store.USES, org_id, place.queue, place.team, place.queue_key or "")
    use = {row["scope"]: Use(row["slots"], row["tokens"], row["filled_at"]) for row in uses}
    found = Standing(
        Queue.from_limits(place.queue, orjson.loads(standing["limits"])),
        whole=use["queue"],
        team=use["team"],
        key=use["key"],
        teams=standing["teams"],
        paused_by=standing["paused_by"],
        paused_reason=standing["paused_reason"],
    )
    return replace(place, standing=found)


async def read_debounced(connection: Connection, org_id: UUID, run_id: UUID) -> tuple[Debounced, Beginning] | None:
    """The start that waits until its key is quiet and will be that run, with what it begins with."""
    row = await connection.fetchrow(store.DEBOUNCED, org_id, run_id)
    if row is None:
        return None
    told = Debounced(row["key"], row["first_at"], row["due_at"], row["starts"])
    return told, Beginning.read(row["request"], run_id, org_id)


def explain_debounced(run_id: UUID, found: Debounced, now: datetime) -> Explanation:
    """Why a debounced start is no run yet."""
    reason = Reason(debounced_text(found, now), since=found.first_at, until=found.due_at, who="the moment, by itself")
    return Explanation(run_id, "queued", "It waits until its key is quiet.", (reason,))


def explain(run: RunSummary, state: RunState, place: Place | None, now: datetime) -> Explanation:
    """Why the run is where it is.

    Args:
        run: as lists show it.
        state: as its journal describes it.
        place: in the queue; none where it has ended.
        now: the moment of asking.
    """
    teller = _Teller(run.run_id, state, place, now)
    if state.end is not None and place is None:
        summary, reasons = teller.ended(state.end)
    elif state.operated.paused is not None:
        summary, reasons = teller.paused(state.operated.paused)
    elif run.status == "stuck":
        summary, reasons = teller.stuck(run.error or {})
    elif place is not None and place.host is None and state.last_seq <= 1:
        summary, reasons = teller.queued(place)
    elif state.end is not None:
        summary, reasons = "It ended, and is asked to go on.", ()
    elif state.unwinding is not None:
        summary, reasons = teller.unwinding(state.unwinding)
    else:
        summary, reasons = teller.under_way()
    return Explanation(run.run_id, run.status, summary, (*reasons, *teller.asked(), *teller.came_from()))


class _Teller:
    def __init__(self, run_id: UUID, state: RunState, place: Place | None, now: datetime) -> None:
        self._run = str(run_id)
        self._state = state
        self._place = place
        self._now = now

    def _command(self, *words: str) -> str:
        return " ".join(("signoff", "runs", words[0], self._run, *words[1:]))

    def _ago(self, moment: datetime | None) -> str:
        return "" if moment is None else f"{span((self._now - moment).total_seconds())} ago"

    def _in(self, moment: datetime) -> str:
        left_s = (moment - self._now).total_seconds()
        return f"in {span(left_s)}" if left_s > 0 else "now"

    # --- by status ---------------------------------------------------------------------------------------------

    def ended(self, end: Mapping[str, Any]) -> tuple[str, tuple[Reason, ...]]:
        status = end["status"]
        error: Mapping[str, Any] = end.get("error") or {}
        again = (self._command("retry", "--reason", "'…'"),)
        when = self._ago(self._state.ended_at)
        if status == "done":
            goes_on = () if self._state.continued is None else (self._continued(self._state.continued),)
            return f"It ended {when} with the outcome '{end['outcome']}'.", goes_on
        if status == "failed":
            where = f" at step '{error['step']}'" if error.get("step") else ""
            text = f"{error.get('kind', 'error')}: {error.get('detail', '')}"
            who = "once that is mended, somebody who may 'run.retry'"
            reason = Reason(text, error.get("step", ""), who=who, commands=again)
            return f"It failed {when}{where}.", (reason, *self._undone())
        by = f" by {error['by']}" if error.get("by") else ""
        because = f": {error['detail']}" if error.get("detail") else ""
        reasons = [*self._undone()]
        for left in end.get("in_doubt", ()):
            text = f"Nobody knows whether '{left['step']}' took effect (key {left['key']})."
            reasons.append(Reason(text, left["step"]))
        reasons.append(Reason("It can go on.", who="somebody who may 'run.retry'", commands=again))
        return f"It was {status}{by} {when}{because}.", tuple(reasons)

    @staticmethod
    def _continued(data: Mapping[str, Any]) -> Reason:
        return Reason(f"It goes on as run {data['run_id']}.", commands=(f"signoff runs explain {data['run_id']}",))

    def _undone(self) -> list[Reason]:
        def names(status: str) -> str:
            undos = self._state.steps.items()
            return ", ".join(
                path.removesuffix("/undo") for path, undo in undos if path.endswith("/undo") and _ended(undo, status)
            )

        told = (("Undone", names("done")), ("Not undone, as somebody decided", names("bypassed")))
        return [Reason(f"{what}: {found}.") for what, found in told if found]

    def paused(self, said: Mapping[str, Any]) -> tuple[str, tuple[Reason, ...]]:
        because = f": {said['reason']}" if said.get("reason") else ""
        since = self._state.operated.paused_at
        go_on = Reason(
            "Nothing begins until it is resumed; decisions and messages are kept for it.",
            since=since,
            who="somebody who may 'run.pause'",
            commands=(self._command("resume"),),
        )
        waits = [reason for record in self._open() if (reason := self._of(record)) is not None]
        return f"{said['by']} paused it {self._ago(since)}{because}.", (go_on, *waits)

    def stuck(self, error: Mapping[str, Any]) -> tuple[str, tuple[Reason, ...]]:
        reason = Reason(
            f"{error.get('code', 'internal')}: {error.get('detail', '')}",
            who="whoever runs the workers, or who may 'run.migrate', 'run.cancel' or 'run.terminate'",
            commands=(
                self._command("migrate", "--to", "RELEASE", "--dry-run"),
                self._command("terminate", "--reason", "'…'"),
            ),
        )
        return "It cannot be loaded, and is looked at again each minute. Nothing is lost.", (reason,)

    def queued(self, place: Place) -> tuple[str, tuple[Reason, ...]]:
        first = (self._command("priority", "1"),)
        if place.not_before is not None and place.not_before > self._now:
            return f"It is delayed and begins {self._in(place.not_before)}.", (
                Reason("It was started with a delay.", until=place.not_before),
            )
        if place.gate is not None:
            return "It waits for its turn in a queue.", (self._at_gate(place),)
        if place.workers == 0:
            return "It waits for a worker, and no worker is alive.", (
                Reason("Workers run nothing now.", who="whoever runs the deployment", commands=("signoff worker",)),
            )
        text = worker_text(
            workers=place.workers,
            priority=place.priority,
            team=place.team,
            ahead=place.ahead,
            due_at=place.due_at,
            now=self._now,
        )
        return "It waits until a worker has room.", (
            Reason(text, who="a worker, by itself; or somebody who may 'run.prioritise'", commands=first),
        )

    def _at_gate(self, place: Place) -> Reason:
        assert place.gate is not None
        project, _, name = (place.queue or "").partition("/")[2].partition("/")
        shown = f"signoff queues show {project}/{name}"
        first = self._command("priority", "1")
        standing = place.standing or Standing(Queue(name))
        text, until = gate_text(
            standing,
            name=name,
            gate=place.gate,
            key=place.queue_key,
            team=place.team,
            ahead=place.ahead,
            now=self._now,
        )
        if standing.paused_by is not None:
            who = "somebody who may 'queue.operate'"
            return Reason(text, who=who, commands=(f"signoff queues resume {project}/{name}", shown))
        who = "the moment, by itself" if until else "a run of the queue that ends"
        return Reason(text, until=until, who=f"{who}; or somebody who may 'run.prioritise'", commands=(first, shown))

    def unwinding(self, data: Mapping[str, Any]) -> tuple[str, tuple[Reason, ...]]:
        error = data["error"]
        why = {"failed": "It failed", "cancelled": "It was cancelled"}.get(data["cause"], "It is being ended at once")
        detail = str(error.get("detail") or "").rstrip(".")
        where = f" at step '{error['step']}'" if error.get("step") else ""
        reasons = [reason for record in self._open() if (reason := self._of(record)) is not None]
        because = f": {detail}" if detail else ""
        return f"{why}{where}{because}. What is under way settles, and effects are undone.", tuple(reasons)

    def under_way(self) -> tuple[str, tuple[Reason, ...]]:
        waits = [reason for record in self._open() if (reason := self._of(record)) is not None]
        acting = [record.path for record in self._open() if record.waiting is None and record.retry_at is None]
        place = self._place
        if acting and place is not None and place.host is not None:
            worker = f"worker {place.host}, process {place.process_id}"
            return f"{', '.join(acting)}: under way at {worker}.", tuple(waits)
        if acting:
            return f"{', '.join(acting)}: under way, and waits for a worker to go on.", (*self._no_worker(), *waits)
        if len(waits) == 1:
            return f"It waits at step '{waits[0].step}'.", tuple(waits)
        if waits:
            return f"It waits for {len(waits)} things.", tuple(waits)
        return "It goes on as soon as a worker looks at it.", tuple(self._no_worker())

    def _no_worker(self) -> list[Reason]:
        if self._place is not None and self._place.workers == 0:
            return [Reason("No worker is alive.", who="whoever runs the deployment", commands=("signoff worker",))]
        return []

    def asked(self) -> tuple[Reason, ...]:
        """What was sent and not taken yet."""
        if self._place is None or self._place.messages == 0:
            return ()
        return (Reason(f"{self._place.messages} messages wait until a worker takes them."),)

    def came_from(self) -> tuple[Reason, ...]:
        """Which run it came from, as a fork that acts dry looks like any other."""
        origin = origin_of(self._state.started)
        return (
            ()
            if origin is None
            else (Reason(origin_text(origin), commands=(f"signoff runs explain {origin['run_id']}",)),)
        )

    # --- by what a step waits for ------------------------------------------------------------------------------

    def _open(self) -> list[StepRecord]:
        return [record for record in self._state.steps.values() if record.state is None and record.attempt > 0]

    def _of(self, record: StepRecord) -> Reason | None:
        if record.retry_at is not None:
            detail = str((record.error or {}).get("detail", "")).rstrip(".")
            again = self._in(record.retry_at)
            return Reason(
                f"Step '{record.path}' failed (try {record.attempt}): {detail}. It is tried again {again}.",
                record.path,
                record.tried_at,
                record.retry_at,
                "the moment; or, at once, somebody who may 'run.retry'",
                (self._command("retry"),),
            )
        waiting = record.waiting
        if waiting is None:
            return None
        who, commands = self._ends(record)
        text = f"Step '{record.path}': {waiting.about}"
        facts = effect_facts(self._state, record)
        return Reason(text, record.path, record.tried_at, waiting.until, who, commands, facts)

    def _ends(self, record: StepRecord) -> tuple[str, tuple[str, ...]]:
        waiting = record.waiting
        assert waiting is not None
        state = waiting.state
        match waiting.kind:
            case "review":
                review = state.get("review_id", "REVIEW")
                return "whoever has one of those roles", (
                    f"signoff reviews show {review}",
                    f"signoff reviews approve {review}",
                    f"signoff reviews reject {review} --reason '…'",
                )
            case "outcome_unknown" | "undo_failed":
                return "somebody who looked in the other system", tuple(
                    self._command("signal", record.path, "--kind", "effect.resolution", "--data", f"'{data}'")
                    for data in (
                        '{"resolution": "happened", "output": {}}',
                        '{"resolution": "retry"}',
                        '{"resolution": "failed"}',
                    )
                )
            case "limit" if state.get("at_limit") == "ask":
                return "somebody who may let it beyond its limit", tuple(
                    self._command("signal", record.path, "--kind", "limit.decision", "--data", f"'{data}'")
                    for data in ('{"decision": "allow"}', '{"decision": "refuse"}')
                )
            case "run" | "child" | "settling" if state.get("run_id"):
                return "the run that it called, when it ends", (f"signoff runs explain {state['run_id']}",)
            case "event" | "time" | "pause":
                who = "whoever publishes that event" if waiting.kind == "event" else "the moment, by itself"
                return who, (self._command("skip", record.path, "--reason", "'…'"),)
            case _:
                return "the run, by itself", ()


def _ended(record: StepRecord, status: str) -> bool:
    return record.state is not None and record.state.status == status
