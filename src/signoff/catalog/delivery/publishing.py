"""From a project to a release that somebody stands behind, and from two releases to a plan."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from signoff.catalog.delivery import store
from signoff.catalog.delivery.costs import Price, workflow_costs
from signoff.catalog.delivery.differences import NOTHING, compare_projects
from signoff.catalog.delivery.environments import Environment, require_reason
from signoff.catalog.delivery.flows import compare_flows
from signoff.catalog.delivery.model import CostChange, Plan
from signoff.catalog.delivery.quality import Shortfall
from signoff.catalog.flow import project_flow, unproven
from signoff.catalog.model import Project
from signoff.catalog.registry.versions import Versioning, keep_versions, versioning_of
from signoff.catalog.releases import register
from signoff.core.actors import Actor
from signoff.core.errors import DefinitionError, Problem
from signoff.foundation.database import Connection
from signoff.governance.policy import PolicySet


@dataclass(frozen=True, slots=True)
class Published:
    """A release that somebody stands behind.

    Attributes:
        digest: its name.
        created: whether it was published now, not earlier.
        versioning: the prompt versions that it brought.
    """

    digest: str
    created: bool
    versioning: Versioning


def require_sound(project: Project) -> None:
    """Refuse what may not become a release, although it compiles: a project whose data flow is not proven.

    Raises:
        DefinitionError: with every problem.
    """
    problems = project_flow(project).problems
    if problems:
        raise DefinitionError(f"{len(problems)} problems keep it from being released.", problems=problems)


async def publish(
    connection: Connection, org_id: UUID, project: Project, *, actor: Actor, message: str, now: datetime
) -> Published:
    """Keep a project as a release, take its prompt versions, and note who stands behind it. All or nothing.

    The same files give the same release, published once: who did so first stays named. Ask `require_sound` before, away
    from the event loop.

    Raises:
        PromptVersionError: a prompt changed, and its version does not say so as it must.
        InvalidError: the message is too long.
    """
    message = require_reason(message, "message")
    await store.lock_publishing(connection, org_id, project.name)
    versioning = await versioning_of(connection, org_id, project)
    versioning.require()
    digest = await register(connection, org_id, project, actor)
    created = await store.insert_publication(
        connection, org_id, digest, project.name, message=message, now=now, published_by=actor.as_dict()
    )
    await keep_versions(connection, org_id, project, versioning, release=digest, message=message, actor=actor, now=now)
    return Published(digest, created, versioning)


async def make_plan(
    environment: Environment,
    old: Project | None,
    new: Project,
    versioning: Versioning,
    price: Price,
    *,
    quality: tuple[Shortfall, ...] = (),
) -> Plan:
    """What deploying a project would change of an environment that has another one (or nothing) now.

    Comparing two large projects takes seconds of computing, so it happens on a thread.
    """
    made = await asyncio.to_thread(_plan, environment, old, new, versioning, price)
    return replace(made, quality=quality)


def _plan(environment: Environment, old: Project | None, new: Project, versioning: Versioning, price: Price) -> Plan:
    before = old or NOTHING
    return Plan(
        project=new.name,
        environment=environment.name,
        version=environment.version,
        before=environment.release,
        after=new.digest,
        changes=compare_projects(before, new),
        flows=compare_flows(before, new),
        costs=_costs(before, new, price),
        problems=(*versioning.problems, *project_flow(new).problems),
        warnings=(*_warnings(new), *unproven(new)),
    )


def _warnings(project: Project) -> tuple[Problem, ...]:
    return PolicySet.parse(project.policies).warnings()


def _costs(old: Project, new: Project, price: Price) -> tuple[CostChange, ...]:
    before, after = workflow_costs(old, price), workflow_costs(new, price)
    return tuple(
        CostChange(name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if (name in before, before.get(name)) != (name in after, after.get(name))
    )
