"""Groups under way: `for`, `repeat`, `do`, and the steps that `on_error` runs.

What a body sees and how it ends is in `workflows/groups.py`. Here is when iterations begin, what is journaled of them,
and how a group ends early: nothing begins in it any more, what is under way in it is settled as when a run unwinds, and
then it fails. Effects that completed in it are taken back only if the run itself unwinds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

from signoff.core.errors import StepError
from signoff.core.labels import BOTTOM, Fields, written_fields
from signoff.runtime import endings
from signoff.runtime.continuing import continued, may_continue
from signoff.runtime.frames import Frame, Frames, Place
from signoff.runtime.handlers import Done, Waiting
from signoff.runtime.paths import fallback, iteration, owner_of
from signoff.runtime.state import CLOSING, FALLBACK, PAUSE, StepRecord, Turn
from signoff.workflows.groups import BodyEnd, after_turn, end_body, end_for, instead_scope, item_scope, turn_scope
from signoff.workflows.model import LOOP_VERBS, Step
from signoff.workflows.semantics import RunScope, StepState, Variable

BODY_ONCE = frozenset(("do", "plan"))
"""Groups whose body runs once."""


def body_of(step: Step, *, instead: bool) -> Sequence[Step]:
    """The steps inside one: of a group, or `instead` those of its `on_error`."""
    return step.fallback if instead else step.body


def scope_inside(
    step: Step,
    record: StepRecord,
    around: RunScope,
    states: Mapping[str, StepState],
    *,
    index: int | None,
    offset: int = 0,
) -> RunScope:
    """What one iteration sees; with no index, what the steps of an `on_error` see.

    `offset`: how many turns of the loop were in the runs that this one continues.
    """
    labels = record.labels
    control = labels if record.control is None else record.control
    if index is None:
        waiting = record.waiting
        error = waiting.state["error"] if waiting is not None and waiting.kind == FALLBACK else record.error or {}
        return instead_scope(step, around, states, error=error, labels=labels)
    if step.verb in BODY_ONCE:
        # A `do` with arguments is a fragment in use: its steps see them, and they are as the journal has them.
        fields = {(name,): control.join(one) for name, one in record.argument_labels.items()}
        given = {"given": Variable(record.arguments["with"], labels, fields)} if "with" in record.arguments else None
        return around.inside(states, given, control)
    if step.verb == "for":
        item = cast("list[Any]", record.arguments["items"])[index]
        return item_scope(step, around, states, index=index, item=item, labels=control)
    last: Mapping[str, Any] = record.arguments.get("start", {})
    # What a turn starts from is labelled by field, as what it gives is: the proof tells them apart too.
    fields: Fields = {(name,): control.join(one) for name, one in record.argument_labels.items()}
    if index > 0:
        before = record.turns[index - 1]
        last, labels, fields = before.output, before.labels, before.fields
        control = labels if before.control is None else before.control
    return turn_scope(around, states, index=offset + index, last=last, labels=labels, control=control, fields=fields)


class Group:
    """A group under way, or a failed step whose `on_error` steps are.

    Attributes:
        step: its definition.
        record: what the journal says of it.
        instead: whether these are the steps of its `on_error`.
        closing: why it ends early; none while it goes on.
        deadline: when its time is over.
    """

    def __init__(self, program: Frames, step: Step, record: StepRecord, around: RunScope, *, instead: bool) -> None:
        self._program = program
        self._run = program.run
        self._around = around
        self.step = step
        self.record = record
        self.instead = instead
        self.closing: StepError | None = None
        self.deadline: datetime | None = None
        self._active: dict[int, Frame] = {}
        self._next = 0
        self._count = 1
        if not instead and step.timeout_s is not None and record.tried_at is not None:
            self.deadline = record.tried_at + timedelta(seconds=step.timeout_s)

    def begin(self) -> None:
        """Open what may be open now; after a load the same iterations as before, as they begin in order."""
        waiting, step, turns = self.record.waiting, self.step, self.record.turns
        if step.verb == "for" and not self.instead:
            self._count = len(self.record.arguments["items"])
            broken = [turns[index] for index in sorted(turns) if turns[index].status != "done"]
            if broken and not self._collects():
                self.closing = _error_of(broken[0].error)
        elif step.verb in LOOP_VERBS:
            self._next = len(turns)
        if waiting is not None and waiting.kind == CLOSING:
            self.closing = _error_of(waiting.state["error"])
        if self.closing is not None or (step.verb == "for" and not self.instead):
            self._reopen_busy()
        if self.closing is None:
            self._open_more(self._run.engine.clock.now())
        if any(frame.failed for frame in self._active.values()):
            self.body_failed()

    def look(self, now: datetime) -> None:
        """A moment may have come: its time is over, or its next turn begins. Or nothing is under way in it."""
        if self._program.closing(self.record.path):
            return  # what is around it ends, and it is settled with that
        if self.deadline is not None and self.closing is None and now >= self.deadline:
            error = StepError(f"not ended within {self.step.timeout_s:g} s", kind="timeout")
            state = {"error": endings.describe(error)}
            endings.wait(self._run, self.record, Waiting(CLOSING, None, state, "what is under way in it is ended"))
            self._close(error)
        elif not self._active:
            self._go_on(now)

    def _go_on(self, now: datetime) -> None:
        if self._program.closing(self.record.path):
            return
        if self.closing is not None:
            self._closed()
            return
        self._open_more(now)
        if not self._active and self.step.verb == "for":
            self._end_for()

    def catches(self) -> bool:
        """Whether a failure in its body ends there, and does not fail whatever is around it."""
        if self.instead:
            return False
        return self.step.error_mode != "fail" or self._collects()

    def _collects(self) -> bool:
        return self.step.verb == "for" and self.step.settings["failures"] == "collect"

    def body_failed(self) -> None:
        """A step of an iteration failed with nothing to catch it."""
        if self.closing is None and not self._collects():
            self._close(StepError(f"a step of '{self.record.path}' failed"))

    def _close(self, error: StepError) -> None:
        self.closing = error
        self._program.touch(list(self._active.values()))
        if not self._active:
            self._closed()

    # --- opening -----------------------------------------------------------------------------------------------

    def _open(self, index: int) -> None:
        place = None if self.instead else index
        path = self.record.path
        prefix = fallback(path) if place is None else iteration(path, index)
        states = self._run.state.ended_in(prefix)
        offset = self._program.turns_before(path)
        scope = scope_inside(self.step, self.record, self._around, states, index=place, offset=offset)
        self._active[index] = self._program.open_frame(self, Place(path, self.step, self.instead, prefix, scope, index))

    def _open_more(self, now: datetime) -> None:
        if self.instead or self.step.verb in BODY_ONCE:
            self._open(0)
        elif self.step.verb == "for":
            turns, at_once = self.record.turns, self.step.settings["at_once"]
            while self._next < self._count and len(self._active) < at_once:
                index, self._next = self._next, self._next + 1
                if index not in turns and index not in self._active:
                    self._open(index)
        elif not self._pauses(now):
            self._open(self._next)

    def _pauses(self, now: datetime) -> bool:
        waiting = self.record.waiting
        return waiting is not None and waiting.kind == PAUSE and waiting.until is not None and waiting.until > now

    def _reopen_busy(self) -> None:
        """After a load: what is under way, to be settled where it ends; a retry may have made earlier ones void."""
        for prefix in [other for other in self._run.state.busy if other.startswith(f"{self.record.path}[")]:
            owner, index = owner_of(prefix)
            if owner == self.record.path and index is not None:
                self._open(index)

    # --- ending ------------------------------------------------------------------------------------------------

    def body_over(self, frame: Frame) -> None:
        """All steps of an iteration have ended, and nothing of it begins any more."""
        self._program.close_frame(frame)
        del self._active[frame.index]
        end = self._body_end(frame)
        if end is None:
            self._closed()
        elif self.instead:
            self._end_instead(end)
        elif self.step.verb == "for":
            self._item_over(frame, end)
        elif self.step.verb in BODY_ONCE:
            self._end(end)
        else:
            self._turn_over(frame, end)

    def _body_end(self, frame: Frame) -> BodyEnd | None:
        """How an iteration ended; none where it was cut short because the group ends."""
        steps = self._run.state.steps
        errors = {name: steps[frame.prefix + name].error or {} for name in frame.ended if _is_failed(frame, name)}
        if self.closing is not None and (self.record.waiting is not None or not frame.failed):
            return None
        give = self.step.fallback_give if self.instead else self.step.give
        return end_body(body_of(self.step, instead=self.instead), give, frame.scope, frame.ended, errors)

    def _closed(self) -> None:
        """One more iteration of a group that ends early is settled."""
        if self._active or self.closing is None:
            return
        if self.instead:
            self._end_instead(BodyEnd("failed", error=self.closing))
        elif self.step.verb == "for" and self.record.waiting is None:
            self._end_for()
        else:
            self._end(BodyEnd("failed", labels=self.record.labels, error=self.closing))

    def _item_over(self, frame: Frame, end: BodyEnd) -> None:
        # Which items failed and which did not is told where failures are collected: what decided that is kept too.
        more = {"control": end.ended.as_dict()} if self._collects() and end.ended != BOTTOM else {}
        end = self._turned(frame.index, end, more)
        if end.status != "done" and not self._collects() and self.closing is None:
            self._close(end.error or StepError("it has no data", kind="blocked"))
            return
        self._go_on(self._run.engine.clock.now())

    def _end_for(self) -> None:
        ends = {index: _end_of(turn) for index, turn in self.record.turns.items()}
        record = self.record
        control = record.labels if record.control is None else record.control
        end = end_for(self.step, self._count, ends, record.labels, parent=self._around, control=control)
        if end is None:
            end = BodyEnd("failed", labels=self.record.labels, error=self.closing)
        self._end(end)

    def _turn_over(self, frame: Frame, end: BodyEnd) -> None:
        before, renew = self._program.turns_before(self.record.path), self.step.settings.get("renew")
        turns = frame.index + 1 + before
        after = after_turn(self.step, frame.scope, end, turns=frame.index + 1 if renew else turns)
        if isinstance(after, BodyEnd):
            if after.status == "done" and renew:
                after = replace(after, output={**after.output, "turns": turns})
            self._end(after)
            return
        every_s, now = self.step.settings.get("every"), self._run.engine.clock.now()
        more: dict[str, Any] = {"again": True}
        if every_s:
            more["next_at"] = now + timedelta(seconds=every_s)
        more["control"] = after.control.as_dict()
        turned = self._turned(frame.index, BodyEnd("done", after.last, after.labels, fields=after.fields), more)
        if turned.status != "done":
            self._end(turned)
            return
        self._next = frame.index + 1
        if self._renews(frame.index + 1):
            path, next_at = self.record.path, more.get("next_at")
            if continued(self._run, path, after.last, after.labels, turns=turns, next_at=next_at):
                return
        self._go_on(now)

    def _renews(self, turns: int) -> bool:
        """Whether the loop goes on in a new run: as declared, or before the journal is full."""
        if self.step.verb != "repeat":
            return False
        run, renew = self._run, self.step.settings.get("renew")
        share = run.engine.settings.renew_share
        long = (renew is not None and turns >= renew) or run.state.last_seq > share * run.most_events
        return long and "/" not in self.record.path and may_continue(run, self.record.path)

    def _turned(self, index: int, end: BodyEnd, more: Mapping[str, Any]) -> BodyEnd:
        """Journal the end of an iteration. One whose result is no plain data, or too large, has failed."""
        data: dict[str, Any] = {"step": self.record.path, "index": index, "output": end.output, **more}
        if end.labels != BOTTOM:
            data["labels"] = end.labels.as_dict()
        lower = written_fields(end.labels, end.fields)
        if lower:
            data["fields"] = lower
        if end.status != "done":
            data["status"] = end.status
        if end.error is not None:
            data["error"] = endings.describe(end.error)
        try:
            self._run.emit("group.turned", data)
        except (StepError, TypeError) as error:
            failure = _plain(error)
            end = BodyEnd("failed", labels=end.labels, error=failure)
            failed = {"step": self.record.path, "index": index, "status": "failed", "error": endings.describe(failure)}
            self._run.emit("group.turned", failed)
        return end

    def _end(self, end: BodyEnd) -> None:
        self._program.close_group(self.record.path)
        run, record = self._run, self.record
        if end.status == "blocked":
            reason = "it has no data" if end.error is None else end.error.detail
            labels = record.labels.join(end.labels).as_dict()
            run.emit("step.ended", {"step": record.path, "status": "blocked", "reason": reason, "labels": labels})
            return
        failure = end.error
        if end.status == "done":
            failure = self._done(end, {})
        if failure is not None:
            endings.end_failed(run, self.step, record, failure, labels=end.labels)

    def _done(self, end: BodyEnd, facts: Mapping[str, Any]) -> StepError | None:
        """Journal the output; the error where it is no plain data, or too large."""
        try:
            self._run.end_done(self.record, Done(end.output, end.labels, fields=end.fields), **facts)
        except (StepError, TypeError) as error:
            return _plain(error)
        return None

    def _end_instead(self, end: BodyEnd) -> None:
        """The steps of `on_error` are over. Where they fail, the first failure is the one to tell of."""
        self._program.close_group(self.record.path)
        waiting = self.record.waiting
        assert waiting is not None
        first: Mapping[str, Any] = waiting.state["error"]
        if end.status == "done" and self._done(end, {"via": "fallback", "error": first}) is None:
            return
        endings.end_uncaught(self._run, self.step, self.record, _error_of(first), labels=end.labels)


def _plain(error: StepError | TypeError) -> StepError:
    if isinstance(error, StepError):
        return error
    return StepError(f"'give' is no plain data: {error}", kind="contract")


def _is_failed(frame: Frame, name: str) -> bool:
    return frame.ended[name].status == "failed"


def _end_of(turn: Turn) -> BodyEnd:
    error = None if turn.error is None else _error_of(turn.error)
    status = "failed" if turn.status == "failed" else "blocked" if turn.status == "blocked" else "done"
    return BodyEnd(status, turn.output, turn.labels, error, turn.fields, turn.control or BOTTOM)


def _error_of(data: Mapping[str, Any] | None) -> StepError:
    data = data or {}
    return StepError(str(data.get("detail", "")), kind=str(data.get("kind", "error")))
