"""Which steps are void when a run goes on after its end: a pure function of its workflow and its state.

What ended because something failed or was cancelled runs again. So does what was undone, and every review that
permitted it, since an approval permits one effect; and what was decided or computed from steps that are void. An effect
that stands is never made void: it would act twice. Nor is a person's decision to skip a step. A group in which effects
stand goes on where it was instead: only what ended badly in it is void.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from signoff.core.errors import ConflictError, NotFoundError, did_you_mean
from signoff.runtime.paths import UNDO, is_undo
from signoff.runtime.state import RunState, StepRecord
from signoff.workflows.model import Step, Workflow, every_step

LASTING = frozenset(("emit", "call"))
"""Verbs that leave something behind which others have seen, though they have no effect of a tool's kind."""

REDECIDED = frozenset(("failed", "cancelled", "blocked", "not_needed"))


@dataclass(frozen=True, slots=True)
class Reopening:
    """What of a run begins again.

    Attributes:
        void: paths of steps that are as if they had never begun, each with how often that has happened to it.
        again: paths of groups that have ended and go on with what is in them, outer ones first.
    """

    void: Mapping[str, int]
    again: tuple[str, ...] = ()


def root_of(path: str) -> str:
    """The step of the workflow itself that a path belongs to: `lines` of `lines[2]/price`, `pay` of `pay/undo`."""
    first = path.partition("/")[0]
    return first.partition("[")[0].removesuffix("!")


def reopening(workflow: Workflow, state: RunState, start: str | None = None) -> Reopening:
    """What begins again.

    Args:
        workflow: what the run executes when it goes on.
        state: of the run at its end.
        start: a step that ended, to begin again with; everything that comes from it is void with it.

    Raises:
        NotFoundError: there is no such step.
        ConflictError: it has not ended, or an effect that stands came from it.
    """
    if workflow.python is not None:
        return Reopening(_void_commands(state, start))
    steps = {step.name: step for step in workflow.steps}
    undone = {name for name in steps if _undone(state, name)}
    broken = {name for name, step in steps.items() if _broken(state, step)}
    going_on = {name for name in broken - undone if _stands(state, name)}
    if start is not None:
        _check_start(steps, state, start)
        broken.add(start)
    chosen = (broken | undone) - going_on
    for name in undone:
        chosen |= {review for step in every_step([steps[name]]) for review in step.requires if review in state.ended}
    void = _with_followers(steps, state, chosen, undone=undone, start=start)
    paths = {path: generation for name in sorted(void) for path, generation in _paths(_records(state, name))}
    paths |= {path: 0 for path, record in state.steps.items() if is_undo(path) and _ended_badly(record)}
    again: list[str] = []
    for name in sorted(going_on - void):
        inner, groups = _inside(steps[name], state)
        paths |= inner
        again += groups
    return Reopening(paths, tuple(again))


def _void_commands(state: RunState, start: str | None) -> dict[str, int]:
    """Of a workflow in Python: what failed the run, was cancelled or undone, and all that began after one had ended.

    What its code asked for later may come from any of them, and what it asked for earlier from none.
    """
    records = {path: record for path, record in state.steps.items() if not is_undo(path) and record.begun_seq}
    if start is not None and start not in records:
        raise NotFoundError(f"There is no step '{start}'. {did_you_mean(start, tuple(records)) or ''}".rstrip())
    error: Mapping[str, Any] = (state.end or {}).get("error") or {}
    chosen = {path for path in (start, error.get("step")) if path is not None and path in records}
    chosen |= {path for path in records if _done(state.steps.get(f"{path}{UNDO}"))}
    chosen |= {path for path, record in records.items() if record.state is None or record.state.status == "cancelled"}
    first = min((records[path].ended_seq for path in chosen), default=state.last_seq)
    later = {path for path, record in records.items() if record.begun_seq > first}
    void = {path for path in chosen | later if not records[path].in_doubt}
    for path in sorted(void):
        lasting = (records[path].command or {}).get("verb") in LASTING and _done(records[path])
        if lasting or _lasting(state, records[path]):
            raise ConflictError(f"Step '{path}' took effect, and that stands: again would be twice.", step=path)
    undos = {f"{path}{UNDO}": 0 for path in void if f"{path}{UNDO}" in state.steps}
    return {**{path: records[path].generation + 1 for path in sorted(void)}, **undos}


def _check_start(steps: Mapping[str, Step], state: RunState, start: str) -> None:
    if start not in steps:
        raise NotFoundError(f"There is no step '{start}'. {did_you_mean(start, tuple(steps)) or ''}".rstrip())
    if start not in state.ended:
        raise ConflictError(f"Step '{start}' has not ended: there is nothing to begin again.")
    if _stands(state, start):
        raise ConflictError(f"Step '{start}' took effect, and that stands: again would be twice.", step=start)


def _with_followers(
    steps: Mapping[str, Step], state: RunState, chosen: set[str], *, undone: set[str], start: str | None
) -> set[str]:
    """The chosen steps and all that came from them."""
    void = {name for name in chosen if not _in_doubt(state, name)}
    grown = True
    while grown:
        grown = False
        for name, step in steps.items():
            ended = state.ended.get(name)
            if name in void or ended is None or not step.waits_for & void or ended.status == "bypassed":
                continue
            if name not in undone and _stands(state, name):
                if start is not None and _comes_from(steps, name, start):
                    detail = f"Step '{name}' comes from '{start}' and took effect; that stands, and would be twice."
                    raise ConflictError(detail, step=name)
                continue
            if ended.status in REDECIDED or step.verb not in LASTING:
                void.add(name)
                grown = True
    return void


def _comes_from(steps: Mapping[str, Step], name: str, start: str) -> bool:
    seen: set[str] = set()
    front = {name}
    while front:
        if start in front:
            return True
        seen |= front
        front = {before for step in front for before in steps[step].waits_for if before in steps} - seen
    return False


def _inside(step: Step, state: RunState) -> tuple[dict[str, int], list[str]]:
    """What is void in a group that goes on, and the groups in it, itself first, that go on too."""
    void: dict[str, int] = {}
    groups: list[str] = []
    names = {inner.name: inner for inner in every_step([step])}
    found = sorted(_records(state, step.name), key=lambda record: record.path.count("/"))
    for record in found:
        inner = names.get(record.path.rpartition("/")[2])
        if is_undo(record.path) or record.in_doubt or inner is None or record.path in void:
            continue
        within = [other for other in found if other.path == record.path or other.path.startswith(f"{record.path}[")]
        stands = any(_lasting(state, other) for other in within)
        taken_back = _done(state.steps.get(f"{record.path}{UNDO}"))
        if inner.is_group and stands and not _done(record):
            groups.append(record.path)
        elif not stands and (taken_back or _ended_badly(record)):
            undos = [other for other in found if other.path == f"{record.path}{UNDO}"]
            void |= dict(_paths([*within, *undos]))
    return void, groups


def _broken(state: RunState, step: Step) -> bool:
    """Whether it ended otherwise than well, and nothing caught that."""
    record = state.steps.get(step.name)
    return step.name in state.ended and record is not None and _ended_badly(record)


def _ended_badly(record: StepRecord) -> bool:
    status = None if record.state is None else record.state.status
    return status == "cancelled" or (status == "failed" and not record.caught)


def _records(state: RunState, name: str) -> list[StepRecord]:
    return [record for path, record in state.steps.items() if root_of(path) == name]


def _paths(records: Iterable[StepRecord]) -> Iterable[tuple[str, int]]:
    for record in records:
        begun = record.attempt > 0 or record.state is not None
        again = record.generation + 1 if begun and not is_undo(record.path) else record.generation
        yield record.path, again


def _undone(state: RunState, name: str) -> bool:
    """Whether an effect of the step was taken back, and none of the step's stands."""
    records = _records(state, name)
    taken_back = any(is_undo(record.path) and _done(record) for record in records)
    return taken_back and not _stands(state, name)


def _stands(state: RunState, name: str) -> bool:
    """Whether an effect of the step lasts, or of a step inside it."""
    return any(_lasting(state, record) for record in _records(state, name))


def _lasting(state: RunState, record: StepRecord) -> bool:
    if record.key is None or is_undo(record.path) or not _done(record):
        return False
    return not _done(state.steps.get(f"{record.path}{UNDO}"))


def _done(record: StepRecord | None) -> bool:
    return record is not None and record.state is not None and record.state.status == "done"


def _in_doubt(state: RunState, name: str) -> bool:
    """What became of it is not known yet: it goes on where it is, and that is found out first."""
    return any(record.in_doubt for record in _records(state, name))
