"""What moves a run of a workflow in Python: its code, run again over the journal and then on from there.

The ends of its steps are given to the code one at a time, in the order of `seq`, after a load exactly as they were
live, so the code asks for the same steps each time. What it asks for is compared with what is recorded: where they
differ, the run is parked as stuck, with both, and nothing of it is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from signoff.core.errors import NonDeterminismError, StepError
from signoff.runtime import endings
from signoff.runtime.attribute_values import journaled
from signoff.runtime.context import RunContext
from signoff.runtime.continuing import CONTINUED, begun_anew
from signoff.runtime.paths import is_undo, undone_by
from signoff.runtime.program import Beginning, Conclusion
from signoff.runtime.python_replay import Replay, command_of
from signoff.runtime.state import StepRecord
from signoff.workflows.model import Step
from signoff.workflows.python.commands import Continuation
from signoff.workflows.python.driver import Issued
from signoff.workflows.semantics import Ended, RunScope


class PythonProgram:
    """Implements `program.Program` for a workflow in Python.

    Raises:
        NonDeterminismError: the code asks for something else than is recorded, or awaits what is no command.
        EnvironmentMissingError: the packages that the project asks for are not here, or others than the run began with.
    """

    unbegun: list[Step]

    def __init__(self, run: RunContext) -> None:
        self.run = run
        self.unbegun = []  # what is not begun yet was not asked for yet
        self.rebuild()

    def rebuild(self) -> None:
        """Run the code again over everything that the journal has."""
        run, code = self.run, self.run.workflow.python
        assert code is not None
        self._replay = Replay(
            code,
            run.state,
            run_id=run.run_id,
            labels=run.scope.labels("input", ()),
            outcomes=frozenset(outcome.name for outcome in run.workflow.outcomes),
            code_s=run.engine.settings.code_s,
        )
        self._driver, self._wanted, self._ends = self._replay.driver, self._replay.wanted, self._replay.ends

    # --- what happens ------------------------------------------------------------------------------------------

    def told(self, record: StepRecord) -> None:
        """A step has ended: the code gets to know it when it is next asked to go on."""
        if not is_undo(record.path):
            self._ends.append(record)

    def proceed(self) -> None:
        """Give the code what has ended, and begin what it asks for, until it waits."""
        run = self.run
        try:
            while run.state.unwinding is None and not run.stale:
                self._note_attributes()
                if self._ends:
                    self._replay.deliver(self._ends.popleft(), {})
                elif self._wanted:
                    self._begin(self._wanted.popleft())
                else:
                    return
        except NonDeterminismError:
            # It is loaded anew, where the same happens and parks it as stuck: what has ended goes to the journal first.
            run.stale = True

    def _note_attributes(self) -> None:
        """Journal what the code has said since; what the run was started with stays."""
        given: Mapping[str, Any] = self.run.state.started.get("attributes") or {}
        found: dict[str, Any] = {}
        for name, item in self._driver.attributes.items():
            value = None if name in given else journaled(item["type"], item["value"])
            if value is not None and self.run.state.attributes.get(name) != value:
                found[name] = value
        if found:
            self.run.emit("run.attributes", {"attributes": found})

    def _begin(self, issued: Issued) -> None:
        record = self.run.state.steps.get(issued.path)
        if record is not None and record.state is not None:
            return  # skipped by a person before it could begin
        decision = issued.decision
        if isinstance(decision, Ended):
            endings.end_early(self.run, issued.step, issued.path, decision)
            return
        command = command_of(issued)
        del command["step"]
        if issued.patches:
            command["patches"] = list(issued.patches)
        if self._replay.environment is not None:
            command["environment"] = self._replay.environment
        self.run.begin(
            Beginning(
                issued.step,
                issued.path,
                decision.arguments,
                decision.labels,
                needed=decision.needed,
                command=command,
            )
        )

    def failed(self, step: Step, record: StepRecord, error: StepError) -> None:
        """The code gets the failure where it awaits the step; what nothing catches there fails the run."""

    def fall_back(self, step: Step, record: StepRecord) -> None:
        """Steps in Python have no `on_error`: the code catches what it wants to."""

    def drop(self) -> list[str]:
        """Nothing of the code runs any more, and what it asked for and has not begun was never there."""
        self._driver.close()
        self._wanted.clear()
        self._ends.clear()
        return []

    # --- what paths mean ---------------------------------------------------------------------------------------

    def step(self, path: str) -> Step:
        """The definition behind a path; of `refund/undo` the compensation.

        Raises:
            KeyError: the code has not asked for such a step.
        """
        step = self._driver.issued[undone_by(path)].step
        if not is_undo(path):
            return step
        if step.undo is None:
            raise KeyError(path)
        return step.undo

    def expects(self, path: str) -> bool:
        """Whether the code waits for that step: of what it asks for later nothing is known."""
        return self._driver.waits_for(path)

    def passed(self, path: str) -> bool:  # noqa: ARG002  (the protocol has it)
        """Not known: what the code does not ask for, it may never have asked for."""
        return False

    def begins(self, path: str) -> bool:
        """The code waits for it, or has asked for it."""
        return path in self._driver.issued

    def scope(self, path: str) -> RunScope:  # noqa: ARG002  (the protocol has it)
        """The run's own; the arguments of steps in Python are values already."""
        return self.run.scope

    def named(self, path: str, name: str) -> str:  # noqa: ARG002  (the protocol has it)
        """A step in Python names others by their paths."""
        return name

    def closing(self, path: str) -> bool:  # noqa: ARG002  (the protocol has it)
        """A gather lets all its branches end."""
        return False

    def moment(self) -> datetime | None:
        """None: waits are steps."""
        return None

    # --- the end -----------------------------------------------------------------------------------------------

    def over(self) -> bool:
        """Whether the code has returned or raised."""
        return self._driver.finished is not None and not self._wanted and not self._ends

    def conclude(self) -> Conclusion:
        """The outcome that it returned, and what the run gives.

        Raises:
            StepError: it raised, or returned no outcome.
        """
        finished = self._driver.finished
        assert finished is not None
        if isinstance(finished, StepError):
            if self._driver.failed_step is not None:
                error = {"step": self._driver.failed_step, **endings.describe(finished)}
                self.run.unwind(cause="failed", error=error)
            raise finished
        if isinstance(finished, Continuation):
            run_id = begun_anew(self.run, finished.input, self._driver.labels)
            return Conclusion(CONTINUED, {"run_id": str(run_id)}, self._driver.labels)
        return Conclusion(finished.name, finished.output, self._driver.labels)
