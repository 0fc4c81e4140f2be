"""One run in memory: what is ready starts, what has ended is journaled, and what only waits leaves memory.

A run is a function from its journal to what it does next: `advance` looks at the state alone. Pure steps are computed
inline; others become tasks (`attempts.py`). Failure and cancellation are in `unwinding.py`, leaving memory in
`resting.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from signoff.core.errors import StepError
from signoff.runtime import attempts, resting, unwinding
from signoff.runtime.context import RunContext
from signoff.runtime.handlers import Message
from signoff.workflows.model import Step
from signoff.workflows.semantics import Ended, decide_step, must_wait

CANCEL = "run.cancel"


class RunExecution(RunContext):
    """A run that this worker owns, and what moves it."""

    def receive(self, messages: Sequence[tuple[str, Message]], gen: int) -> None:
        """Take messages from the inbox into the journal. A second copy of one changes nothing."""
        self.gen = gen
        for path, message in messages:
            self._drained.append(message.message_id)
            if message.message_id in self.state.messages:
                continue
            disposition = self._disposition(path, message)
            self.emit(
                "message.received",
                {
                    "message_id": str(message.message_id),
                    "path": path,
                    "kind": message.kind,
                    "sent_by": message.sent_by,
                    "data": message.data,
                    "disposition": disposition,
                },
            )
            if disposition == "cancel":
                self.unwind(cause="cancelled", error={"detail": message.data.get("reason", "")})

    def _disposition(self, path: str, message: Message) -> str:
        if self.state.end is not None:
            return "late"
        if path == "":
            if message.kind != CANCEL:
                return "unknown"
            return "cancel" if self.state.unwinding is None else "late"
        name = path.partition("/")[0]
        if name not in self.steps:
            return "unknown"
        record = self.state.steps.get(path)
        return "late" if record is not None and record.state is not None else "accepted"

    def advance(self) -> None:
        """Start whatever may start now, and rest when nothing can."""
        if self.resting or self.abandoned:
            return
        if self.state.end is None:
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
        if pure is not None:
            record = self.state.record(step.name)
            record.arguments, record.labels, record.needed = decision.arguments, decision.labels, decision.needed
            try:
                self.end_done(record, pure.compute(self.call(step, record)))
            except StepError as error:
                attempts.end_failed(self, step, record, error)
            return
        attempts.begin(self, step, step.name, decision)

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
            attempts.end_failed(self, step, self.state.record(step.name), ended.error)
            return
        self.emit(
            "step.ended",
            {"step": step.name, "status": ended.status, "reason": ended.reason, "review": step.verb == "review"},
        )
