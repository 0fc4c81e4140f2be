"""A workflow in words: what `signoff check` prints."""

from __future__ import annotations

from collections.abc import Iterator

from signoff.workflows.graph import ranks
from signoff.workflows.model import Step, Workflow


def describe(workflow: Workflow) -> str:
    """The steps by the earliest moment they can start, what each waits for, and the outcomes in order."""
    lines = [f"{workflow.name} {workflow.version} ({workflow.risk} risk)"]
    if workflow.about:
        lines.append(f"  {workflow.about}")
    if workflow.python is not None:
        lines.append(f"  in Python: {workflow.python.name}, {workflow.file}:{workflow.python.line}")
        return "\n".join([*lines, *(f"  → {outcome.name}" for outcome in workflow.outcomes)])
    order = _order(workflow.steps)
    for step in sorted(workflow.steps, key=lambda step: order[step.name]):
        lines.append(f"  {order[step.name] + 1}. {_step(step)}")
        lines += [f"     {line}" for line in _inside(step)]
    lines += [f"  → {outcome.name}: {outcome.condition.source}" for outcome in workflow.outcomes]
    return "\n".join(lines)


def _order(steps: tuple[Step, ...]) -> dict[str, int]:
    return ranks({step.name: sorted(step.waits_for) for step in steps})


def _inside(step: Step) -> Iterator[str]:
    """The steps of a group, and those that run instead of a step that failed."""
    for steps, sign in ((step.body, "-"), (step.fallback, "- on error:")):
        order = _order(steps)
        for inner in sorted(steps, key=lambda one: order[one.name]):
            yield f"{sign} {_step(inner)}"
            yield from (f"  {line}" for line in _inside(inner))


def _step(step: Step) -> str:
    waits = [name for name in sorted(step.waits_for) if name not in step.requires]
    notes = [
        f"requires {', '.join(step.requires)}" if step.requires else "",
        f"waits for {', '.join(waits)}" if waits else "",
        f"when {step.when.source}" if step.when is not None else "",
        f"needed if {step.needed.source}" if step.needed is not None else "",
        f"until {step.until.source}" if step.until is not None else "",
        f"undone by {step.undo.target}" if step.undo is not None else "",
        "goes on where it fails" if step.error_mode == "continue" else "",
    ]
    return "; ".join([f"{step.name}: {step.verb} {_target(step)}".rstrip(), *(note for note in notes if note)])


def _target(step: Step) -> str:
    """What its verb names: of a `for` the list, of a pause how long."""
    if step.verb == "wait" and "duration_s" in step.settings:
        return f"{step.settings['duration_s']:g}s"
    of = {"for": "items", "wait": "until"}.get(step.verb, "")
    return step.arguments[of].source if of in step.arguments else step.target
