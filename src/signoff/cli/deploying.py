"""From a project's directory to a release that an environment points at."""

from __future__ import annotations

from signoff.catalog import Project, Release, point_environment, register
from signoff.core.actors import Actor
from signoff.core.clock import Clock
from signoff.foundation.database import DEFAULT_ORG_ID, Database
from signoff.steps import prepare_release

OPERATOR = Actor(DEFAULT_ORG_ID, "system", "cli")
"""Whoever works on the database directly: they hold its password, so policy is not asked."""


async def deploy(
    database: Database, project: Project, *, environment: str, clock: Clock, models_profile: str | None
) -> str:
    """Keep the project as a release, build its indexes, then point the environment at it. Gives the digest.

    Raises:
        StepError: an index cannot be built; the environment still points where it did.
    """
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        digest = await register(connection, DEFAULT_ORG_ID, project, OPERATOR)
    await prepare_release(
        database, DEFAULT_ORG_ID, Release(digest, project), clock=clock, models_profile=models_profile
    )
    async with database.transaction(DEFAULT_ORG_ID) as connection:
        await point_environment(connection, DEFAULT_ORG_ID, project.name, environment, digest, actor=OPERATOR)
    return digest
