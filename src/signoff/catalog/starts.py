"""Start a run of a deployed workflow: find the release, check the input, ask policy, start."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from signoff.catalog.authority import PolicyBook
from signoff.catalog.model import Release
from signoff.catalog.releases import ReleaseCatalog, environment_release
from signoff.core.actors import Actor
from signoff.core.errors import InvalidError, NotFoundError, did_you_mean
from signoff.core.labels import join_all
from signoff.core.schemas import validate
from signoff.foundation.database import Connection
from signoff.governance.policy import start_request
from signoff.runtime.client import RunStarted, StartRequest, find_started, start_run
from signoff.workflows.model import Workflow

DEFAULT_PRIORITY = 5


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
) -> RunStarted:
    """Start a run of the release that the process's environment points at, or find the one of the same request.

    A retry by whoever started it gives the run of then, whatever has been deployed since.

    Raises:
        NotFoundError: nothing is deployed, or it has no such workflow; suggests a near name.
        InvalidError: the input breaks the workflow's schema; one problem per field, with JSON Pointers.
        ForbiddenError: policy does not permit `run.start`.
        ConflictError: the idempotency key was used for another request.
    """
    org_id = actor.org_id
    if idempotency_key is not None:
        earlier = await find_started(
            connection, actor, idempotency_key, project=project, workflow=workflow, value=value
        )
        if earlier is not None:
            return earlier
    digest = await environment_release(connection, org_id, project, policies.environment)
    release = await releases.load(org_id, digest)
    compiled = _workflow(release, workflow, policies.environment)
    authority = await policies.authority(org_id, release, today=digest)
    request = start_request(
        actor,
        workflow=compiled.name,
        version=compiled.version,
        risk=compiled.risk,
        labels=join_all(compiled.input_labels.values()),
        environment=policies.environment,
    )
    decision = authority.decide(request)
    decision.require()
    problems = validate(compiled.input_schema, value)
    if problems:
        raise InvalidError(f"The input does not match the schema of '{workflow}'.", problems=problems)
    started = StartRequest(
        workflow=compiled,
        release=digest,
        input=value,
        actor=actor,
        idempotency_key=idempotency_key,
        priority=priority,
        decision=decision.as_dict(),
        project=project,
    )
    return await start_run(connection, started, now=now)


def _workflow(release: Release, name: str, environment: str) -> Workflow:
    workflows = release.project.workflows
    if name not in workflows:
        hint = did_you_mean(name, tuple(workflows)) or f"There is: {', '.join(workflows) or 'none'}."
        raise NotFoundError(f"There is no workflow '{name}' in environment '{environment}'. {hint}")
    return workflows[name]
