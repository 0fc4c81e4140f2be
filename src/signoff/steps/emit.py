"""The verb `emit`: publish an event for whoever listens. Once per step, whatever breaks."""

from __future__ import annotations

from signoff.governance.policy import emit_request
from signoff.runtime.client.emitted import emit_event
from signoff.runtime.handlers import Done, StepCall
from signoff.steps.acting import ActingStep
from signoff.steps.services import Services, required


class EmitStep(ActingStep):
    """Stores the event beside the run; its key is the run and step, so a retry adds none."""

    verb = "emit"
    visible = True

    def __init__(self, services: Services) -> None:
        self._services = services

    async def permit(self, call: StepCall) -> None:
        """Policy's answer to `event.emit`.

        Raises:
            StepError: kind `forbidden`.
        """
        authority = await self._services.authority(call)
        environment = self._services.environment
        request = emit_request(call.run, event_type=call.step.target, labels=call.labels, environment=environment)
        required(call, authority, request)

    async def execute(self, call: StepCall) -> Done:
        """Publish it."""
        async with self._services.database.transaction(call.run.org_id) as connection:
            await emit_event(
                connection,
                org_id=call.run.org_id,
                run_id=call.run.run_id,
                path=call.path,
                event_type=call.step.target,
                data=call.arguments.get("payload", {}),
                labels=call.labels,
                now=call.clock.now(),
            )
        return Done({})
