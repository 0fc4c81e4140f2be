"""What moves a run of a YAML document: a frame per scope, and the steps of each that may begin (rule 2).

The top is a frame; so is each iteration of a group that is under way, and the steps of an `on_error` (`groups.py`).
Frames are found again from the state; work is done for those in which something has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from signoff.core.errors import StepError
from signoff.core.labels import Labels
from signoff.runtime import attempts, endings
from signoff.runtime.context import RunContext
from signoff.runtime.frames import Enclosing, Frame, Place
from signoff.runtime.groups import Group, body_of, scope_inside
from signoff.runtime.paths import is_undo, name_of, owner_of, prefix_of, undone_by
from signoff.runtime.program import NAMING, Beginning, Conclusion
from signoff.runtime.state import FALLBACK, MESSAGES_LATE, StepRecord
from signoff.workflows.concluding import decide_end
from signoff.workflows.groups import items_of, most_turns
from signoff.workflows.labelling import acting_control, labels_of_parts
from signoff.workflows.model import Expression, Step
from signoff.workflows.semantics import Ended, RunScope, decide_step, must_wait

_CUT_OFF = ("bypassed", "cancelled")

BODIES_IN_A_ROW = 200
"""Scopes that are looked at before other runs have their turn."""


class DocumentProgram:
    """Implements `program.Program` for a compiled document."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._bodies: dict[tuple[int, bool], dict[str, Step]] = {}
        self._steps = {step.name: step for step in run.workflow.steps}
        self.rebuild()

    def rebuild(self) -> None:
        """Find all frames again from the state."""
        state = self._run.state
        self._continued: Mapping[str, Any] | None = state.started.get("continued_from")
        self._frames: dict[str, Frame] = {}
        self._groups: dict[str, Group] = {}
        self._changed: dict[str, Frame] = {}
        top = Frame("", self._steps, self._run.scope, state.ended, [])
        top.unbegun = [step for step in self._run.workflow.steps if not _begun(state.steps.get(step.name))]
        self._add(top)
        under_way = [path for path in state.open if not is_undo(path)]
        if len(under_way) > 1:
            under_way.sort(key=lambda path: path.count("/"))
        for path in under_way:
            record, step = state.open[path], self.step(path)
            waits_for_fallback = record.waiting is not None and record.waiting.kind == FALLBACK
            if step.is_group or waits_for_fallback:
                self.open_group(step, record, instead=waits_for_fallback)

    @property
    def run(self) -> RunContext:
        """The run that it moves."""
        return self._run

    @property
    def unbegun(self) -> list[Step]:
        """Steps at the top that have neither begun nor ended."""
        return self._frames[""].unbegun

    # --- what paths mean ---------------------------------------------------------------------------------------

    def step(self, path: str) -> Step:
        """The definition behind a path; of `refund/undo` the compensation.

        Raises:
            KeyError: there is none.
        """
        if "/" not in path:
            return self._steps[path]
        if is_undo(path):
            undo = self.step(undone_by(path)).undo
            if undo is None:
                raise KeyError(path)
            return undo
        return self._steps_in(prefix_of(path))[name_of(path)]

    def _steps_in(self, prefix: str) -> dict[str, Step]:
        if not prefix:
            return self._steps
        owner, index = owner_of(prefix)
        return self.body(self.step(owner), instead=index is None)

    def body(self, step: Step, *, instead: bool) -> dict[str, Step]:
        """The steps inside one, by name: of a group, or `instead` those of its `on_error`."""
        found = self._bodies.get((id(step), instead))
        if found is None:
            found = self._bodies[id(step), instead] = {inner.name: inner for inner in body_of(step, instead=instead)}
        return found

    def expects(self, path: str) -> bool:
        """Whether a step of that path may still come; of a group its iterations only."""
        try:
            step = self.step(path)
            prefix = prefix_of(path)
            while prefix:
                owner, index = owner_of(prefix)
                record = self._run.state.steps.get(owner)
                over = record is not None and (record.state is not None or index in record.turns)
                if over or (index or 0) >= self._most(owner):
                    return False
                prefix = prefix_of(owner)
        except (KeyError, ValueError):
            return False
        return not step.is_group and not is_undo(path)

    def _most(self, group: str) -> int:
        """How many iterations there may be: of a `for` that has begun, how many items there are."""
        record, step = self._run.state.steps.get(group), self.step(group)
        if step.verb == "for" and record is not None and "items" in record.arguments:
            return len(record.arguments["items"])
        return most_turns(step)

    def passed(self, path: str) -> bool:
        """Whether it names a step of a group that has begun, and that the group does not come to any more."""
        try:
            step, prefix = self.step(path), prefix_of(path)
        except (KeyError, ValueError):
            return False
        if not prefix or step.is_group or is_undo(path):
            return False
        return self._run.state.steps.get(owner_of(prefix)[0]) is not None

    def begins(self, path: str) -> bool:
        """Whether the scope of that step is under way: of a later turn, or another item, it is not yet."""
        return prefix_of(path) in self._frames

    def scope(self, path: str) -> RunScope:
        """What the expressions of the step at that path see."""
        prefix = prefix_of(path)
        frame = self._frames.get(prefix)
        if frame is not None:
            return frame.scope
        owner, index = owner_of(prefix)
        record = self._run.state.steps[owner]
        around, states, offset = self.scope(owner), self._run.state.ended_in(prefix), self.turns_before(owner)
        return scope_inside(self.step(owner), record, around, states, index=index, offset=offset)

    def turns_before(self, path: str) -> int:
        """How many turns of a loop were in the runs that this one continues."""
        before = self._run.state.started.get("continued_from")
        return before["turns"] if before is not None and before["loop"] == path else 0

    def named(self, path: str, name: str) -> str:
        """The path of the step that the step at `path` calls `name`."""
        prefix = prefix_of(path)
        while prefix and name not in self._steps_in(prefix):
            prefix = prefix_of(owner_of(prefix)[0])
        return prefix + name

    # --- what happens ------------------------------------------------------------------------------------------

    def told(self, record: StepRecord) -> None:
        """A step has ended: those that waited for it may begin, or its scope has ended with it."""
        path = record.path
        if not is_undo(path):
            frame = self._frames.get(prefix_of(path))
            if frame is not None:
                self._changed[frame.prefix] = frame
                # A person may have had it end before it began; whatever else ends has begun.
                if (
                    record.attempt == 0
                    and frame.unbegun
                    and record.state is not None
                    and record.state.status in _CUT_OFF
                ):
                    name = name_of(path)
                    frame.unbegun[:] = [step for step in frame.unbegun if step.name != name]
            if path in self._groups:
                self._abandon(path)
            if "/" not in path and self._run.state.messages and self._steps[path].is_group:
                self._settle_messages(path)

    def _settle_messages(self, path: str) -> None:
        """A group of the workflow itself has ended: what came for steps in it that never began comes too late."""
        for record in list(self._run.state.steps.values()):
            if record.undelivered and not record.attempt and record.path.startswith((f"{path}[", f"{path}!/")):
                ids = [str(message.message_id) for message in record.undelivered]
                data = {"step": record.path, "name": MESSAGES_LATE, "data": {"message_ids": ids}}
                self._run.emit("step.noted", data)

    def _abandon(self, path: str) -> None:
        """A group has ended from outside: skipped by a person, or as its run unwinds."""
        self._groups.pop(path)
        for prefix in [other for other in self._frames if other.startswith((f"{path}[", f"{path}!/"))]:
            self.close_frame(self._frames[prefix])

    def proceed(self) -> None:
        """Begin whatever may begin, frame by frame, and end scopes and groups that are over."""
        run = self._run
        if self._groups:
            now = run.engine.clock.now()
            for group in list(self._groups.values()):
                group.look(now)
        bodies = 0
        while self._changed and run.state.unwinding is None and run.state.end is None:
            if bodies >= BODIES_IN_A_ROW or run.state.last_seq > run.most_events:
                run.soon()  # a long loop that only computes must not hold up every other run
                return
            bodies += 1
            frame = self._changed.pop(next(iter(self._changed)))
            self._begin_ready(frame)
            if frame.group is not None and run.state.unwinding is None and self._is_over(frame):
                frame.group.body_over(frame)

    def _begin_ready(self, frame: Frame) -> None:
        state, unbegun, progress = self._run.state, frame.unbegun, True
        while progress and state.unwinding is None:
            progress = False
            if frame.group is not None and frame.closing():
                unbegun.clear()
            for place, step in enumerate(unbegun):
                if step.waits_for and must_wait(step, frame.ended):
                    continue
                del unbegun[place]
                self._begin(frame, step)
                progress = True
                break

    def _begin(self, frame: Frame, step: Step) -> None:
        path, skips = frame.prefix + step.name, self._run.state.operated.skips
        if path in skips:  # asked for before its scope was there
            end = {"step": path, "status": "bypassed", **skips[path], "review": step.verb == "review"}
            self._run.emit("step.ended", end)
            return
        decision = decide_step(step, frame.scope, frame.ended)
        if isinstance(decision, Ended):
            endings.end_early(self._run, step, path, decision)
            return
        continued = self._continued
        if continued is not None and step.name == continued["loop"] and not frame.prefix:
            labels = Labels.from_dict(continued["labels"])
            self._begin_group(Beginning(step, path, {"start": continued["last"]}, labels))
            return
        data = step.arguments.get("start", step.arguments.get("with"))
        labels = {} if data is None else _apart(data, frame.scope, decision.labels)
        if step.verb in NAMING:
            labels = labels_of_parts(step, NAMING[step.verb], frame.scope, frame.ended)
        control = acting_control(step, frame.scope, frame.ended)
        beginning = Beginning(step, path, decision.arguments, decision.labels, labels, decision.needed, control=control)
        if step.is_group:
            self._begin_group(beginning)
        else:
            self._run.begin(beginning)

    def _begin_group(self, beginning: Beginning) -> None:
        step, path = beginning.step, beginning.path
        try:
            if step.verb == "for":
                items_of(step, beginning.arguments)
        except StepError as error:
            endings.end_early(self._run, step, path, Ended("failed", error.detail, error, beginning.labels))
            return
        record = attempts.started(self._run, beginning)
        if record is not None:
            self.open_group(step, record, instead=False)
            self._groups[path].look(self._run.engine.clock.now())

    def _is_over(self, frame: Frame) -> bool:
        return frame.prefix in self._frames and not frame.unbegun and frame.prefix not in self._run.state.busy

    def failed(self, step: Step, record: StepRecord, error: StepError) -> None:  # noqa: ARG002  (the protocol has it)
        """A failure ends the scope around it; where nothing further out catches it, the run unwinds at once."""
        frame = self._frames.get(prefix_of(record.path))
        if frame is not None and frame.group is not None:
            frame.failed = True
            frame.group.body_failed()
            if self._caught_around(frame):
                self._changed[frame.prefix] = frame
                return
        self._run.unwind(cause="failed", error={"step": record.path, **endings.describe(error)})

    def _caught_around(self, frame: Frame) -> bool:
        """Whether anything around a frame catches a failure in it."""
        inner: Frame | None = frame
        while inner is not None and inner.group is not None:
            if inner.group.catches():
                return True
            inner = inner.parent
        return False

    def fall_back(self, step: Step, record: StepRecord) -> None:
        """Begin the steps that `on_error` runs instead of a failed one."""
        self.open_group(step, record, instead=True)

    def closing(self, path: str) -> bool:
        """Whether the scope of that step, or one around it, is being ended although the run goes on."""
        if "/" not in path or is_undo(path):
            return False
        frame = self._frames.get(prefix_of(path))
        return frame is not None and frame.closing()

    def moment(self) -> datetime | None:
        """When the first group is over its time; at once where there is more to begin than could be at one go."""
        if self._changed:
            return self._run.engine.clock.now()
        deadlines = [group.deadline for group in self._groups.values() if group.closing is None]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def drop(self) -> list[str]:
        """Nothing begins any more. Only what is unbegun at the top is told of; inside, the group's end tells it."""
        top = self._frames[""]
        dropped = [step.name for step in top.unbegun]
        for frame in self._frames.values():
            frame.unbegun.clear()
        return dropped

    def over(self) -> bool:
        """Whether all steps at the top have ended."""
        return len(self._run.state.ended) == len(self._steps)

    def conclude(self) -> Conclusion:
        """The first outcome whose condition is true, and what it gives.

        Raises:
            StepError: none is, or one cannot be evaluated.
        """
        end = decide_end(self._run.workflow, self._run.scope)
        return Conclusion(end.outcome, end.output, end.labels, end.fields)

    # --- frames ------------------------------------------------------------------------------------------------

    def open_group(self, step: Step, record: StepRecord, *, instead: bool) -> None:
        """A group, or the steps of an `on_error`, is under way."""
        around = self._frames[prefix_of(record.path)]
        group = Group(self, step, record, around.scope, instead=instead)
        self._groups[record.path] = group
        group.begin()

    def open_frame(self, group: Enclosing, place: Place) -> Frame:
        """A scope inside is under way, perhaps since long ago."""
        state, prefix = self._run.state, place.prefix
        steps = self.body(place.step, instead=place.instead)
        around = self._frames[prefix_of(place.path)]
        frame = Frame(prefix, steps, place.scope, state.ended_in(prefix), [], around, group, place.index)
        frame.unbegun = [step for step in steps.values() if not _begun(state.steps.get(prefix + step.name))]
        frame.failed = any(_failed(state.steps.get(prefix + name)) for name in frame.ended)
        return self._add(frame)

    def close_frame(self, frame: Frame) -> None:
        """A scope inside has ended."""
        self._frames.pop(frame.prefix, None)
        self._changed.pop(frame.prefix, None)

    def close_group(self, path: str) -> None:
        """A group is under way no more."""
        self._groups.pop(path, None)

    def _add(self, frame: Frame) -> Frame:
        self._frames[frame.prefix] = frame
        self._changed[frame.prefix] = frame
        return frame

    def touch(self, frames: list[Frame]) -> None:
        """Look at these again."""
        for frame in frames:
            self._changed[frame.prefix] = frame


def _apart(data: Expression, scope: RunScope, whole: Labels) -> dict[str, Labels]:
    """The labels of those members that are not known to have the labels of the whole."""
    return {name: own for name, part in data.parts.items() if (own := part.labels(scope)) is not whole}


def _begun(record: StepRecord | None) -> bool:
    return record is not None and (record.attempt > 0 or record.state is not None)


def _failed(record: StepRecord | None) -> bool:
    return record is not None and record.state is not None and record.state.status == "failed" and not record.caught
