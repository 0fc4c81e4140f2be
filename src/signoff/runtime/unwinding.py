"""How a run ends other than well (rule 8): nothing new starts, effects under way settle, then compensations run.

Compensations run one at a time, in the reverse order of completion, as steps of the journal like any other. One that
cannot complete waits for a person.
"""

from __future__ import annotations

from typing import Any

from signoff.core.errors import StepError
from signoff.runtime import attempts, endings
from signoff.runtime.attributes import note_attributes
from signoff.runtime.context import RunContext
from signoff.runtime.dry_effects import inherited
from signoff.runtime.paths import UNDO, is_undo
from signoff.runtime.program import Beginning
from signoff.runtime.settling import cancelled, settle
from signoff.runtime.state import StepRecord
from signoff.workflows.errors import Blocked, ExpressionError


def advance(execution: RunContext) -> None:
    """Settle what is under way; when all is settled, undo; when all is undone, end."""
    for path in execution.program.drop():
        cancelled(execution, path)
    # The innermost first: a group ends when what is in it has.
    under_way = [path for path in execution.state.open if not is_undo(path)]
    for path in sorted(under_way, key=lambda path: path.count("/"), reverse=True):
        settle(execution, execution.step(path), execution.state.open[path])
    if execution.state.open:
        _go_on_undoing(execution)
        return
    record = _next_to_undo(execution)
    if record is not None:
        _undo(execution, record)
        return
    unwinding = execution.state.unwinding
    assert unwinding is not None
    if execution.workflow.attributes:
        note_attributes(execution)  # it may never have rested, and is searched for all the same
    execution.emit("run.ended", {"status": unwinding["cause"], "outcome": None, "error": unwinding["error"]})


def _go_on_undoing(execution: RunContext) -> None:
    now = execution.engine.clock.now()
    for path, record in list(execution.state.open.items()):
        if is_undo(path) and path not in execution.tasks:
            work = attempts.next_work(execution, execution.step(path), record, now)
            if work is not None:
                execution.spawn(path, work)


def _next_to_undo(execution: RunContext) -> StepRecord | None:
    """The latest completed effect, of any scope, that has a compensation which has not begun."""
    if execution.to_undo is None:
        steps = execution.state.steps
        todo = [
            record
            for path, record in steps.items()
            if record.state is not None
            and record.state.status == "done"
            and record.via is None
            and not inherited(execution.state, record)
            and not is_undo(path)
            and execution.step(path).undo is not None
            and not _begun(steps.get(f"{path}/undo"))
        ]
        execution.to_undo = sorted(todo, key=lambda record: record.ended_seq)
    return execution.to_undo.pop() if execution.to_undo else None


def _begun(record: StepRecord | None) -> bool:
    return record is not None and (record.attempt > 0 or record.state is not None)


def _undo(execution: RunContext, record: StepRecord) -> None:
    undo = execution.step(record.path).undo
    assert undo is not None
    path = f"{record.path}{UNDO}"
    around = execution.program.scope(record.path)
    scope = around.inside({})
    scope.result = record.state
    try:
        arguments: dict[str, Any] = {key: value.evaluate(scope) for key, value in undo.arguments.items()}
    except (Blocked, ExpressionError) as error:
        execution.emit(
            "step.started",
            {"step": path, "attempt": 1, "arguments": {}, "labels": record.labels.as_dict(), "needed": True},
        )
        endings.end_failed(execution, undo, execution.state.record(path), StepError(error.detail, kind="expression"))
        return
    data = undo.arguments.get("with")
    labels = {} if data is None else {name: part.labels(around) for name, part in data.parts.items()}
    attempts.begin(execution, Beginning(undo, path, arguments, record.labels, labels))
