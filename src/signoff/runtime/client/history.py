"""What a run was and how it came to that: its state as of any event, and a timeline of tries, waits and pauses.

All of it is read from the journal alone, so it is there for any run at any time, whether workers are up or not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from signoff.core.errors import NotFoundError
from signoff.foundation.database import Connection
from signoff.runtime.artifacts import MARK, fetch, find_references, put_back
from signoff.runtime.client.model import JournalEvent
from signoff.runtime.client.reads import read_journal
from signoff.runtime.events import Event, require_next
from signoff.runtime.state import RunState

WHOLE_BYTES = 67_108_864
"""Size of the artifacts that are read at once of one run."""

SpanKind = Literal["try", "wait", "backoff", "pause"]


@dataclass(slots=True)
class Span:
    """A stretch of a run's time.

    Attributes:
        step: whose; empty for the run itself.
        kind: a try, a wait, the time before the next try, or a pause of the run.
        ended_at: none where it lasts.
        detail: what was waited for, or what the try came to.
        by: who or what ended it.
    """

    step: str
    kind: SpanKind
    started_at: datetime
    ended_at: datetime | None = None
    attempt: int = 0
    detail: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Caused:
    """An event, and who or what caused it."""

    seq: int
    recorded_at: datetime
    kind: str
    step: str
    cause: str


@dataclass(slots=True)
class Timeline:
    """A run's time: stretches of it in the order in which they began, and every event with its cause."""

    spans: list[Span] = field(default_factory=list[Span])
    events: list[Caused] = field(default_factory=list[Caused])


async def each_event(
    connection: Connection, org_id: UUID, run_id: UUID, *, until: int | None = None
) -> AsyncIterator[JournalEvent]:
    """A run's events in order, read a page at a time, up to and including the place `until`.

    Raises:
        NotFoundError: no such run in that organisation.
        CodecError: an event cannot be read here, or one is missing.
    """
    after = last = 0
    while True:
        page = await read_journal(connection, org_id, run_id, after=after)
        for event in page:
            if until is not None and event.seq > until:
                return
            require_next(event.seq, last)
            last = event.seq
            yield event
        if not page:
            return
        after = page[-1].seq


async def whole_events(connection: Connection, org_id: UUID, run_id: UUID) -> list[JournalEvent]:
    """A run's events with the values in place that its journal names by reference, for whatever computes with them.

    Raises:
        NotFoundError: no such run in that organisation.
        ArtifactError: a value is not there, or together they are too large.
    """
    events = [event async for event in each_event(connection, org_id, run_id)]
    references = [reference for event in events for reference in find_references(event.data)]
    if not references:
        return events
    values, _ = await fetch(connection, org_id, run_id, references, most_bytes=WHOLE_BYTES)
    return [replace(event, data=put_back(event.data, values)) if MARK in event.data else event for event in events]


async def events_until(connection: Connection, org_id: UUID, run_id: UUID, seq: int) -> list[JournalEvent]:
    """The events of a run up to one of them.

    Raises:
        NotFoundError: no such run, or its journal is not that long.
    """
    events = [event async for event in each_event(connection, org_id, run_id, until=seq)]
    if seq < 1 or len(events) < seq:
        raise NotFoundError(f"The journal of run {run_id} has no event {seq}; it has {len(events)}.")
    return events


def state_of(events: Iterable[JournalEvent]) -> RunState:
    """The state that these events describe."""
    state = RunState()
    for event in events:
        state.apply(Event(event.seq, event.kind, event.recorded_at, event.data))
    return state


def status_of(state: RunState) -> str:
    """What a list would have shown, as far as the journal tells: a worker is taken to have had a run that acted."""
    if state.end is not None:
        return state.end["status"]
    if state.stuck is not None:
        return "stuck"
    if state.operated.paused is not None:
        return "paused"
    if state.last_seq <= 1:
        return "queued"
    under_way = any(record.waiting is None and record.retry_at is None for record in state.open.values())
    return "running" if under_way or not state.open else "waiting"


def timeline(events: Iterable[JournalEvent], needs: Mapping[str, frozenset[str]] | None = None) -> Timeline:
    """How a run's time passed.

    Args:
        events: of its journal, in order.
        needs: which steps each step waits for, so that it can be told which end let it begin.
    """
    teller = _Teller(needs or {})
    for event in events:
        teller.take(event)
    return teller.found


class _Teller:
    def __init__(self, needs: Mapping[str, frozenset[str]]) -> None:
        self.found = Timeline()
        self._needs = needs
        self._open: dict[str, Span] = {}
        self._senders: dict[str, str] = {}
        self._ended: dict[str, int] = {}
        self._paused: Span | None = None
        self._unwinding = ""

    def take(self, event: JournalEvent) -> None:
        data = event.data
        step = str(data.get("step") or data.get("path") or "")
        cause = self._cause(event, step)
        self.found.events.append(Caused(event.seq, event.recorded_at, event.kind, step, cause))
        self._spans(event, step, cause)
        if event.kind == "message.received":
            self._senders[data["message_id"]] = data["sent_by"]
        elif event.kind == "step.ended":
            self._ended[step] = event.seq
        elif event.kind == "run.unwinding":
            self._unwinding = data["cause"]

    def _spans(self, event: JournalEvent, step: str, cause: str) -> None:
        data, at = event.data, event.recorded_at
        match event.kind:
            case "step.started" | "effect.intended":
                current = self._open.get(step)
                if current is None or current.kind != "try" or current.attempt != data["attempt"]:
                    self._begin(Span(step, "try", at, attempt=data["attempt"]), cause)
            case "step.retrying":
                self._close(step, at, cause, _gist(data["error"]))
                self._begin(Span(step, "backoff", at, attempt=data["attempt"], detail="until its next try"), cause)
            case "step.waiting":
                self._begin(Span(step, "wait", at, detail=f"{data['kind']}: {data['about']}"), cause)
            case "step.ended":
                self._close(step, at, cause, data["status"] if data["status"] != "failed" else _gist(data["error"]))
            case "run.paused":
                self._paused = Span("", "pause", at, detail=str(data.get("reason", "")))
                self.found.spans.append(self._paused)
            case "run.resumed" | "run.unwinding" | "run.ended":
                if self._paused is not None:
                    self._paused.ended_at, self._paused.by, self._paused = at, cause, None
            case _:
                pass

    def _begin(self, span: Span, cause: str) -> None:
        self._close(span.step, span.started_at, cause)
        self._open[span.step] = span
        self.found.spans.append(span)

    def _close(self, step: str, at: datetime, cause: str, detail: str = "") -> None:
        span = self._open.pop(step, None)
        if span is not None:
            span.ended_at, span.by = at, cause
            if span.kind == "try":
                span.detail = detail or span.detail

    def _cause(self, event: JournalEvent, step: str) -> str:
        data = event.data
        said = data.get("by") or self._senders.get(str(data.get("message_id")))
        match event.kind:
            case "run.started":
                cause = f"{data['started_by']['kind']}/{data['started_by']['id']}"
            case "message.received":
                cause = str(data["sent_by"])
            case "step.started" if data["attempt"] > 1:
                cause = "its next try was due"
            case "effect.intended" if "arguments" not in data:
                cause = step
            case "step.started" | "effect.intended" if not step.endswith("/undo"):
                cause = _asked_by_code(data) or self._what_let_it_begin(step)
            case "run.unwinding":
                error = data["error"]
                cause = str(error.get("by") or error.get("step") or error.get("kind") or "")
            case "run.ended" if not self._unwinding:
                cause = "its last step"
            case "step.started" | "effect.intended" | "run.ended":
                cause = f"the run unwinds ({self._unwinding})"
            case "step.ended" if not said:
                cause = self._what_ended(step)
            case "step.noted":
                cause = _noted(step, data["name"], data["data"])
            case _:
                cause = str(said or step)
        return cause

    def _what_ended(self, step: str) -> str:
        span = self._open.get(step)
        if span is None:
            return self._what_let_it_begin(step)  # computed at once, or it never began
        return "the moment it waited for" if span.kind == "wait" else step

    def _what_let_it_begin(self, step: str) -> str:
        prefix, _, name = step.rpartition("/")
        inside = f"{prefix}/" if prefix else ""
        needed = [f"{inside}{other}" for other in self._needs.get(name, ())]
        ended = [other for other in needed if other in self._ended]
        if ended:
            return f"the end of {max(ended, key=lambda other: self._ended[other])}"
        return f"{prefix.rpartition('[')[0]} went on" if prefix.endswith("]") else "the run began"


def _asked_by_code(data: Mapping[str, Any]) -> str:
    """Which line of a workflow in Python asked for the step; empty of any other."""
    command: Mapping[str, Any] = data.get("command") or {}
    return f"the workflow's code, {command['at']}" if command.get("at") else ""


def _noted(step: str, name: str, fact: Mapping[str, Any]) -> str:
    """What a step noted, so that each of its attempts can be told from the others."""
    outcome, repair = fact.get("outcome"), fact.get("repair")
    told = [f"repair {repair}"] if repair else []
    told += [str(said) for said in (fact.get("model"), outcome) if said]
    return f"{step}: {name}" + (f" ({', '.join(told)})" if told else "")


def _gist(error: Mapping[str, Any]) -> str:
    return f"{error.get('kind', '')}: {error.get('detail', '')}"
