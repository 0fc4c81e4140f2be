"""What moves a run of a workflow in Python: its code, run again over the journal and then on from there.

The ends of its steps are given to the code one at a time, in the order of `seq`, after a load exactly as they were
live, so the code asks for the same steps each time. What it asks for is compared with what is recorded: where they
differ, the run is parked as stuck, with both, and nothing of it is changed.
"""

from __future__ import annotations

import asyncio
from collections import deque
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
from signoff.runtime.python_environment import check_environment
from signoff.runtime.state import RunState, StepRecord
from signoff.workflows.model import PythonFunction, Step
from signoff.workflows.python.commands import Continuation
from signoff.workflows.python.driver import Driver, Issued
from signoff.workflows.python.errors import CommandMismatchError
from signoff.workflows.semantics import Ended, RunScope

SHOWN_CHARS = 300
"""How much of a command's arguments an error repeats."""


async def prepare(code: PythonFunction, state: RunState) -> None:
    """Import a workflow's code, where this worker may run it: in a thread, as it may load large libraries.

    Raises:
        EnvironmentMissingError: the packages that it asks for are not here, or others than the run began with.
        WorkflowImportError: its file cannot be imported.
    """
    check_environment(code.requires, _commands(state))
    await asyncio.to_thread(code.load)


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
        recorded = {path: record for path, record in run.state.steps.items() if not is_undo(path) and _begun(record)}
        commands = _commands(run.state)
        self._environment = check_environment(code.requires, commands)
        self._wanted: deque[Issued] = deque()
        self._driver = Driver(
            code.load(),
            run_id=run.run_id,
            input_value=run.state.started["input"],
            started_at=run.facts.started_at,
            labels=run.scope.labels("input", ()),
            outcomes=frozenset(outcome.name for outcome in run.workflow.outcomes),
            recorded=frozenset(recorded),
            patches=frozenset(patch for command in commands for patch in command.get("patches", ())),
            code_s=run.engine.settings.code_s,
        )
        ends = [record for record in recorded.values() if record.state is not None]
        self._ends = deque(sorted(ends, key=lambda record: record.ended_seq))
        self._driver.start()
        self._compare(recorded)
        while self._ends:
            self._deliver(self._ends.popleft(), recorded)
        for record in recorded.values():
            if record.path not in self._driver.issued:
                raise self._mismatch(record)

    def _deliver(self, record: StepRecord, recorded: Mapping[str, StepRecord]) -> None:
        if not self._driver.waits_for(record.path):
            raise self._mismatch(record)
        assert record.state is not None
        assert record.ended_at is not None
        self._driver.deliver(record.path, record.state, record.error, at=record.ended_at)
        self._compare(recorded)

    def _compare(self, recorded: Mapping[str, StepRecord]) -> None:
        """Hold the commands that just came against what is recorded under their paths."""
        while self._driver.new:
            issued = self._driver.new.popleft()
            record = recorded.get(issued.path)
            if record is None:
                self._wanted.append(issued)
            elif record.command is not None and _differs(issued, record, record.command):
                raise self._mismatch(record, issued)

    def _mismatch(self, record: StepRecord, issued: Issued | None = None) -> CommandMismatchError:
        """What to tell: the recorded command, and the one that is there in its place."""
        if issued is None and self._wanted:
            issued = self._wanted[0]
        now: dict[str, Any] = {} if issued is None else _command(issued)
        if issued is None and self._driver.finished is not None:
            now = {"ends": str(getattr(self._driver.finished, "name", self._driver.finished))}
        was = {"step": record.path, **(record.command or {})}
        told = _told(now) if now else "nothing, and waits"
        detail = f"the journal has {_told(was)}; run again, the code asks for {told}"
        if issued is not None and was.keys() >= {"verb"} and _told(was) == _told(now):
            was["arguments"], now["arguments"] = _shown(record.arguments), _shown(issued.arguments)
            detail = f"{_told(was)} was asked for with {was['arguments']}; run again, with {now['arguments']}"
        hint = (
            "Run it with the code that it began with, or keep the old way behind ctx.patched for runs that are moved."
        )
        return CommandMismatchError(f"{detail}. {hint}", recorded=was, now=now)

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
                    self._deliver(self._ends.popleft(), {})
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
        command = _command(issued)
        del command["step"]
        if issued.patches:
            command["patches"] = list(issued.patches)
        if self._environment is not None:
            command["environment"] = self._environment
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


def _commands(state: RunState) -> list[Mapping[str, Any]]:
    return [record.command for record in state.steps.values() if record.command is not None]


def _begun(record: StepRecord) -> bool:
    return record.attempt > 0 or record.state is not None


def _command(issued: Issued) -> dict[str, Any]:
    step = issued.step
    return {"step": issued.path, "verb": step.verb, "target": step.target, "at": str(issued.place)}


def _differs(issued: Issued, record: StepRecord, command: Mapping[str, Any]) -> bool:
    same = command.get("verb") == issued.step.verb and command.get("target") == issued.step.target
    return not same or record.arguments != issued.arguments


def _told(command: Mapping[str, Any]) -> str:
    """A command in words."""
    if "ends" in command:
        return f"its end ({command['ends']})"
    what = f"{command.get('verb', '')} {command.get('target', '')}".strip()
    at = f" at {command['at']}" if "at" in command else ""
    return f"'{command['step']}'" + (f" ({what}{at})" if what or at else "")


def _shown(arguments: Mapping[str, Any]) -> str:
    text = str(dict(arguments))
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
