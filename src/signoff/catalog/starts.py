"""Start a run of a deployed workflow: find the release, check the input, ask policy, start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from signoff.catalog.authority import PolicyBook
from signoff.catalog.model import Release
from signoff.catalog.releases import ReleaseCatalog, environment_release
from signoff.core.actors import Actor
from signoff.core.errors import InvalidError, NotFoundError, Problem, did_you_mean
from signoff.core.labels import join_all
from signoff.core.schemas import validate
from signoff.foundation.database import Connection
from signoff.governance.policy import PolicyRequest, start_request
from signoff.runtime.client import Debounce, Deduplicate, RunStarted, StartRequest, find_started, start_run
from signoff.runtime.queues import QueuePlace, queue_path
from signoff.runtime.starting.backlog import Backlog
from signoff.workflows.model import Workflow

DEFAULT_PRIORITY = 5


@dataclass(frozen=True, slots=True)
class StartOptions:
    """When and in which order a run gets its turn.

    Attributes:
        queue: a queue of the project; the one that lists the workflow where none is named.
        attributes: what the run is searched by, beside what its workflow declares.
    """

    start_at: datetime | None = None
    team: str = ""
    queue: str | None = None
    queue_key: str | None = None
    deduplicate: Deduplicate | None = None
    debounce: Debounce | None = None
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict[str, "str | int | float | bool"])

    def as_context(self, priority: int) -> dict[str, Any]:
        """What policies see of them."""
        return {"priority": priority, "team": self.team, "queue": self.queue or ""}


NO_OPTIONS = StartOptions()


async def start_workflow(
    connection: Connection,
    releases: ReleaseCatalog,
    policies: PolicyBook,
    actor: Actor,
    *,
    project: str,
    workflow: str,
    value: Mapping[str, Any],
    now: datetime,
    idempotency_key: str | None = None,
    priority: int = DEFAULT_PRIORITY,
    options: StartOptions = NO_OPTIONS,
    backlog: Backlog | None = None,
) -> RunStarted:
    """Start a run of the release that the process's environment points at, or find the one of the same request.

    A retry by whoever started it gives the run of then, whatever has been deployed since.

    Raises:
        NotFoundError: nothing is deployed, or it has no such workflow; suggests a near name.
        InvalidError: the input breaks the workflow's schema; one problem per field, with JSON Pointers.
        ForbiddenError: policy does not permit `run.start`.
        ConflictError: the idempotency key was used for another request.
        BacklogError: too many runs wait already.
    """
    if idempotency_key is not None:
        earlier = await find_started(
            connection, actor, idempotency_key, project=project, workflow=workflow, value=value
        )
        if earlier is not None:
            return earlier
    digest = await environment_release(connection, actor.org_id, project, policies.environment)
    release = await releases.load(actor.org_id, digest)
    compiled = _workflow(release, workflow, policies.environment)
    authority = await policies.authority(actor.org_id, release, today=digest)
    place = _place(release, compiled.name, policies.environment, options)
    decision = authority.decide(_question(actor, compiled, policies.environment, priority, options))
    decision.require()
    _require_fit(compiled, value)
    started = StartRequest(
        workflow=compiled,
        release=digest,
        input=value,
        actor=actor,
        idempotency_key=idempotency_key,
        priority=priority,
        decision=decision.as_dict(),
        project=project,
        start_at=options.start_at,
        team=options.team,
        place=place,
        deduplicate=options.deduplicate,
        debounce=options.debounce,
        attributes=options.attributes,
        environment=policies.environment,
    )
    if backlog is not None:
        await backlog.require_room(connection, actor.org_id, place, now=now)
    return await start_run(connection, started, now=now)


def _question(
    actor: Actor, workflow: Workflow, environment: str, priority: int, options: StartOptions
) -> PolicyRequest:
    """What policy is asked: what of the start is known before its input is looked at."""
    return start_request(
        actor,
        workflow=workflow.name,
        version=workflow.version,
        risk=workflow.risk,
        labels=join_all(workflow.input_labels.values()),
        environment=environment,
        start=options.as_context(priority),
    )


def _require_fit(workflow: Workflow, value: Mapping[str, Any]) -> None:
    problems = validate(workflow.input_schema, value)
    if problems:
        raise InvalidError(f"The input does not match the schema of '{workflow.name}'.", problems=problems)


def _place(release: Release, workflow: str, environment: str, options: StartOptions) -> QueuePlace | None:
    queues = release.project.queues
    if options.queue is None:
        found = next((queue for queue in queues.values() if workflow in queue.workflows), None)
    else:
        found = queues.get(options.queue)
        if found is None:
            hint = did_you_mean(options.queue, tuple(queues)) or f"There is: {', '.join(queues) or 'none'}."
            detail = f"There is no queue '{options.queue}'. {hint}"
            raise InvalidError(detail, problems=[Problem(detail, pointer="/queue", code="unknown")])
    if found is None:
        if options.queue_key is not None:
            detail = "'queue_key' needs a queue, and the workflow is in none."
            raise InvalidError(detail, problems=[Problem(detail, pointer="/queue_key", code="not-allowed")])
        return None
    return QueuePlace(found, queue_path(environment, release.project.name, found.name), options.queue_key)


def _workflow(release: Release, name: str, environment: str) -> Workflow:
    workflows = release.project.workflows
    if name not in workflows:
        hint = did_you_mean(name, tuple(workflows)) or f"There is: {', '.join(workflows) or 'none'}."
        raise NotFoundError(f"There is no workflow '{name}' in environment '{environment}'. {hint}")
    return workflows[name]
