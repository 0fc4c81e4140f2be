"""One run in memory: what is ready starts, what has ended is journaled, and what only waits leaves memory.

A run is a function from its journal to what it does next: `advance` looks at the state alone. Pure steps are computed
inline; others become tasks (`attempts.py`). Failure and cancellation are in `unwinding.py`, leaving memory in
`resting.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from signoff.core.labels import BOTTOM
from signoff.runtime import attempts, cutting_off, operating, resting, unwinding
from signoff.runtime.calling import raised
from signoff.runtime.context import RunContext
from signoff.runtime.handlers import Message, PureHandler
from signoff.runtime.state import StepRecord
from signoff.workflows.model import Step
from signoff.workflows.semantics import Ended, Ready, decide_step, must_wait


def received(path: str, message: Message, disposition: str, reason: str = "") -> dict[str, Any]:
    """A message as the journal tells it."""
    told = {"reason": reason} if reason else {}
    return {
        "message_id": str(message.message_id),
        "path": path,
        "kind": message.kind,
        "sent_by": message.sent_by,
        "data": message.data,
        "disposition": disposition,
        **told,
    }


class RunExecution(RunContext):
    """A run that this worker owns, and what moves it."""

    def receive(self, messages: Sequence[tuple[str, Message]], gen: int) -> None:
        """Take messages from the inbox into the journal. A second copy of one changes nothing."""
        self.gen = gen
        for path, message in messages:
            self._drained.append(message.message_id)
            if message.message_id in self.state.messages:
                continue
            if path == "":
                answer = operating.answer(self, message)
                self.emit("message.received", received(path, message, answer.disposition, answer.reason))
                if answer.then is not None:
                    answer.then()
                continue
            self.emit("message.received", received(path, message, self._disposition(path)))

    def _disposition(self, path: str) -> str:
        if self.state.end is not None:
            return "late"
        record = self.state.steps.get(path)
        if path not in self.steps and (record is None or record.attempt == 0):
            return "unknown"  # a compensation is there once it has begun; keeping a message for it would look like that
        return "late" if record is not None and record.state is not None else "accepted"

    def advance(self) -> None:
        """Start whatever may start now, and rest when nothing can."""
        if self.resting or self.abandoned:
            return
        if self.engine.draining():
            self.push()  # nothing new begins; what is under way ends, and another worker goes on from there
            return
        if self.stale:
            pass  # what it is made of has changed: what is under way ends, and then it is loaded anew
        elif self.state.end is None and not cutting_off.advance(self):
            if self.state.unwinding is None:
                self._check_limits()
                self._begin_ready()
            self._continue_begun()
            if self.state.unwinding is not None:
                unwinding.advance(self)
        if self.tasks:
            self.push()
        else:
            resting.rest(self)

    def _check_limits(self) -> None:
        if self.engine.clock.now() >= self.deadline:
            self.unwind(cause="failed", error={"kind": "time_limit", "detail": "the run's time is over"})
        elif self.state.last_seq > self.engine.settings.history_events:
            self.unwind(cause="failed", error={"kind": "history_limit", "detail": "the journal is full"})

    def _begin_ready(self) -> None:
        progress = True
        while progress and self.state.unwinding is None:
            progress = False
            for step in self.unbegun:
                if must_wait(step, self.state.ended):
                    continue
                self.unbegun.remove(step)
                self._begin(step)
                progress = True
                break

    def _begin(self, step: Step) -> None:
        decision = decide_step(step, self.scope, self.state.ended)
        if isinstance(decision, Ended):
            self.end_early(step, decision)
            return
        pure = self.engine.pure.get(step.verb)
        if pure is None:
            attempts.begin(self, step, step.name, decision)
        else:
            self._compute(pure, step, decision)

    def _compute(self, pure: PureHandler, step: Step, decision: Ready) -> None:
        # A record of its own: only events change the state.
        record = StepRecord(step.name, arguments=decision.arguments, labels=decision.labels, needed=decision.needed)
        call = self.call(step, record)
        try:
            self.end_done(record, pure.compute(call))
        except Exception as error:  # noqa: BLE001  (whatever a step raises is its failure)
            attempts.end_failed(self, step, record, raised(call, error))

    def _continue_begun(self) -> None:
        """Go on with steps that have begun and have nothing under way: after a load, a message, a moment's coming."""
        now = self.engine.clock.now()
        for path, record in list(self.state.steps.items()):
            if record.state is not None or path in self.tasks or record.attempt == 0:
                continue
            work = attempts.next_work(self, self.step(path), record, now)
            if work is not None:
                self.spawn(path, work)

    def end_early(self, step: Step, ended: Ended) -> None:
        """A step ends without having run."""
        if ended.error is not None:
            attempts.end_failed(self, step, StepRecord(step.name, labels=ended.labels), ended.error)
            return
        data: dict[str, Any] = {
            "step": step.name,
            "status": ended.status,
            "reason": ended.reason,
            "review": step.verb == "review",
        }
        if ended.labels != BOTTOM:
            data["labels"] = ended.labels.as_dict()  # its status tells something of what decided it
        self.emit("step.ended", data)
