"""A run in memory as its parts see it: its state, how to write, how to start work. What moves it is `execution.py`."""

from __future__ import annotations

import abc
import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

from signoff.core.errors import StepError
from signoff.core.labels import BOTTOM, Labels, written_fields
from signoff.runtime.artifacts import Content, split
from signoff.runtime.engine import Engine
from signoff.runtime.events import Event, EventKind, decode, encode
from signoff.runtime.handlers import DECISION, Approval, Done, Message, RunFacts, StepCall, Told
from signoff.runtime.inputs import scope_of
from signoff.runtime.journal import Entry, Row, SessionLostError, SoloWrite
from signoff.runtime.paths import is_undo
from signoff.runtime.program import NAMING, Beginning, Program
from signoff.runtime.state import RunState, StepRecord
from signoff.runtime.step_tasks import StepTasks
from signoff.workflows.labelling import status_labels
from signoff.workflows.model import Step, Workflow
from signoff.workflows.semantics import STATUS

BOUNDED = ("step.", "group.")
"""Events of these kinds fail their step where they are too large; the others are bounded where they come from."""

AS_GIVEN: frozenset[EventKind] = frozenset({"effect.intended", "step.noted"})
"""Kinds of which the state takes only texts and numbers of the engine's own: these come back from JSON as they went."""


class RunContext(StepTasks):
    """A run that this worker owns.

    Attributes:
        run_id: which run it is.
        state: the fold of its journal, including events that are still on their way to the disk.
        gen: the queue generation that was read with the latest messages; parking on an older one fails.
        resting: a park or finish is under way; nothing else may start meanwhile.
        stale: an operation changed what the run is made of (its steps, its release): it is loaded anew when nothing is
            under way.
        timer: wakes the run where its next moment is too near to leave memory.
        program: what begins next, what a path means, how the run ends.
        withdrawing: waiting steps that are being told that nobody waits any more.
        most_events: how many events its journal may have before it unwinds.
        artifact_bytes: the size of its values that are kept as artifacts, which its state holds like all others.
        journal_bytes: the size of its journal, by which a worker bounds what it holds.
        began_at: when a delayed or queued run could begin first; its time counts from then.
        queued: whether it came through a queue, whose slot it has.
        loaded_s: when the run became ours, on the monotonic clock.
        sent_s: when we last sent an effect, by path, on the monotonic clock.
        to_undo: once all has settled: completed effects that are still to be taken back, the latest last.
    """

    # With so many attributes Python would give each run a dictionary of its own, and look each of them up in it.
    __slots__ = (
        "_buffer", "_deadline", "_decided", "_drained", "_laden", "_ordinary_bytes", "artifact_bytes", "began_at",
        "engine", "facts", "gen", "if_lost", "journal_bytes", "loaded_s", "most_events", "program", "queued",
        "release", "rest_task", "resting", "run_id", "scope", "sent_s", "stale", "state", "timer", "to_undo",
        "withdrawing", "workflow",
    )  # fmt: skip

    def __init__(
        self, engine: Engine, facts: RunFacts, workflow: Workflow, release: Any, *, state: RunState, gen: int
    ) -> None:
        super().__init__()
        self.engine = engine
        self.facts = facts
        self.run_id = facts.run_id
        self.workflow = workflow
        self.release = release
        self.state = state
        self.gen = gen
        self.resting = False
        self.stale = False
        self.timer: asyncio.Task[None] | None = None
        self.rest_task: asyncio.Task[None] | None = None
        self.withdrawing: set[str] = set()
        self.loaded_s = engine.clock.monotonic_s()
        self.sent_s: dict[str, float] = {}
        self.scope = scope_of(workflow, state.started, state.ended)
        self.journal_bytes = 0
        self.began_at: datetime | None = None
        self.queued = False
        self._deadline: tuple[datetime | None, float, datetime] = None, 0.0, facts.started_at
        self._decided: tuple[str, Mapping[str, Any]] | None = None
        self._buffer: list[Row] = []
        self._drained: list[UUID] = []
        self._laden = False
        self.if_lost: list[Callable[[], None]] = []
        own, general = workflow.limits.events, engine.settings.history_events
        self.most_events = general if own is None else min(own, general)
        self._ordinary_bytes = min(engine.settings.artifact_from_bytes, engine.settings.event_bytes)
        self.artifact_bytes = 0
        self.to_undo: list[StepRecord] | None = None
        self.program = self.make_program()

    @property
    def broke(self) -> str | None:
        """The latest failover or restore, where it is from before: events of it may be lost that were acted on."""
        broke_at = self.engine.suspect_before
        return None if broke_at is None or self.facts.started_at >= broke_at else broke_at.isoformat()

    @property
    def deadline(self) -> datetime:
        """When its time is over."""
        operated = self.state.operated
        counts_from = operated.reopened_at or self.began_at or self.facts.started_at
        of_when, paused_s, deadline = self._deadline
        if of_when is not counts_from or paused_s != operated.paused_s:  # asked for with every step, and rarely another
            limit_s = self.workflow.limits.time_s or self.engine.settings.run_time_s
            deadline = counts_from + timedelta(seconds=limit_s + operated.paused_s)
            self._deadline = counts_from, operated.paused_s, deadline
        return deadline

    def step(self, path: str) -> Step:
        """The step of that path; of `refund/undo` the compensation."""
        return self.program.step(path)

    @property
    def unbegun(self) -> list[Step]:
        """Steps at the top that have neither begun nor ended; to be changed in place."""
        return self.program.unbegun

    # --- writing -----------------------------------------------------------------------------------------------

    def emit(self, kind: EventKind, data: Mapping[str, Any]) -> Row:
        """Put an event into the state and into what is written next. What is read back equals what was applied.

        Raises:
            TypeError: the data holds something that JSON has no form for.
            StepError: a step's data is larger than one event may be.
        """
        if self._decided is not None:
            self.tell_decision()
        state, now, encoded, contents = self.state, self.engine.clock.now(), encode(data), ()
        journaled, size, seq = encoded, len(encoded), state.last_seq + 1
        if size > self._ordinary_bytes:
            journaled, contents = self._split(kind, data)
        row = Row(seq, kind, now, journaled, contents)
        state.apply(Event(seq, kind, now, data if kind in AS_GIVEN else decode(encoded)))
        self._buffer.append(row)
        self.journal_bytes += size
        if kind == "step.ended":
            self.program.told(state.steps[data["step"]])
        return row

    def _split(self, kind: EventKind, data: Mapping[str, Any]) -> tuple[bytes, tuple[Content, ...]]:
        """An event with its large values by reference; a step's that is too large all the same fails it."""
        settings = self.engine.settings
        journaled, contents = split(data, from_bytes=settings.artifact_from_bytes, most_bytes=settings.artifact_bytes)
        held, of_step = self.artifact_bytes + sum(len(content.data) for content in contents), kind.startswith(BOUNDED)
        if held > settings.artifact_run_bytes and of_step:
            detail = f"the run's large values would have {held} bytes; a run takes {settings.artifact_run_bytes}"
            raise StepError(detail, kind="too_large", outcome_unknown=True)
        if len(journaled) > settings.event_bytes and of_step:
            detail = f"its data has {len(journaled)} bytes; an event takes {settings.event_bytes}"
            raise StepError(detail, kind="too_large", outcome_unknown=True)
        self.artifact_bytes = held
        self._laden = self._laden or bool(contents)
        return journaled, contents

    def begun_with_intent(self, record: StepRecord, data: dict[str, Any]) -> bool:
        """Let the event of a step's beginning tell its intent and decision; false where it has been handed on."""
        rows = self._buffer
        place = record.begun_seq - rows[0].seq if rows else -1
        row = rows[place] if 0 <= place < len(rows) else None
        if row is None or row.kind != "step.started" or row.contents:
            return False
        if self._decided is not None and self._decided[0] != record.path:
            self.tell_decision()  # another step's, begun beside it
        if self._decided is not None:
            data["decision"] = self._decided[1]
        # One object of both: they have no name in common.
        encoded = row.data[:-1] + b"," + encode(data)[1:]
        if len(encoded) > self._ordinary_bytes:
            data.pop("decision", None)
            return False
        self._decided = None
        rows[place] = Row(row.seq, "effect.intended", row.recorded_at, encoded)
        self.journal_bytes += len(encoded) - len(row.data)
        record.means(data)
        return True

    def take_buffer(self) -> Entry:
        """Everything emitted and not submitted yet, as one entry."""
        self.tell_decision()
        entry = Entry(self.facts.org_id, self.run_id, self._buffer, self._drained, self._laden, self.if_lost)
        self._buffer, self._drained, self._laden, self.if_lost = [], [], False, []
        return entry

    def push(self) -> None:
        """Hand what was emitted to the journal, without waiting: what nobody has seen may be redone."""
        if (self._buffer or self._drained) and not self.abandoned:
            self.engine.journal.submit(self.take_buffer())

    async def durable(self) -> None:
        """Return once everything emitted so far is on the disk.

        Raises:
            SessionLostError: it is not, and this worker does not own the run any more.
        """
        await self.written(self.take_buffer())

    async def alone(self, write: SoloWrite) -> None:
        """Write everything emitted so far together with a precondition, in a transaction of its own."""
        entry = self.take_buffer()
        entry.solo = write
        await self.written(entry)

    async def written(self, entry: Entry) -> bool:
        """Whether an entry took hold, once it is on the disk.

        Raises:
            SessionLostError: it is not, and this worker does not own the run any more.
        """
        if self.abandoned:
            raise SessionLostError("the run is not ours any more")
        return await self.submitted(entry)

    def submitted(self, entry: Entry) -> asyncio.Future[bool]:
        """Put an entry behind all earlier ones: whether it takes hold, or why it cannot."""
        entry.written = asyncio.get_running_loop().create_future()
        self.engine.journal.submit(entry)
        return entry.written

    def unwind(self, *, cause: Literal["failed", "cancelled", "terminated"], error: Mapping[str, Any]) -> None:
        """From here on nothing new starts (rule 8)."""
        if self.state.unwinding is None and self.state.end is None:
            self.emit("run.unwinding", {"cause": cause, "error": error})

    @abc.abstractmethod
    def receive(self, messages: Sequence[tuple[str, Message]], gen: int) -> None:
        """Take messages from the inbox into the journal. A second copy of one changes nothing."""

    def failed(self, error: BaseException) -> None:
        """An error of ours: the run is put aside."""
        self.engine.failed(self.run_id, error)

    @abc.abstractmethod
    def make_program(self) -> Program:
        """What moves this run; it may read everything set before it."""

    @abc.abstractmethod
    def begin(self, beginning: Beginning) -> None:
        """Begin a step whose arguments are known: compute it at once, or start its first try."""

    def abandon(self) -> None:
        """The session is lost. Effects under way may finish and report; everything else stops."""
        self.abandoned = True
        for tell in self.if_lost:
            tell()
        if self.timer is not None:
            self.timer.cancel()
        for path, task in self.tasks.items():
            if not self.state.steps[path].in_doubt:
                task.cancel()

    def left(self) -> None:
        """The run is in memory no more. What refers to itself in a circle would wait for the garbage collector."""
        self.rest_task = None
        del self.program

    def end_done(self, record: StepRecord, done: Done, **facts: Any) -> None:
        """A step is done; its labels are the join of what it read and of what its handler says."""
        step = self.step(record.path)
        given = record.argument_labels if step.verb in NAMING else None
        self.end_computed(step, record.path, record.labels, done, facts, given=given, control=record.control)

    def end_computed(
        self,
        step: Step,
        path: str,
        read: Labels,
        done: Done,
        facts: Mapping[str, Any],
        *,
        given: Mapping[str, Labels] | None = None,
        control: Labels | None = None,
    ) -> None:
        """The same where the step has no record yet: `read` are the labels of what it read.

        `given` are those of single values, of a step that names values; `control` of what decided that it runs, where
        the labels of its fields say themselves what else they rest on.
        """
        whole = read if done.labels is BOTTOM else read.join(done.labels)
        data: dict[str, Any] = {"step": path, "status": "done", "output": done.output, "labels": whole.as_dict()}
        if facts:
            data.update(facts)
        # Most often each value has the labels of the whole; what came another way has no fields of its own.
        differ = bool(given) and any(one is not whole for one in given.values())
        base = read if control is None else control
        ended = status_labels(step, whole, read=read, control=control)
        if (differ or done.fields or ended is not whole) and "via" not in facts:
            fields = {
                **({STATUS: ended} if ended is not whole else {}),
                **{(name,): one.join(done.labels) for name, one in (given or {}).items() if name in done.output},
                **{path: base.join(labels) for path, labels in done.fields.items()},
            }
            lower = written_fields(whole, fields)
            if lower:
                data["fields"] = lower
        if done.result != "done":
            data["result"] = done.result
        if not done.readable:
            data["readable"] = False
        if step.verb == "review":
            data["review"] = True
        if done.approval is not None:
            data["approval"] = done.approval.as_dict()
        self.emit("step.ended", data)

    def call(self, step: Step, record: StepRecord, *, attempt: int | None = None) -> StepCall:
        """What a handler is told of one try."""
        path = record.path
        # By place, in the order of the fields: by name, twenty of them take three times as long.
        return StepCall(
            self.facts,
            step,
            path,
            record.arguments,
            record.labels,
            self.release,
            partial(self._note, path),
            self.engine.clock,
            record.argument_labels,
            attempt or max(record.attempt, 1),
            record.needed,
            self._approvals(step, path) if step.requires else (),
            record.key,
            self._may_send,
            step.timeout_s or self.engine.settings.step_timeout_s,
            self.state.usage,
            record.generation,
            self._given_by,
            self._told,
            record.control,
        )

    def call_computed(self, beginning: Beginning) -> StepCall:
        """What a handler is told that only computes."""
        step, path = beginning.step, beginning.path
        return StepCall(
            self.facts,
            step,
            path,
            beginning.arguments,
            beginning.labels,
            self.release,
            partial(self._note, path),
            self.engine.clock,
            needed=beginning.needed,
            approvals=self._approvals(step, path) if step.requires else (),
            spent=self.state.usage,
        )

    def _given_by(self, verb: str) -> Iterator[Mapping[str, Any]]:
        for path, record in self.state.steps.items():
            # What `on_error` or a person gave instead is none of the verb's own.
            own = record.via is None and not is_undo(path)
            if own and record.state is not None and record.state.status == "done" and self.step(path).verb == verb:
                yield record.state.output

    def _told(self) -> Iterator[Told]:
        yield Told("", "input", "", {}, self.state.started["input"])
        ended = [record for record in self.state.steps.values() if record.state is not None and record.via is None]
        for record in sorted(ended, key=lambda one: one.ended_seq):
            if record.state is not None and record.state.status == "done" and not is_undo(record.path):
                step = self.step(record.path)
                yield Told(record.path, step.verb, step.target, record.arguments, record.state.output)

    def _note(self, path: str, name: str, data: Mapping[str, Any]) -> None:
        if self.abandoned:
            return
        if name == DECISION and self._decided is None and self._buffer:
            self._decided = path, data  # it goes with the intent where that comes next, else before whatever does
        else:
            self.emit("step.noted", {"step": path, "name": name, "data": data})

    def tell_decision(self) -> None:
        """What was decided is an event of its own."""
        decided, self._decided = self._decided, None
        if decided is not None:
            self.emit("step.noted", {"step": decided[0], "name": DECISION, "data": decided[1]})

    def _may_send(self) -> None:
        if self.abandoned or not self.engine.lease_holds():
            raise SessionLostError("the lease is over, or was not renewed in time; nothing was sent")

    def _approvals(self, step: Step, path: str) -> tuple[Approval, ...]:
        if not step.requires:
            return ()
        found = (self.state.steps.get(self.program.named(path, name)) for name in step.requires)
        return tuple(record.approval for record in found if record is not None and record.approval is not None)
