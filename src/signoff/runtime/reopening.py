"""Which steps are void when a run goes on after its end: a pure function of its workflow and its state.

What ended because something failed or was cancelled runs again. So does what was undone, and every review that
permitted it, since an approval permits one effect; and what was decided or computed from steps that are void. An effect
that stands is never made void: it would act twice. Nor is a person's decision to skip a step. A group in which effects
stand or are in doubt goes on where it was instead: only what ended badly in it, or was undone, is void
(`reopening_groups.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from signoff.core.errors import ConflictError, NotFoundError, did_you_mean
from signoff.core.fresh import fresh_dict
from signoff.runtime.past import LASTING, Past, is_done
from signoff.runtime.paths import UNDO, is_undo, undone_by
from signoff.runtime.reopening_groups import GoingOn, going_on
from signoff.runtime.state import RunState
from signoff.workflows.model import Step, Workflow


@dataclass(frozen=True, slots=True)
class Reopening:
    """What of a run begins again.

    Attributes:
        void: paths of steps that are as if they had never begun, each with how often that has happened to it.
        again: paths of groups that have ended and go on with what is in them, outer ones first.
        instead: paths of steps that have ended and go on with the steps of their `on_error`.
        unturned: of groups that go on, the iterations whose ends do not hold any more.
    """

    void: Mapping[str, int]
    again: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    unturned: Mapping[str, list[int]] = field(default_factory=fresh_dict)

    def told(self) -> dict[str, Any]:
        """For `run.reopened`; what is rare is there only where it is something."""
        rare = {"instead": list(self.instead), "unturned": dict(self.unturned)}
        return {
            "void": dict(self.void),
            "again": list(self.again),
            **{name: said for name, said in rare.items() if said},
        }


def reopening(workflow: Workflow, state: RunState, start: str | None = None) -> Reopening:
    """What begins again.

    Args:
        workflow: what the run executes when it goes on.
        state: of the run at its end.
        start: a step that ended, to begin again with; everything that comes from it is void with it.

    Raises:
        NotFoundError: there is no such step.
        ConflictError: it has not ended, an effect that stands came from it, or nobody knows whether one was undone.
    """
    for path, record in state.steps.items():
        if is_undo(path) and record.in_doubt:
            detail = f"Whether '{undone_by(path)}' was undone is not known: a run cannot go on from that. Fork it."
            raise ConflictError(detail, step=path)
    if workflow.python is not None:
        return Reopening(_void_commands(state, start))
    past = Past(workflow, state)
    steps = {step.name: step for step in workflow.steps}
    undone = {name for name in steps if past.taken_back(name) and not past.held(name)}
    kept = {name for name in steps if _broken(past, name) and past.held(name)}
    chosen = undone | {name for name in steps if _broken(past, name) and name not in kept}
    if start is not None:
        _check_start(steps, past, start)
        chosen.add(start)
    for name in tuple(chosen):
        chosen |= {path for path in past.permitted_by(name) if path in state.ended}
    inside = GoingOn()
    for name in sorted(kept):
        inside.add(going_on(past, name))
    chosen |= {name for name in inside.reviews if name in state.ended and not past.held(name)}
    void = _with_followers(steps, past, chosen, start=start)
    paths = {path: generation for name in sorted(void) for path, generation in past.void_paths(name)}
    paths |= {path: 0 for path, record in state.steps.items() if is_undo(path) and past.ended_badly(record)}
    return Reopening(paths | inside.void, tuple(inside.again), tuple(inside.instead), inside.unturned)


def _broken(past: Past, name: str) -> bool:
    """Whether it ended otherwise than well and nothing caught that, or part of what it did was undone."""
    record = past.state.steps.get(name)
    if name not in past.state.ended or record is None:
        return False
    return past.ended_badly(record) or (past.taken_back(name) and past.held(name))


def _void_commands(state: RunState, start: str | None) -> dict[str, int]:
    """Of a workflow in Python: what failed the run, was cancelled or undone, and all that began after one had ended.

    What its code asked for later may come from any of them, and what it asked for earlier from none. A review that
    permitted what was undone is among them: an approval permits one effect.
    """
    records = {path: record for path, record in state.steps.items() if not is_undo(path) and record.begun_seq}
    if start is not None and start not in records:
        raise NotFoundError(f"There is no step '{start}'. {did_you_mean(start, tuple(records)) or ''}".rstrip())
    error: Mapping[str, Any] = (state.end or {}).get("error") or {}
    chosen = {path for path in (start, error.get("step")) if path is not None and path in records}
    undone = {path for path in records if is_done(state.steps.get(f"{path}{UNDO}"))}
    used = {review_id for path in undone for review_id in records[path].approvals}
    chosen |= undone
    chosen |= {path for path, record in records.items() if record.approval and record.approval.review_id in used}
    chosen |= {path for path, record in records.items() if record.state is None or record.state.status == "cancelled"}
    first = min((records[path].ended_seq for path in chosen), default=state.last_seq)
    later = {path for path, record in records.items() if record.begun_seq > first}
    void = {path for path in chosen | later if not records[path].in_doubt}
    for path in sorted(void):
        record = records[path]
        lasting = record.key is not None or (record.command or {}).get("verb") in LASTING
        if lasting and is_done(record) and not is_done(state.steps.get(f"{path}{UNDO}")):
            raise ConflictError(f"Step '{path}' took effect, and that stands: again would be twice.", step=path)
    undos = {f"{path}{UNDO}": 0 for path in void if f"{path}{UNDO}" in state.steps}
    return {**{path: records[path].generation + 1 for path in sorted(void)}, **undos}


def _check_start(steps: Mapping[str, Step], past: Past, start: str) -> None:
    if start not in steps:
        raise NotFoundError(f"There is no step '{start}'. {did_you_mean(start, tuple(steps)) or ''}".rstrip())
    if start not in past.state.ended:
        raise ConflictError(f"Step '{start}' has not ended: there is nothing to begin again.")
    if past.held(start):
        raise ConflictError(f"Step '{start}' took effect, and that stands: again would be twice.", step=start)


def _with_followers(steps: Mapping[str, Step], past: Past, chosen: Collection[str], *, start: str | None) -> set[str]:
    """The chosen steps and all that came from them."""
    void = set(chosen)
    grown = True
    while grown:
        grown = False
        for name, step in steps.items():
            ended = past.state.ended.get(name)
            if name in void or ended is None or not step.waits_for & void or ended.status == "bypassed":
                continue
            if past.held(name):
                if start is not None and _comes_from(steps, name, start):
                    detail = f"Step '{name}' comes from '{start}' and took effect; that stands, and would be twice."
                    raise ConflictError(detail, step=name)
                continue
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
