"""What operations on one run and on many have in common: their actions, and what can be checked against the release."""

from __future__ import annotations

from collections.abc import Mapping

from signoff.api.services import Services
from signoff.core.actors import Actor
from signoff.core.errors import NotFoundError, SignoffError, did_you_mean
from signoff.runtime.client import RunSummary
from signoff.runtime.client.operations import Operation, OperationName
from signoff.workflows.model import every_step

ACTIONS: Mapping[OperationName, str] = {
    "cancel": "run.cancel",
    "terminate": "run.terminate",
    "pause": "run.pause",
    "resume": "run.pause",
    "retry": "run.retry",
    "skip": "run.skip",
    "priority": "run.prioritise",
}
"""What policy is asked for; whoever may pause may resume."""


async def check_step(services: Services, actor: Actor, run: RunSummary, operation: Operation) -> None:
    """Return where the step that an operation names is one of the run's workflow.

    Raises:
        NotFoundError: it is not; suggests a near name.
    """
    if operation.step is None:
        return
    try:
        release = await services.releases.load(actor.org_id, run.release)
    except SignoffError:
        return  # the run is stuck: whoever loads it will know
    workflow = release.project.workflows.get(run.workflow)
    known = [step.name for step in every_step(workflow.steps)] if workflow is not None else []
    name = operation.step.removesuffix("/undo").rpartition("/")[2]
    if known and name not in known:
        raise NotFoundError(f"There is no step '{operation.step}'. {did_you_mean(name, known) or ''}".rstrip())
