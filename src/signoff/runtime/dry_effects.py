"""Effects of a run that acts dry: nothing is sent, and the step gives what was recorded, or a sample.

A fork is such a run unless somebody may and wants that it acts (`runtime/client/forking.py`). Policy is asked as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signoff.core.errors import StepError
from signoff.core.labels import Labels, Trust
from signoff.runtime.handlers import Done, Effect
from signoff.runtime.past import LASTING
from signoff.runtime.paths import is_undo
from signoff.runtime.state import RunState, StepRecord
from signoff.workflows.model import Step


def acts_dry(step: Step, effect: Effect | None) -> bool:
    """Whether this call would change something that others see, which a run that acts dry must not."""
    return effect is not None or step.verb in LASTING


def dry_answer(state: RunState, step: Step, path: str) -> Done:
    """What the step gives although nothing was done.

    Raises:
        StepError: kind `not_recorded`: nothing was recorded, and the tool's contract says nothing of its answers.
    """
    recorded: Mapping[str, Any] = state.started.get("recorded") or {}
    if path in recorded:
        return Done(recorded[path]["output"], Labels.from_dict(recorded[path]["labels"]))
    if is_undo(path):
        return Done({})
    samples: Mapping[str, Any] = state.started.get("samples") or {}
    if step.name in samples:
        sources = frozenset({f"sample:{step.target}"})
        return Done(samples[step.name], Labels(trust=Trust.UNTRUSTED, sources=sources))
    raise StepError("this run acts dry, and no answer was recorded that could stand in", kind="not_recorded")


def inherited(state: RunState, record: StepRecord) -> bool:
    """Whether a step ended in the run that this one was forked from: what it did is not this run's to undo."""
    source: Mapping[str, Any] | None = state.started.get("forked_from")
    return source is not None and 0 < record.ended_seq <= source["seq"]
