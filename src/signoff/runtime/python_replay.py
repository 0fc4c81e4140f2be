"""A workflow's code, run over the ends of steps that a journal has, and what it asks for held against what is recorded.

Nothing is executed and nothing written: the same is done to go on with a run, and to find out whether another release's
code would.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from signoff.core.labels import Labels
from signoff.runtime.paths import is_undo
from signoff.runtime.python_environment import check_environment
from signoff.runtime.state import RunState, StepRecord
from signoff.workflows.model import PythonFunction
from signoff.workflows.python.driver import Driver, Issued
from signoff.workflows.python.errors import CommandMismatchError

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


class Replay:
    """The code, where the journal has brought it.

    Args:
        code: the workflow's.
        state: of the run.
        run_id: whose it is.
        labels: of the whole input.
        outcomes: the names that it may end with.
        code_s: how long the code may run from one await to the next, in seconds.

    Attributes:
        driver: of the code.
        wanted: what it asks for that is not recorded.
        ends: ends of steps that it has not been given yet, in order.
        environment: the digest of the packages that it runs with; none where it asks for none.

    Raises:
        NonDeterminismError: the code asks for something else than is recorded, or awaits what is no command.
        EnvironmentMissingError: the packages that the project asks for are not here, or others than the run began with.
    """

    def __init__(
        self,
        code: PythonFunction,
        state: RunState,
        *,
        run_id: UUID,
        labels: Labels,
        outcomes: frozenset[str],
        code_s: float,
    ) -> None:
        recorded = {path: record for path, record in state.steps.items() if not is_undo(path) and _begun(record)}
        commands = _commands(state)
        self.environment = check_environment(code.requires, commands)
        self.wanted: deque[Issued] = deque()
        assert state.started_at is not None
        self.driver = Driver(
            code.load(),
            run_id=run_id,
            input_value=state.started["input"],
            started_at=state.started_at,
            labels=labels,
            outcomes=outcomes,
            recorded=frozenset(recorded),
            patches=frozenset(patch for command in commands for patch in command.get("patches", ())),
            code_s=code_s,
        )
        ends = [record for record in recorded.values() if record.state is not None]
        self.ends = deque(sorted(ends, key=lambda record: record.ended_seq))
        self.driver.start()
        self._compare(recorded)
        while self.ends:
            self.deliver(self.ends.popleft(), recorded)
        for record in recorded.values():
            if record.path not in self.driver.issued:
                raise self._mismatch(record)

    def deliver(self, record: StepRecord, recorded: Mapping[str, StepRecord]) -> None:
        """Give the code the end of a step; what it then asks for is held against what is recorded.

        Raises:
            NonDeterminismError: it does not wait for that step, or asks for something else.
        """
        if not self.driver.waits_for(record.path):
            raise self._mismatch(record)
        assert record.state is not None
        assert record.ended_at is not None
        self.driver.deliver(record.path, record.state, record.error, at=record.ended_at)
        self._compare(recorded)

    def _compare(self, recorded: Mapping[str, StepRecord]) -> None:
        """Hold the commands that just came against what is recorded under their paths."""
        while self.driver.new:
            issued = self.driver.new.popleft()
            record = recorded.get(issued.path)
            if record is None:
                self.wanted.append(issued)
            elif record.command is not None and _differs(issued, record, record.command):
                raise self._mismatch(record, issued)

    def _mismatch(self, record: StepRecord, issued: Issued | None = None) -> CommandMismatchError:
        """What to tell: the recorded command, and the one that is there in its place."""
        if issued is None and self.wanted:
            issued = self.wanted[0]
        now: dict[str, Any] = {} if issued is None else command_of(issued)
        if issued is None and self.driver.finished is not None:
            now = {"ends": str(getattr(self.driver.finished, "name", self.driver.finished))}
        was = {"step": record.path, **(record.command or {})}
        told = _told(now) if now else "nothing, and waits"
        detail = f"the journal has {_told(was)}; run again, the code asks for {told}"
        if issued is not None and was.keys() >= {"verb"} and _told(was) == _told(now):
            was["arguments"], now["arguments"] = _shown(record.arguments), _shown(issued.arguments)
            detail = f"{_told(was)} was asked for with {was['arguments']}; run again, with {now['arguments']}"
        return CommandMismatchError(detail, recorded=was, now=now)


def command_of(issued: Issued) -> dict[str, Any]:
    """A command as a journal has it, with its file and line."""
    step = issued.step
    return {"step": issued.path, "verb": step.verb, "target": step.target, "at": str(issued.place)}


def _commands(state: RunState) -> list[Mapping[str, Any]]:
    return [record.command for record in state.steps.values() if record.command is not None]


def _begun(record: StepRecord) -> bool:
    return record.attempt > 0 or record.state is not None


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
