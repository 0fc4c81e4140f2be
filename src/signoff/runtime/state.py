"""A run's state: the fold of its journal. `apply` is the only thing that changes it, live as in replay."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from signoff.core.fresh import fresh_dict, fresh_set
from signoff.core.labels import BOTTOM, NO_FIELDS, Labels, read_fields
from signoff.core.money import NO_USAGE, Usage
from signoff.runtime.events import Event, moment
from signoff.runtime.handlers import Approval, Message, Waiting
from signoff.runtime.operated import Operated
from signoff.runtime.paths import enclosing, is_undo, name_of, owner_of, prefix_of
from signoff.runtime.records import (
    CLOSING,
    ENGINE_WAITS,
    FALLBACK,
    MESSAGES_LATE,
    OUTCOME_UNKNOWN,
    PAUSE,
    RESOLUTION,
    SETTLING,
    UNDO_FAILED,
    StepRecord,
    Turn,
)
from signoff.workflows.semantics import StepState

__all__ = [
    "CLOSING",
    "ENGINE_WAITS",
    "FALLBACK",
    "MESSAGES_LATE",
    "OUTCOME_UNKNOWN",
    "PAUSE",
    "RESOLUTION",
    "SETTLING",
    "UNDO_FAILED",
    "RunState",
    "StepRecord",
    "Turn",
    "fold",
]


@dataclass(slots=True)
class RunState:
    """What the journal says of a run.

    Attributes:
        started: the data of `run.started`.
        started_at: when it started.
        steps: by path.
        open: the steps that have begun and not ended, by path; compensations are among them.
        busy: how many of those each scope inside has, by its prefix; none where it has none.
        ended: states of the ended steps at the top by name, as expressions read them.
        inner: the same of every scope inside, by its prefix.
        usage: of all model calls so far.
        unwinding: the data of `run.unwinding`: nothing new starts any more.
        stuck: the data of the latest `run.stuck`; cleared by any later event.
        continued: the data of `run.continued`: another run goes on from here.
        end: the data of `run.ended`.
        messages: ids of all messages received, so that a second copy changes nothing.
        operated: how people have steered it.
        attributes: what it is searched by: type and value by name.
        last_seq: the latest event's place; 0 before the first.
    """

    started: Mapping[str, Any] = field(default_factory=fresh_dict)
    started_at: datetime | None = None
    steps: dict[str, StepRecord] = field(default_factory=fresh_dict)
    open: dict[str, StepRecord] = field(default_factory=fresh_dict)
    busy: dict[str, int] = field(default_factory=fresh_dict)
    ended: dict[str, StepState] = field(default_factory=fresh_dict)
    inner: dict[str, dict[str, StepState]] = field(default_factory=fresh_dict, compare=False)
    usage: Usage = NO_USAGE
    unwinding: Mapping[str, Any] | None = None
    stuck: Mapping[str, Any] | None = None
    continued: Mapping[str, Any] | None = None
    end: Mapping[str, Any] | None = None
    ended_at: datetime | None = None
    messages: set[UUID] = field(default_factory=fresh_set)
    operated: Operated = field(default_factory=Operated)
    attributes: dict[str, Mapping[str, Any]] = field(default_factory=fresh_dict)
    last_seq: int = 0

    def apply(self, event: Event) -> None:
        """Take one event in. Events come in the order of `seq`, each once."""
        self.stuck = None
        _APPLY[event.kind](self, event)
        self.last_seq = event.seq

    def record(self, path: str) -> StepRecord:
        """The record of that path, made on first use."""
        found = self.steps.get(path)
        if found is None:
            found = self.steps[path] = StepRecord(path)
        return found

    def ended_in(self, prefix: str) -> dict[str, StepState]:
        """States of the ended steps of one scope, by name; the same mapping as long as the run lives."""
        return self.inner.setdefault(prefix, {}) if prefix else self.ended

    def forget(self, paths: Collection[str]) -> None:
        """Steps are void, each with everything inside it: as if they had never begun."""
        void = [
            path
            for path in self.steps
            if path in paths or ("/" in path and any(owner in paths for owner, _ in enclosing(path)))
        ]
        for path in void:
            self.steps.pop(path, None)
            if self.open.pop(path, None) is not None and "/" in path and not is_undo(path):
                _less_busy(self, prefix_of(path))
            if not is_undo(path):
                self.ended_in(prefix_of(path)).pop(name_of(path), None)


def fold(events: Iterable[Event]) -> RunState:
    """The state that a journal describes."""
    state = RunState()
    for event in events:
        state.apply(event)
    return state


def _run_started(state: RunState, event: Event) -> None:
    state.started = event.data
    state.started_at = event.recorded_at
    before = event.data.get("continued_from")
    if before is not None:
        state.usage = Usage.from_dict(before["usage"])
        for ended in before["ended"]:
            _step_ended(state, Event(event.seq, "step.ended", event.recorded_at, ended))
    _run_attributes(state, event)


def _run_attributes(state: RunState, event: Event) -> None:
    state.attributes.update(event.data.get("attributes") or {})


def _step_tried(state: RunState, event: Event) -> None:
    data = event.data
    record = state.record(data["step"])
    if record.path not in state.open:
        state.open[record.path] = record
        if "/" in record.path:
            _begun_inside(state, record.path)
    record.attempt = data["attempt"]
    record.tried_at = event.recorded_at
    record.retry_at = None
    record.waiting = None
    if "arguments" in data:
        record.arguments = data["arguments"]
        record.labels = Labels.from_dict(data["labels"])
        record.argument_labels = {
            name: Labels.from_dict(label) for name, label in data.get("argument_labels", {}).items()
        }
        record.control = Labels.from_dict(data["control"]) if "control" in data else None
        record.needed = data.get("needed", True)
        record.command = data.get("command")
        record.begun_seq = event.seq
    if event.kind == "effect.intended":
        record.means(data)


def _step_noted(state: RunState, event: Event) -> None:
    usage = event.data["data"].get("usage")
    if usage is not None:
        state.usage = state.usage + Usage.from_dict(usage)
    elif event.data.get("name") == MESSAGES_LATE:
        state.record(event.data["step"]).undelivered = []


def _step_retrying(state: RunState, event: Event) -> None:
    record = state.record(event.data["step"])
    record.attempt = event.data["attempt"]
    record.error = event.data["error"]
    record.retry_at = moment(event.data["retry_at"])
    record.in_doubt = event.data.get("in_doubt", False)
    record.held += event.data.get("held", False)
    record.broke = event.data.get("broke") or record.broke
    record.waiting = None
    _delivered(record, event.data.get("message_id"))


def _step_waiting(state: RunState, event: Event) -> None:
    data = event.data
    record = state.record(data["step"])
    if data["kind"] in ENGINE_WAITS and (record.waiting is None or record.waiting.kind != data["kind"]):
        # A person's word is on the outcome they were asked about: one left over, or said before, answers no later wait.
        record.undelivered = [message for message in record.undelivered if message.kind != RESOLUTION]
    record.waiting = Waiting(data["kind"], moment(data["until"]), data["state"], data["about"])
    record.retry_at = None
    record.in_doubt = data.get("in_doubt", record.in_doubt)
    _delivered(record, data.get("message_id"))


def _step_ended(state: RunState, event: Event) -> None:
    data = event.data
    path, status = data["step"], data["status"]
    record = state.record(path)
    labels = data.get("labels")
    whole = Labels.from_dict(labels) if labels else BOTTOM
    record.in_doubt = False
    record.waiting = record.retry_at = None
    record.ended_seq = event.seq
    record.ended_at = event.recorded_at
    record.begun_seq = record.begun_seq or event.seq
    if len(data) == len(_PLAIN_END) and _PLAIN_END.issuperset(data):  # of most steps: nothing else is to be looked for
        ended = record.state = StepState(status, status, data["output"], whole, status == "done")
        record.via, record.approval, record.caught = None, None, False
    else:
        ended = record.state = _ended_with(record, data, whole)
    if state.operated.skips:
        state.operated.skips.pop(path, None)
    was_open = state.open.pop(path, None) is not None
    if "/" not in path:
        state.ended[path] = ended
    elif not is_undo(path):
        prefix = prefix_of(path)
        state.ended_in(prefix)[name_of(path)] = ended
        if was_open:
            _less_busy(state, prefix)
        else:
            _turn_begun(state, prefix)


_PLAIN_END = frozenset(("step", "status", "output", "labels"))


def _ended_with(record: StepRecord, data: Mapping[str, Any], whole: Labels) -> StepState:
    record.error = data.get("error", record.error)
    record.via = data.get("via")
    record.caught = data.get("caught", False)
    approval = data.get("approval")
    record.approval = Approval(**approval) if approval else None
    _delivered(record, data.get("message_id"))
    status = data["status"]
    return StepState(
        status,
        data.get("result", status),
        data.get("output", {}),
        whole,
        data.get("readable", status == "done"),
        "approval" in data or data.get("review", False),
        read_fields(whole, data["fields"]) if "fields" in data else NO_FIELDS,
    )


def _begun_inside(state: RunState, path: str) -> None:
    if not is_undo(path):
        prefix = prefix_of(path)
        state.busy[prefix] = state.busy.get(prefix, 0) + 1
        _turn_begun(state, prefix)


def _less_busy(state: RunState, prefix: str) -> None:
    left = state.busy[prefix] - 1
    if left:
        state.busy[prefix] = left
    else:
        del state.busy[prefix]


def _turn_begun(state: RunState, prefix: str) -> None:
    """Whatever begins inside a group that paused between its turns tells that the pause is over."""
    group = state.open.get(owner_of(prefix)[0])
    if group is not None and group.waiting is not None and group.waiting.kind == PAUSE:
        group.waiting = None


def _group_turned(state: RunState, event: Event) -> None:
    data = event.data
    record = state.record(data["step"])
    labels = data.get("labels")
    whole = Labels.from_dict(labels) if labels else BOTTOM
    record.turns[data["index"]] = Turn(
        data.get("status", "done"),
        data.get("output", {}),
        whole,
        data.get("error"),
        data.get("again", False),
        Labels.from_dict(data["control"]) if "control" in data else None,
        read_fields(whole, data["fields"]) if "fields" in data else NO_FIELDS,
    )
    next_at = moment(data.get("next_at"))
    if next_at is not None:
        record.waiting = Waiting(PAUSE, next_at, about=f"turn {data['index'] + 1} begins then")


def _delivered(record: StepRecord, message_id: str | None) -> None:
    if message_id is not None:
        record.undelivered = [message for message in record.undelivered if str(message.message_id) != message_id]


def _message_received(state: RunState, event: Event) -> None:
    data = event.data
    message = Message(UUID(data["message_id"]), data["kind"], data["sent_by"], data["data"])
    if message.message_id in state.messages:
        return
    state.messages.add(message.message_id)
    if data["path"] == "":
        state.operated.receive(data)
    elif data["disposition"] == "accepted":
        state.record(data["path"]).undelivered.append(message)


def _run_unwinding(state: RunState, event: Event) -> None:
    state.unwinding = event.data
    if event.data["cause"] != "failed":
        state.operated.resume(event.recorded_at)  # whoever ends a paused run wants it ended


def _run_stuck(state: RunState, event: Event) -> None:
    state.stuck = event.data


def _run_continued(state: RunState, event: Event) -> None:
    state.continued = event.data


def _run_ended(state: RunState, event: Event) -> None:
    state.end = event.data
    state.ended_at = event.recorded_at


def _run_paused(state: RunState, event: Event) -> None:
    state.operated.pause(event)


def _run_resumed(state: RunState, event: Event) -> None:
    state.operated.resume(event.recorded_at)


def _run_reopened(state: RunState, event: Event) -> None:
    """The steps named are void: nothing of them is left but how often their effects were settled."""
    void = event.data["void"]
    state.forget(void)
    for path, generation in void.items():  # once all are forgotten, as one may be inside another
        if generation:
            state.record(path).generation = generation
    for path in event.data.get("again", ()):
        _goes_on(state, path, event).error = None
    for path in event.data.get("instead", ()):
        record = _goes_on(state, path, event)
        record.waiting = Waiting(FALLBACK, None, {"error": record.error or {}}, "its 'on_error' steps run")
    for path, indexes in event.data.get("unturned", {}).items():
        for index in indexes:
            state.steps[path].turns.pop(index, None)
    state.unwinding = state.continued = state.end = state.ended_at = None
    state.operated.reopen(event)


def _goes_on(state: RunState, path: str, event: Event) -> StepRecord:
    """A step that had ended is under way again, with what is done inside it; its time counts from here."""
    record = state.steps[path]
    record.state = record.waiting = None
    record.tried_at = event.recorded_at
    record.turns = {index: turn for index, turn in record.turns.items() if turn.status == "done"}
    state.ended_in(prefix_of(path)).pop(name_of(path), None)
    state.open[path] = record
    if "/" in path:
        prefix = prefix_of(path)
        state.busy[prefix] = state.busy.get(prefix, 0) + 1
    return record


def _run_migrated(state: RunState, event: Event) -> None:
    data = event.data
    state.started = {**state.started, **{name: data[name] for name in ("release", "version", "workflow_digest")}}
    state.operated.release, state.operated.moved_seq = data, event.seq


_APPLY = {
    "run.started": _run_started,
    "step.started": _step_tried,
    "effect.intended": _step_tried,
    "step.noted": _step_noted,
    "step.retrying": _step_retrying,
    "step.waiting": _step_waiting,
    "step.ended": _step_ended,
    "group.turned": _group_turned,
    "message.received": _message_received,
    "run.unwinding": _run_unwinding,
    "run.stuck": _run_stuck,
    "run.paused": _run_paused,
    "run.resumed": _run_resumed,
    "run.reopened": _run_reopened,
    "run.migrated": _run_migrated,
    "run.attributes": _run_attributes,
    "run.continued": _run_continued,
    "run.ended": _run_ended,
}
