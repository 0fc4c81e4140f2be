"""One run in memory: what is ready starts, what has ended is journaled, and what only waits leaves memory.

A run is a function from its journal to what it does next: `advance` looks at the state alone. Pure steps are computed
inline; others become tasks (`attempts.py`). Failure and cancellation are in `unwinding.py`, leaving memory in
`resting.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from signoff.runtime import attempts, cutting_off, endings, operating, resting, settling, unwinding
from signoff.runtime.calling import raised
from signoff.runtime.context import RunContext
from signoff.runtime.documents import DocumentProgram
from signoff.runtime.handlers import Message, PureHandler
from signoff.runtime.program import NAMING, Beginning, Program
from signoff.runtime.python_program import PythonProgram
from signoff.runtime.state import RunState, StepRecord


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


def _steered(state: RunState) -> bool:
    """Whether people have asked for anything that is still to be looked after."""
    return state.unwinding is not None or state.operated.paused is not None or bool(state.operated.skips)


class RunExecution(RunContext):
    """A run that this worker owns, and what moves it."""

    __slots__ = ()

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
        if (record is None or record.attempt == 0) and not self.program.expects(path):
            # A compensation is there once it has begun; keeping a message for it would look like that.
            return "late" if self.program.passed(path) else "unknown"
        return "late" if record is not None and record.state is not None else "accepted"

    def advance(self) -> None:
        """Start whatever may start now, and rest when nothing can."""
        # Once the journal is lost every intent fails at once: steps would be tried again and again until the session
        # gives its runs up, each time with a report to whoever has the run.
        if self.resting or self.abandoned or self.engine.journal.lost:
            return
        self.spawned = False
        if self.engine.draining():
            self.push()  # nothing new begins; what is under way ends, and another worker goes on from there
            return
        if self.state.end is None and self.state.unwinding is not None:
            self._check_unwinding(self.state.unwinding)
        if self.stale:
            pass  # what it is made of has changed: what is under way ends, and then it is loaded anew
        elif self.state.end is None and not (_steered(self.state) and cutting_off.advance(self)):
            self._check_limits()
            while self.state.unwinding is None:
                self.program.proceed()
                if self.state.last_seq > self.most_events:
                    self._check_history()
                if self.state.unwinding is not None or self.state.end is not None or not self._continue_begun():
                    break
            if self.state.unwinding is not None:
                unwinding.advance(self)
        if self.tasks:
            if not self.spawned:
                self.push()
        else:
            resting.rest(self)

    def _check_limits(self) -> None:
        if self.state.unwinding is None and self.engine.clock.now() >= self.deadline:
            detail = f"the run's time is over ('limits.time'): it had until {self.deadline:%Y-%m-%d %H:%M:%S} UTC"
            self.unwind(cause="failed", error={"kind": "time_limit", "detail": detail})
        if self.state.last_seq > self.most_events:
            self._check_history()

    def _check_history(self) -> None:
        if self.state.last_seq > self.most_events and self.state.unwinding is None:
            detail = f"the journal is full: {self.state.last_seq} events, of {self.most_events} ('limits.events')"
            self.unwind(cause="failed", error={"kind": "history_limit", "detail": detail})

    def _check_unwinding(self, unwinding: Mapping[str, Any]) -> None:
        """Unwinding has room of its own. Where that is used up too, the run ends at once and says what it leaves."""
        most = self.most_events + self.engine.settings.unwinding_events
        if cutting_off.terminating(self.state) or self.state.last_seq <= most:
            return
        detail = "the journal is full, and so is what it has for unwinding"
        error = {**unwinding["error"], "history_limit": detail}
        self.emit("run.unwinding", {"cause": "terminated", "error": error})

    def make_program(self) -> Program:
        """What moves this run, by what its workflow is written in."""
        return DocumentProgram(self) if self.workflow.python is None else PythonProgram(self)

    def begin(self, beginning: Beginning) -> None:
        """Begin a step whose arguments are known: compute it at once, or start its first try."""
        pure = self.engine.pure.get(beginning.step.verb)
        if pure is None:
            attempts.begin(self, beginning)
        else:
            self._compute(pure, beginning)

    def _compute(self, pure: PureHandler, beginning: Beginning) -> None:
        step, path, call = beginning.step, beginning.path, self.call_computed(beginning)
        try:
            given = beginning.argument_labels if step.verb in NAMING else None
            self.end_computed(step, path, beginning.labels, pure.compute(call), {}, given=given)
        except Exception as error:  # noqa: BLE001  (whatever a step raises is its failure)
            # A record of its own: only events change the state.
            record = StepRecord(path, arguments=beginning.arguments, labels=beginning.labels, needed=beginning.needed)
            endings.end_failed(self, step, record, raised(call, error))

    def _continue_begun(self) -> bool:
        """Go on with steps that have begun and have nothing under way: after a load, a message, a moment's coming.

        True where something has ended by that, so that the program has to look again.
        """
        before = self.state.last_seq
        for path, record in list(self.state.open.items()):
            if self.program.closing(path):
                settling.settle(self, self.step(path), record)
            elif path not in self.tasks:
                work = attempts.next_work(self, self.step(path), record, self.engine.clock.now())
                if work is not None:
                    self.spawn(path, work)
        return self.state.last_seq > before
