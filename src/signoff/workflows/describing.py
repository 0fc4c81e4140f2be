"""A workflow in words: what `signoff check` prints."""

from __future__ import annotations

from signoff.workflows.graph import ranks
from signoff.workflows.model import Step, Workflow


def describe(workflow: Workflow) -> str:
    """The steps by the earliest moment they can start, what each waits for, and the outcomes in order."""
    order = ranks({step.name: sorted(step.waits_for) for step in workflow.steps})
    lines = [f"{workflow.name} {workflow.version} ({workflow.risk} risk)"]
    if workflow.about:
        lines.append(f"  {workflow.about}")
    steps = sorted(workflow.steps, key=lambda step: order[step.name])
    lines += [f"  {order[step.name] + 1}. {_step(step)}" for step in steps]
    lines += [f"  → {outcome.name}: {outcome.condition.source}" for outcome in workflow.outcomes]
    return "\n".join(lines)


def _step(step: Step) -> str:
    text = f"{step.name}: {step.verb} {step.target}".rstrip()
    waits = [name for name in sorted(step.waits_for) if name not in step.requires]
    notes = [
        f"requires {', '.join(step.requires)}" if step.requires else "",
        f"waits for {', '.join(waits)}" if waits else "",
        f"when {step.when.source}" if step.when is not None else "",
        f"needed if {step.needed.source}" if step.needed is not None else "",
        f"undone by {step.undo.target}" if step.undo is not None else "",
    ]
    return "; ".join([text, *(note for note in notes if note)])
