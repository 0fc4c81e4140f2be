"""Which steps are void when a run goes on after its end: a pure function of its workflow and its state.

What ended because something failed or was cancelled runs again. So does what was undone, and every review that
permitted it, since an approval permits one effect; and what was decided or computed from steps that are void. An effect
that stands is never made void: it would act twice. Nor is a person's decision to skip a step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from signoff.core.errors import ConflictError, NotFoundError, did_you_mean
from signoff.runtime.state import RunState, StepRecord
from signoff.workflows.model import Step, Workflow

LASTING = frozenset(("emit", "call"))
"""Verbs that leave something behind which others have seen, though they have no effect of a tool's kind."""

REDECIDED = frozenset(("failed", "cancelled", "blocked", "not_needed"))


def root_of(path: str) -> str:
    """The step of the workflow itself that a path belongs to: `lines` of `lines[2]/price`, `pay` of `pay/undo`."""
    first = path.partition("/")[0]
    return first.partition("[")[0].removesuffix("!")


def void_steps(workflow: Workflow, state: RunState, start: str | None = None) -> dict[str, int]:
    """The paths that are void, each with how often its tries were made void then.

    Args:
        workflow: what the run executes when it goes on.
        state: of the run at its end.
        start: a step that ended, to begin again with; everything that comes from it is void with it.

    Raises:
        NotFoundError: there is no such step.
        ConflictError: it has not ended, or an effect that stands came from it.
    """
    steps = {step.name: step for step in workflow.steps}
    undone = {name for name in steps if _undone(state, name)}
    chosen = {name for name, step in steps.items() if _broken(state, step)} | undone
    for name in undone:
        chosen |= {review for review in steps[name].requires if review in state.ended}
    if start is not None:
        _check_start(steps, state, start)
        chosen.add(start)
    void = _with_followers(steps, state, chosen, undone=undone, strict=start)
    return {path: generation for name in sorted(void) for path, generation in _paths(state, name)}


def _check_start(steps: Mapping[str, Step], state: RunState, start: str) -> None:
    if start not in steps:
        raise NotFoundError(f"There is no step '{start}'. {did_you_mean(start, tuple(steps)) or ''}".rstrip())
    if start not in state.ended:
        raise ConflictError(f"Step '{start}' has not ended: there is nothing to begin again.")
    if _stands(state, steps[start]) and not _undone(state, start):
        raise ConflictError(f"Step '{start}' took effect, and that stands: again would be twice.", step=start)


def _with_followers(
    steps: Mapping[str, Step], state: RunState, chosen: set[str], *, undone: set[str], strict: str | None
) -> set[str]:
    """The chosen steps and all that came from them, in the order in which steps name each other."""
    void = {name for name in chosen if not _in_doubt(state, name)}
    grown = True
    while grown:
        grown = False
        for name, step in steps.items():
            ended = state.ended.get(name)
            if name in void or ended is None or not step.waits_for & void or ended.status == "bypassed":
                continue
            if ended.status not in REDECIDED and name not in undone and _stands(state, step):
                if strict is not None and _comes_from(steps, name, strict):
                    detail = f"Step '{name}' comes from '{strict}' and took effect; that stands, and would be twice."
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


def _broken(state: RunState, step: Step) -> bool:
    """Whether it ended otherwise than well, and nothing caught that."""
    ended = state.ended.get(step.name)
    if ended is None:
        return False
    return ended.status == "cancelled" or (ended.status == "failed" and step.error_mode != "continue")


def _records(state: RunState, name: str) -> Iterable[StepRecord]:
    return (record for path, record in state.steps.items() if root_of(path) == name)


def _paths(state: RunState, name: str) -> Iterable[tuple[str, int]]:
    for record in _records(state, name):
        begun = record.attempt > 0 or record.state is not None
        again = record.generation + 1 if begun and not record.path.endswith("/undo") else record.generation
        yield record.path, again


def _undone(state: RunState, name: str) -> bool:
    """Whether an effect of the step was taken back, and none of the step's stands."""
    taken_back = any(
        record.path.endswith("/undo") and record.state is not None and record.state.status == "done"
        for record in _records(state, name)
    )
    return taken_back and not any(_lasting(state, record) for record in _records(state, name))


def _stands(state: RunState, step: Step) -> bool:
    """Whether something of the step lasts that others have seen."""
    if step.verb in LASTING and _done(state.steps.get(step.name)):
        return True
    return any(_lasting(state, record) for record in _records(state, step.name))


def _lasting(state: RunState, record: StepRecord) -> bool:
    if record.key is None or record.path.endswith("/undo") or not _done(record):
        return False
    return not _done(state.steps.get(f"{record.path}/undo"))


def _done(record: StepRecord | None) -> bool:
    return record is not None and record.state is not None and record.state.status == "done"


def _in_doubt(state: RunState, name: str) -> bool:
    """What became of it is not known yet: it goes on where it is, and that is found out first."""
    return any(record.in_doubt for record in _records(state, name))
