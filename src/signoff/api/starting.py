"""Which project a start means."""

from __future__ import annotations

from datetime import datetime, timedelta

from signoff.api.messages import StartRun
from signoff.api.services import Services
from signoff.catalog.releases import environment_releases
from signoff.catalog.starts import StartOptions
from signoff.core.actors import Actor
from signoff.core.durations import parse_duration_s
from signoff.core.errors import InvalidError, NotFoundError, Problem, did_you_mean
from signoff.runtime.client import Debounce, Deduplicate


async def project_of(services: Services, actor: Actor, body: StartRun) -> str:
    """The project named, the server's own, or else the only one that has such a workflow.

    Also prepares the release and its policies, so that the transaction of the start waits for neither.

    Raises:
        NotFoundError: no project has it; suggests a near name.
        InvalidError: several have it.
    """
    async with services.database.transaction(actor.org_id) as connection:
        deployed = await environment_releases(connection, actor.org_id, services.environment)
    wanted = body.project or services.project
    known: list[str] = []
    having: list[str] = []
    for project, digest in deployed.items():
        if wanted is not None and project != wanted:
            continue
        release = await services.releases.load(actor.org_id, digest)
        await services.policies.authority(actor.org_id, release)
        known += release.project.workflows
        if body.workflow in release.project.workflows:
            having.append(project)
    if len(having) == 1:
        return having[0]
    if not having:
        where = f"project '{wanted}', " if wanted else ""
        hint = did_you_mean(body.workflow, known) or (f"There is: {', '.join(sorted(known))}." if known else "")
        detail = f"There is no workflow '{body.workflow}' in {where}environment '{services.environment}'. {hint}"
        raise NotFoundError(detail.rstrip())
    detail = f"The projects {', '.join(having)} have a workflow '{body.workflow}': name one in 'project'."
    raise InvalidError(detail, problems=[Problem(detail, pointer="/project", code="ambiguous")])


def options_of(body: StartRun, now: datetime) -> StartOptions:
    """When and in which order the run gets its turn.

    Raises:
        InvalidError: both a delay and a time are given.
    """
    if body.delay is not None and body.start_at is not None:
        detail = "Give 'delay' or 'start_at', not both."
        raise InvalidError(detail, problems=[Problem(detail, pointer="/start_at", code="not-allowed")])
    start_at = body.start_at
    if body.delay is not None:
        start_at = now + timedelta(seconds=parse_duration_s(body.delay))
    once, quiet = body.deduplicate, body.debounce
    return StartOptions(
        attributes=body.attributes,
        start_at=start_at,
        team=body.team or "",
        queue=body.queue,
        queue_key=body.queue_key,
        deduplicate=None if once is None else Deduplicate(once.key, parse_duration_s(once.window)),
        debounce=None
        if quiet is None
        else Debounce(quiet.key, parse_duration_s(quiet.quiet), parse_duration_s(quiet.max_wait)),
    )
