"""The verb `emit`: publish an event for readers, and for runs that wait for it. Once per step, whatever breaks."""

from __future__ import annotations

from uuid import UUID

from signoff.core.errors import NotFoundError
from signoff.governance.policy import emit_request, send_event_request
from signoff.runtime.client.emitted import emit_event
from signoff.runtime.handlers import Done, StepCall
from signoff.runtime.reports import WAKE_CHANNEL
from signoff.runtime.waits import OWN_SOURCES, Emission, IncomingEvent, post_event
from signoff.steps.acting import ActingStep
from signoff.steps.outgoing import require_clean
from signoff.steps.services import Services, project_of, required

NOTIFIED_RUNS = 20
"""Runs of one event that are woken one by one; the others are found by the workers' own looks."""


class EmitStep(ActingStep):
    """Stores the event beside the run; its key is the run and step, so a retry adds none."""

    verb = "emit"
    visible = True

    def __init__(self, services: Services) -> None:
        self._services = services

    async def permit(self, call: StepCall) -> None:
        """Policy's answer to `event.emit`, then what its filters find in the data.

        Raises:
            StepError: kind `forbidden`, `filtered`, `unreviewed` or `filter_failed`.
        """
        authority = await self._services.authority(call)
        environment = self._services.environment
        request = emit_request(call.run, event_type=call.step.target, labels=call.labels, environment=environment)
        required(call, authority, request)
        uses, data = project_of(call).outgoing.of_event(call.step.target), call.arguments.get("payload", {})
        await require_clean(call, uses, data, what=f"The event '{call.step.target}'", services=self._services)

    async def execute(self, call: StepCall) -> Done:
        """Publish it, and give it to whoever waits for it, in one transaction: both, or neither."""
        run, data = call.run, call.arguments.get("payload", {})
        source = f"{OWN_SOURCES}run/{run.run_id}"
        projects = await self._listening(call, source)
        reached: tuple[UUID, ...] = ()
        now = call.clock.now()
        async with self._services.database.transaction(run.org_id) as connection:
            event_id = await emit_event(
                connection,
                org_id=run.org_id,
                run_id=run.run_id,
                path=call.path,
                event_type=call.step.target,
                data=data,
                labels=call.labels,
                now=now,
            )
            if event_id is not None:
                event = IncomingEvent(
                    org_id=run.org_id,
                    event_id=str(event_id),
                    source=source,
                    type=call.step.target,
                    data=data,
                    sent_by=str(run.started_by),
                    projects=projects,
                    emission=Emission(run.run_id, run.chain_id or run.run_id, call.path, call.labels),
                )
                reached = (await post_event(connection, event, now=now)).run_ids
        for run_id in reached[:NOTIFIED_RUNS]:
            await self._services.database.notify(WAKE_CHANNEL, str(run_id))
        return Done({})

    async def _listening(self, call: StepCall, source: str) -> tuple[str, ...]:
        """The projects whose runs may get it: the run's own, and others whose policies let it in."""
        services, run, own = self._services, call.run, project_of(call).name
        found = [own]
        request = send_event_request(
            run.started_by, event_type=call.step.target, source=source, environment=services.environment
        )
        for project, digest in (await services.policies.deployed(run.org_id)).items():
            if project == own:
                continue
            try:
                release = await services.releases.load(run.org_id, digest)
                authority = await services.policies.authority(run.org_id, release, today=digest)
            except NotFoundError:
                continue  # it was taken away a moment ago
            if authority.decide(request).permit:
                found.append(project)
        return tuple(sorted(found))
