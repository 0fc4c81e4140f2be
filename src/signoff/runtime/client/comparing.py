"""Would a run's journal still be that of another release's workflow? A dry run by replay, without executing anything.

Every recorded step is looked for in the other workflow, with the shape of its arguments and with what decided that it
ran or did not. What has not begun may differ: it has no past to contradict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from signoff.core.schemas import validate
from signoff.runtime.paths import is_undo, name_of, owner_of, prefix_of, undone_by
from signoff.runtime.state import RunState, StepRecord
from signoff.workflows.model import Expression, Step, Workflow, every_step

EXPRESSIONS = ("when", "needed", "once", "on_error", "give", "until", "fallback_give")
CONSTANTS = ("verb", "target", "requires", "error_mode", "settings")


@dataclass(frozen=True, slots=True)
class Difference:
    """How a step differs between two releases.

    Attributes:
        step: its path in the run, or its name where it has not begun.
        what: in words.
        begun: it has a past in the run, which would be another one: the run cannot be moved.
        recorded: of a workflow in Python: the command that the journal has, with its file and line (`at`).
        now: the one that the other release's code asks for in its place; empty where it asks for nothing.
    """

    step: str
    what: str
    begun: bool
    recorded: Mapping[str, Any] | None = None
    now: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The difference for JSON."""
        found: dict[str, Any] = {"step": self.step, "what": self.what, "begun": self.begun}
        if self.recorded is not None:
            found |= {"recorded": dict(self.recorded), "now": dict(self.now or {})}
        return found


def only_code_tells(old: Workflow | None, new: Workflow) -> bool:
    """Whether what would differ is known only once a worker has run the other release's code over the journal."""
    if new.python is None or (old is not None and old.python is None):
        return False
    return old is None or old.digest != new.digest


def compare(
    state: RunState, old: Workflow | None, new: Workflow, *, rehearsed: Sequence[Difference] | None = None
) -> list[Difference]:
    """What would differ for this run.

    Args:
        state: of the run.
        old: the workflow that it executes; none where its release cannot be had, and its journal alone must do.
        new: the workflow that it would execute.
        rehearsed: of code, what a worker found; none where nobody has asked one.
    """
    if old is not None and old.digest == new.digest:
        return []
    if old is not None and (old.python is None) != (new.python is None):
        return [Difference("", "one of both is written in Python, and the other is not", begun=True)]
    if new.python is not None and rehearsed is not None:
        found = list(rehearsed)
    elif new.python is not None:
        # No code of projects runs here. A worker runs it over the journal, and parks the run where it disagrees.
        told = "it is code: a worker runs it over the journal, and the run is stuck where it asks for something else"
        found = [Difference("", told, begun=False)]
    else:
        found = [*_recorded(state, old, new), *_to_come(state, old, new)]
    wrong = validate(new.input_schema, state.started["input"])
    found += [Difference("", f"the input does not match: {problem}", begun=True) for problem in wrong]
    return sorted(found, key=lambda difference: (not difference.begun, difference.step))


def _recorded(state: RunState, old: Workflow | None, new: Workflow) -> Iterator[Difference]:
    for path, record in state.steps.items():
        if record.attempt == 0 and record.state is None:
            continue
        if is_undo(path):
            continue  # of the step that it undoes
        after = find_step(new, path)
        if after is None:
            yield Difference(path, "it is not there any more", begun=True)
            continue
        before = None if old is None else find_step(old, path)
        texts = changes(before, after) if before is not None else _unlike(record, after)
        for text in [*texts, *_out_of_order(state, path, after, before)]:
            yield Difference(path, text, begun=True)


def _to_come(state: RunState, old: Workflow | None, new: Workflow) -> Iterator[Difference]:
    known = {} if old is None else {step.name: step for step in old.steps}
    for step in new.steps:
        if _has_begun(state, step.name):
            continue
        if old is not None and step.name not in known:
            yield Difference(step.name, "it is new", begun=False)
        elif step.name in known:
            for text in changes(known[step.name], step):
                yield Difference(step.name, text, begun=False)
    there = {step.name for step in new.steps}
    for name in known.keys() - there:
        if not _has_begun(state, name):
            yield Difference(name, "it is not there any more", begun=False)
    if old is not None and _outcomes(old) != _outcomes(new):
        yield Difference("", "the outcomes are others", begun=False)


def _has_begun(state: RunState, name: str) -> bool:
    record = state.steps.get(name)
    return record is not None and (record.attempt > 0 or record.state is not None)


def _outcomes(workflow: Workflow) -> list[tuple[str, str]]:
    return [(outcome.name, outcome.condition.source) for outcome in workflow.outcomes]


def find_step(workflow: Workflow, path: str) -> Step | None:
    """The definition behind a path; of a compensation, of the step that it undoes."""
    path = undone_by(path)
    prefix = prefix_of(path)
    if not prefix:
        steps = workflow.steps
    else:
        owner, index = owner_of(prefix)
        around = find_step(workflow, owner)
        if around is None:
            return None
        steps = around.fallback if index is None else around.body
    return next((step for step in steps if step.name == name_of(path)), None)


def changes(before: Step, after: Step) -> list[str]:
    """How a step's definition changed, in words."""
    found = [
        f"'{name}' was {getattr(before, name)!r} and is {getattr(after, name)!r}"
        for name in CONSTANTS
        if getattr(before, name) != getattr(after, name)
    ]
    for name in EXPRESSIONS:
        old, new = _source(getattr(before, name)), _source(getattr(after, name))
        if old != new:
            found.append(f"'{name}' was {old} and is {new}")
    found += _changed_arguments(before.arguments, after.arguments)
    if (before.undo is None) != (after.undo is None):
        found.append("it had no 'undo' and has one" if before.undo is None else "it had an 'undo' and has none")
    elif before.undo is not None and after.undo is not None:
        found += [f"in 'undo': {text}" for text in changes(before.undo, after.undo)]
    if not before.is_group and [step.source for step in before.asserts] != [step.source for step in after.asserts]:
        found.append("its assertions are others")
    return found


def _changed_arguments(before: Mapping[str, Expression], after: Mapping[str, Expression]) -> list[str]:
    found = [f"'{key}' is gone" for key in before.keys() - after.keys()]
    found += [f"'{key}' is new" for key in after.keys() - before.keys()]
    for key in before.keys() & after.keys():
        if before[key].source != after[key].source:
            found.append(f"'{key}' was {before[key].source} and is {after[key].source}")
    return sorted(found)


def _source(expression: Expression | None) -> str:
    return "not there" if expression is None else expression.source


def _unlike(record: StepRecord, after: Step) -> list[str]:
    """What a recorded step says against a definition, where its own is not there to compare with."""
    if record.attempt == 0:
        return []
    recorded, wanted = set(record.arguments), set(after.arguments)
    found = [f"its arguments had '{key}'" for key in sorted(recorded - wanted)]
    found += [f"its arguments had no '{key}'" for key in sorted(wanted - recorded)]
    for key in recorded & wanted:
        value, parts = record.arguments[key], after.arguments[key].parts
        names = set(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else set[str]()
        if parts and names != set(parts):
            found.append(f"'{key}' had {', '.join(sorted(names)) or 'nothing'}")
    if (record.key is not None) and after.verb != "tool":
        found.append(f"it had an effect, and is '{after.verb}' now")
    return found


def _out_of_order(state: RunState, path: str, after: Step, before: Step | None) -> list[str]:
    """A step that has begun cannot wait for one that had not ended by then."""
    if before is not None and before.waits_for == after.waits_for:
        return []
    ended = state.ended_in(prefix_of(path))
    late = sorted(name for name in after.waits_for if name not in ended)
    return [f"it would wait for {', '.join(late)}, which had not ended"] if late else []


def reads_input(step: Step) -> bool:
    """Whether anything in a step names the run's input."""
    return any(read.root == "input" for inner in every_step([step]) for part in _parts(inner) for read in part.reads)


def _parts(step: Step) -> Iterator[Expression]:
    yield from step.arguments.values()
    yield from step.asserts
    for name in EXPRESSIONS:
        expression = getattr(step, name)
        if expression is not None:
            yield expression
    if step.undo is not None:
        yield from _parts(step.undo)
